"""The 83-point 3-D face: a head surface, and how a person and action units place the features on it.

Model coordinates: x to the viewer's right, y up, z to the viewer; the eyes lie at height 0 and the head is
about 1.7 wide. 83 points in eight groups as in the BU-3DFE landmark set (Yin et al. 2006).
"""

import numpy as np

from fer_core.synthetic.actions import action_units
from fer_core.synthetic.face import Face
from fer_core.synthetic.people import Person, person_of

LANDMARK_GROUPS: dict[str, slice] = {
    "left_eye": slice(0, 8),
    "right_eye": slice(8, 16),
    "left_brow": slice(16, 26),
    "right_brow": slice(26, 36),
    "nose": slice(36, 48),
    "outer_mouth": slice(48, 60),
    "inner_mouth": slice(60, 68),
    "contour": slice(68, 83),
    "left_eye_lower": slice(5, 8),
    "right_eye_lower": slice(13, 16),
    "mouth_corners": slice(48, 60, 6),
    "nose_tip": slice(46, 47),
}
"""Indices of the landmarks; left is the viewer's left.

Eyes: outer corner, three of the upper lid, inner corner, three of the lower lid. Brows: upper edge from the
inner to the outer end, then the lower edge back. Nose: five down each side, the tip, the point under the
septum. Mouths: left corner, upper edge, right corner, lower edge. Contour: left temple, chin, right temple.
"""

ROUNDNESS = 2.5
"""Exponent of the head's horizontal sections, |x/w|^p + |z/d|^p = 1: flatter in front than an ellipse."""

JAW_DROP = 0.26
"""Fall of the chin, in model units, at AU26 = 1."""


def landmarks_3d(face: Face) -> np.ndarray:
    """Return the landmarks in the head frame, before pose.

    Args:
        face: Identity, expression, degree and variation are used; yaw is not.

    Returns:
        float32 (83, 3), x right, y up, z to the viewer, in model units (the eyes about 0.74 apart).
    """
    return landmarks_of(person_of(face.identity), action_units(face)).astype(np.float32)


def landmarks_of(person: Person, units: dict[str, float]) -> np.ndarray:
    """Return float64 (83, 3) landmarks of `person` with action units `units` (see `action_units`)."""
    outer, inner = _mouth(person, units)
    flat = np.concatenate(
        [
            _both_sides(_eye(person, units)),
            _both_sides(_brow(person, units)),
            np.zeros((12, 2)),
            outer,
            inner,
            _contour(person, units),
        ]
    )
    points = on_head(person, flat, jaw_drop(units))
    points[48:68, 2] += 0.05 * (1 - (points[48:68, 0] / 0.6) ** 2)
    points[LANDMARK_GROUPS["nose"]] = _nose(person, units)
    return points


