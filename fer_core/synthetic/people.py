"""Identities: everything about a face that stays when the expression changes."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_STREAM = 11

Colour = tuple[float, float, float]
"""Red, green, blue in 0..255."""

SKIN_TONES: tuple[Colour, ...] = (
    (248, 216, 196),
    (240, 200, 170),
    (226, 182, 148),
    (208, 160, 120),
    (184, 134, 96),
    (156, 108, 76),
    (134, 92, 66),
    (114, 78, 56),
)
HAIR_COLOURS: tuple[Colour, ...] = (
    (28, 22, 20),
    (48, 34, 26),
    (78, 50, 32),
    (112, 72, 42),
    (150, 104, 58),
    (198, 160, 96),
    (142, 66, 36),
    (150, 148, 146),
    (206, 204, 200),
)
EYE_COLOURS: tuple[Colour, ...] = ((58, 38, 26), (84, 56, 32), (96, 110, 64), (74, 110, 140), (104, 130, 140))
HAIR_STYLES = ("short", "side_part", "fringe", "long", "bob", "curly", "afro", "receding", "bald", "bun")
FACIAL_HAIR = ("none", "stubble", "moustache", "beard")


@dataclass(frozen=True)
class Person:
    """One identity. Lengths in model units: the eyes lie at height 0, about 0.37 left and right of the middle.

    `masculine` and `age` run from 0 to 1 and only bias the other fields (facial hair, brows, lips, folds).
    `brow_tilt` and `mouth_curve` are the resting look that makes some people seem cross or cheerful.
    """

    masculine: float
    age: float
    head_width: float
    chin: float
    skull_top: float
    jaw_squareness: float
    eye_x: float
    eye_width: float
    eye_openness: float
    eye_tilt: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_fullness: float
    mouth_curve: float
    contempt_side: int
    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    hair_style: str
    hairline: float
    facial_hair: str
    glasses: bool
    earrings: bool


@lru_cache(maxsize=4096)
def person_of(identity: int) -> Person:
    """Draw the person numbered `identity` (0 or above); the same number is the same person for ever."""
    rng = np.random.default_rng([_STREAM, identity])
    masculine = float(np.clip(rng.normal(0.5, 0.45), 0, 1))
    age = float(rng.uniform(0, 1) ** 1.3)
    return Person(masculine=masculine, age=age, **_shape(rng, masculine), **_look(rng, masculine, age))


def _shape(rng: np.random.Generator, masculine: float) -> dict:
    def around(centre: float, spread: float) -> float:
        return float(centre + spread * np.clip(rng.normal(0, 0.55), -1, 1))

    return {
        "head_width": around(0.83, 0.09),
        "chin": around(1.10 + 0.04 * masculine, 0.05),
        "skull_top": around(0.84, 0.06),
        "jaw_squareness": around(0.35 + 0.45 * masculine, 0.3),
        "eye_x": around(0.37, 0.05),
        "eye_width": around(0.205 - 0.015 * masculine, 0.028),
        "eye_openness": around(1.0 - 0.1 * masculine, 0.16),
        "eye_tilt": around(0.015, 0.04),
        "brow_y": around(0.27 - 0.025 * masculine, 0.03),
        "brow_thickness": around(0.055 + 0.03 * masculine, 0.025),
        "brow_arch": around(0.055 - 0.02 * masculine, 0.035),
        "brow_tilt": around(0.0, 0.06),
        "nose_length": around(0.43, 0.05),
        "nose_width": around(0.15 + 0.015 * masculine, 0.035),
        "mouth_width": around(0.32, 0.045),
        "lip_fullness": around(1.05 - 0.25 * masculine, 0.3),
        "mouth_curve": around(0.0, 0.035),
        "contempt_side": int(rng.choice((-1, 1))),
    }


def _look(rng: np.random.Generator, masculine: float, age: float) -> dict:
    skin = _between(SKIN_TONES, rng.uniform(0, len(SKIN_TONES) - 1))
    dark = skin[0] < 170
    hair = HAIR_COLOURS[rng.integers(0, 3 if dark else 7)]
    if rng.uniform() < age - 0.5:
        hair = HAIR_COLOURS[rng.integers(7, 9)]
    rouge = rng.uniform(0, 1) * (1 - masculine)
    bearded = masculine > 0.5 and rng.uniform() < 0.5
    return {
        "skin": skin,
        "hair": hair,
        "iris": EYE_COLOURS[rng.integers(0, 2 if dark else len(EYE_COLOURS))],
        "lips": _mix(_mix(skin, (150, 60, 58), 0.42), (176, 34, 56), 0.6 * rouge),
        "clothes": tuple(float(v) for v in muted(rng, 35, 200)),
        "hair_style": _hair_style(rng, masculine, age),
        "hairline": float(rng.uniform(-0.04, 0.05)),
        "facial_hair": str(rng.choice(FACIAL_HAIR[1:])) if bearded else "none",
        "glasses": bool(rng.uniform() < 0.2),
        "earrings": bool(masculine < 0.4 and rng.uniform() < 0.4),
    }


def _hair_style(rng: np.random.Generator, masculine: float, age: float) -> str:
    if masculine > 0.5:
        weights = np.array([4, 3, 1.5, 0.4, 0, 1.5, 1, 1 + 2 * age, 1 + 2 * age, 0.2])
    else:
        weights = np.array([0.8, 1.5, 2, 4, 3, 1.5, 1, 0, 0.1, 2.0])
    return str(rng.choice(HAIR_STYLES, p=weights / weights.sum()))


def muted(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Draw a colour (3,) of channels in low..high, half as saturated as three free channels would be."""
    colour = rng.uniform(low, high, 3)
    return colour.mean() + 0.5 * (colour - colour.mean())


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def _between(tones: tuple[Colour, ...], position: float) -> Colour:
    low = min(int(position), len(tones) - 2)
    return _mix(tones[low], tones[low + 1], position - low)
