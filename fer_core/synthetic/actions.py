"""Expressions as facial action units (Ekman & Friesen, Facial Action Coding System, 1978; 2002 edition)."""

import numpy as np

from fer_core.synthetic.face import Face
from fer_core.synthetic.people import person_of
from fer_core.vocabulary import EIGHT

_STREAM_MIX, _STREAM_REST = 21, 22

ACTION_UNITS = {
    "AU1": "inner brow raiser",
    "AU2": "outer brow raiser",
    "AU4": "brow lowerer",
    "AU5": "upper lid raiser",
    "AU6": "cheek raiser",
    "AU7": "lid tightener",
    "AU9": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU12L": "lip corner puller, viewer's left",
    "AU12R": "lip corner puller, viewer's right",
    "AU14L": "dimpler, viewer's left",
    "AU14R": "dimpler, viewer's right",
    "AU15": "lip corner depressor",
    "AU17": "chin raiser",
    "AU20": "lip stretcher",
    "AU23": "lip tightener and presser (AU23 and AU24)",
    "AU25": "lips part",
    "AU26": "jaw drop",
    "AU43": "lid droop",
}

EXPRESSION_ACTIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happiness": {"AU6": 0.9, "AU12L": 1.0, "AU12R": 1.0, "AU25": 0.9},
    "surprise": {"AU1": 1.0, "AU2": 1.0, "AU5": 0.9, "AU25": 0.3, "AU26": 1.0},
    "sadness": {"AU1": 1.0, "AU4": 0.5, "AU15": 1.0, "AU17": 0.5, "AU43": 0.75},
    "anger": {"AU4": 1.0, "AU5": 0.35, "AU7": 0.7, "AU23": 1.0, "AU17": 0.2},
    "disgust": {"AU4": 0.55, "AU6": 0.3, "AU7": 0.5, "AU9": 1.0, "AU10": 1.0, "AU15": 0.65, "AU25": 0.35},
    "fear": {"AU1": 1.0, "AU2": 0.55, "AU4": 0.6, "AU5": 1.0, "AU20": 1.0, "AU25": 0.8, "AU26": 0.5},
    "contempt": {"AU12R": 0.75, "AU14R": 1.0, "AU43": 0.25},
}
"""Action units at degree 1. Contempt is unilateral: written for the viewer's right, mirrored for half of the people."""

BARED_ANGER = {"AU4": 1.0, "AU5": 0.4, "AU7": 0.7, "AU9": 0.25, "AU10": 0.55, "AU20": 0.5, "AU25": 1.0}
"""The second prototype of anger, a square mouth with teeth, shown in three takes of ten."""

PARTING_ONSET = 0.25
"""Lips stay closed below this degree: a slight smile hides the teeth."""

LARGEST_BLEND = 0.25
"""At most this share of a second expression is mixed in, so that neighbouring expressions overlap."""


def action_units(face: Face) -> dict[str, float]:
    """Return the intensity (0..1.2) of every action unit of `face`.

    At degree 0, and for `neutral` at any degree, only the resting tone remains, which depends on identity
    and variation alone.
    """
    rng = np.random.default_rng([_STREAM_MIX, face.identity, EIGHT.index(face.expression), face.variation])
    strength = {} if face.expression == "neutral" else _mixed(face.expression, face.identity, rng)
    active = {name: value * _ramp(name, face.degree) for name, value in strength.items()}
    rest = _resting(face)
    return {name: min(1.2, active.get(name, 0.0) + rest.get(name, 0.0)) for name in ACTION_UNITS}


def _mixed(expression: str, identity: int, rng: np.random.Generator) -> dict[str, float]:
    prototype = BARED_ANGER if expression == "anger" and rng.uniform() < 0.3 else EXPRESSION_ACTIONS[expression]
    second = EXPRESSION_ACTIONS[EIGHT[rng.integers(1, len(EIGHT))]]
    share = LARGEST_BLEND * rng.uniform() ** 2
    jitter = rng.uniform(0.75, 1.2, len(ACTION_UNITS))
    mixed = {
        name: factor * ((1 - share) * prototype.get(name, 0.0) + share * second.get(name, 0.0))
        for name, factor in zip(ACTION_UNITS, jitter, strict=True)
    }
    return _mirrored(mixed) if person_of(identity).contempt_side < 0 else mixed


def _mirrored(units: dict[str, float]) -> dict[str, float]:
    swap = {"L": "R", "R": "L"}
    return {name[:-1] + swap[name[-1]] if name[-1] in swap else name: value for name, value in units.items()}


def _ramp(name: str, degree: float) -> float:
    if name != "AU25":
        return degree
    return max(0.0, degree - PARTING_ONSET) / (1 - PARTING_ONSET)


def _resting(face: Face) -> dict[str, float]:
    rng = np.random.default_rng([_STREAM_REST, face.identity, face.variation])
    names = ("AU1", "AU2", "AU4", "AU5", "AU7", "AU43")
    return {name: float(value) for name, value in zip(names, 0.15 * rng.uniform(0, 1, 6) ** 2, strict=True)}