def section(person: Person, height: np.ndarray, drop: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half width, half depth and z of the centre of the head's horizontal section at each height (N,).

    `drop` is the fall of the chin in model units (`jaw_drop`): the lower face stretches with it.
    """
    if drop:
        resting = np.linspace(-person.chin, -0.3, 24)
        height = np.where(height < -0.3, np.interp(height, resting - jaw_shift(drop, resting), resting), height)
    up = np.clip(height / person.skull_top, 0, 1)
    down = np.clip(-height / person.chin, 0, 1)
    bend = 1.35 + 0.9 * person.jaw_squareness
    width = person.head_width * (1 - up**2.6) ** 0.45 * (1 - down**2.6) ** (1 / bend)
    front = 0.80 * (1 - up**2.6) ** 0.5 * (1 - (0.88 * down) ** 3) ** 0.4
    back = -0.85 * (1 - up**2.4) ** 0.5 + 1.0 * down**2 * (3 - 2 * down)
    return width, (front - back) / 2, (front + back) / 2


def on_head(person: Person, points: np.ndarray, drop: float = 0.0) -> np.ndarray:
    """Lift (N, 2) points x, y to (N, 3) on the front of the head; points beside the head lie at its rim."""
    width, depth, centre = section(person, points[:, 1], drop)
    across = np.clip(np.abs(points[:, 0]) / np.maximum(width, 1e-6), 0, 1)
    z = centre + depth * (1 - across**ROUNDNESS) ** (1 / ROUNDNESS)
    return np.column_stack([points, z])


def jaw_drop(units: dict[str, float]) -> float:
    """Fall of the chin in model units."""
    return JAW_DROP * min(1.0, units["AU26"])


def jaw_shift(drop: float, height: np.ndarray) -> np.ndarray:
    """How far points at each resting height (N,) fall when the chin falls by `drop`; 0 above the nose base."""
    share = np.clip((-0.35 - height) / 0.6, 0, 1)
    return drop * share**2 * (3 - 2 * share)


def _both_sides(right: np.ndarray) -> np.ndarray:
    return np.concatenate([right * (-1, 1), right])


def _eye(person: Person, units: dict[str, float]) -> np.ndarray:
    along = np.array([1, 0.5, 0, -0.5, -1, -0.5, 0, 0.5])
    upper = 0.6 * person.eye_width * person.eye_openness
    upper *= 1 + 0.6 * units["AU5"] - 0.2 * units["AU6"] - 0.35 * units["AU7"] - 0.5 * units["AU43"]
    lower = 0.4 * person.eye_width
    lower *= 1 + 0.3 * units["AU5"] - 0.9 * units["AU6"] - 0.45 * units["AU7"]
    upper, lower = max(upper, 0.01), max(lower, -0.02)
    lift = np.concatenate([upper * np.array([0, 0.78, 1, 0.8, 0]), -lower * np.array([0.7, 1, 0.8])])
    # Sadness pulls the inner lid up with the brow and lets the outer lid sag.
    lift[1:4] += units["AU1"] * np.array([-0.01, 0.0, 0.02]) - units["AU43"] * np.array([0.025, 0.0, -0.01])
    slant = (person.eye_tilt - 0.025 * units["AU43"]) * along
    return np.column_stack([person.eye_x + person.eye_width * along, lift + slant])


def _brow(person: Person, units: dict[str, float]) -> np.ndarray:
    along = np.linspace(0, 1, 5)
    x = person.eye_x - 0.21 + 0.48 * along - 0.075 * units["AU4"] * (1 - along)
    y = person.brow_y + person.brow_arch * np.sin(np.pi * along**1.3) + person.brow_tilt * (along - 0.5)
    y = y + 0.20 * units["AU1"] * (1 - along) ** 1.1 + 0.20 * units["AU2"] * along * (2 - along) * (1.1 - 0.35 * along)
    y = y - 0.17 * units["AU4"] * (1 - 0.8 * along) - 0.07 * units["AU9"] * (1 - along) - 0.03 * units["AU6"]
    half = person.brow_thickness / 2 * np.array([0.85, 1, 1, 0.8, 0.3])
    return np.concatenate([np.column_stack([x, y + half]), np.column_stack([x, y - half])[::-1]])


def _nose(person: Person, units: dict[str, float]) -> np.ndarray:
    length, width = person.nose_length, person.nose_width
    x = np.array([0.45, 0.5, 0.85, 1.0, 0.55, 0.0, 0.0]) * width
    y = np.array([0.05, -0.5 * length, -0.86 * length, -length, -1.08 * length, -0.9 * length, -1.1 * length])
    lift = np.array([0.06, 0.14, 0.13, 0.07, 0.10, 0.30, 0.12])
    x[2:5] *= 1 + 0.18 * units["AU9"] + 0.06 * units["AU12L"] + 0.06 * units["AU12R"]
    y[2:] += units["AU9"] * np.array([0.06, 0.06, 0.04, 0.04, 0.03])
    side = on_head(person, np.column_stack([x, y]))
    side[:, 2] += lift
    return np.concatenate([side[:5] * (-1, 1, 1), side])


def _mouth(person: Person, units: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Outer (12, 2) and inner (8, 2) edge of the lips, each from the left corner over the top."""
    outer_along = np.array([-1, -0.8, -0.33, 0, 0.33, 0.8, 1])
    inner_along = np.array([-1, -0.72, 0, 0.72, 1])
    smile = (units["AU12L"] + units["AU12R"]) / 2
    thin = max(0.1, 1 - 0.75 * units["AU23"] - 0.3 * smile)
    upper_lip = 0.055 * person.lip_fullness * thin * np.array([0, 0.55, 1, 0.85, 1, 0.55, 0])
    lower_lip = 0.08 * person.lip_fullness * thin * np.array([0, 0.55, 0.97, 1, 0.97, 0.55, 0])
    top, bottom = _mouth_opening(person, units, outer_along)
    outer = _loop(person, units, outer_along, top + upper_lip, bottom - lower_lip)
    return outer, _loop(person, units, inner_along, *_mouth_opening(person, units, inner_along))


def _mouth_opening(person: Person, units: dict[str, float], along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the lower edge of the upper lip and the upper edge of the lower lip at `along` in -1..1."""
    smile = (units["AU12L"] + units["AU12R"]) / 2
    raised = 0.09 * units["AU10"] + 0.03 * units["AU9"]
    jaw = jaw_drop(units)
    side = np.where(along < 0, units["AU12L"], units["AU12R"])
    dimple = np.where(along < 0, units["AU14L"], units["AU14R"])
    corner = person.mouth_curve + 0.15 * side + 0.045 * dimple - 0.13 * units["AU15"] - 0.03 * units["AU20"]
    corner = corner - 0.5 * jaw
    middle = mouth_height(person) + 0.04 * units["AU17"] - 0.02 * smile
    line = middle + corner * np.abs(along) ** 1.6
    arch = np.maximum(0, 1 - along**2) ** (0.65 - 0.15 * min(1.0, units["AU26"]) - 0.15 * min(1.0, units["AU20"]))
    top = line + (raised + 0.025 * units["AU25"] + 0.05 * units["AU26"]) * arch
    parted = units["AU25"] * (0.05 + 0.11 * smile + 0.05 * units["AU20"])
    closing = raised * (1 - min(1.0, 1.6 * units["AU25"]))
    bottom = line + (closing - parted - 1.15 * jaw) * arch
    return np.maximum(top, bottom), bottom


def mouth_height(person: Person) -> float:
    """Height of the resting mouth line, between nose base and chin."""
    return -1.1 * person.nose_length - 0.36 * (person.chin - 1.1 * person.nose_length)


def _loop(
    person: Person, units: dict[str, float], along: np.ndarray, top: np.ndarray, bottom: np.ndarray
) -> np.ndarray:
    side = np.where(along < 0, units["AU12L"], units["AU12R"])
    dimple = np.where(along < 0, units["AU14L"], units["AU14R"])
    pucker = 0.12 * units["AU26"] * max(0.0, 1 - units["AU20"]) + 0.05 * units["AU23"] + 0.02 * units["AU15"]
    x = along * (person.mouth_width + 0.11 * side + 0.05 * dimple + 0.10 * units["AU20"] - pucker)
    upper, lower = np.column_stack([x, top]), np.column_stack([x, bottom])
    return np.concatenate([upper, lower[-2:0:-1]])


def _contour(person: Person, units: dict[str, float]) -> np.ndarray:
    turn = np.linspace(-np.pi / 2, np.pi / 2, 15)
    y = 0.15 - (person.chin + 0.13) * np.cos(turn)
    x = 0.985 * section(person, y)[0] * np.sign(np.round(turn, 9))
    return np.column_stack([x, y - jaw_shift(jaw_drop(units), y)])
