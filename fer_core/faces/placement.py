"""Where the face lies in a picture: the upright square that becomes the crop.

The vertical of a face is the line from between the eyes to the middle of the mouth: turning the head to the side leaves
its direction and length nearly as they are, where the distance between the eyes goes to zero. But a smile shortens that
line and a dropped jaw lengthens it, which the eyes do not. So the scale is taken from both, the eyes counting less the
further the head is turned: views are placed at one scale, and so are expressions.
"""

import math
from typing import NamedTuple

import numpy as np

from fer_core.faces.keypoints import five_points
from fer_core.pose import estimate_yaw

SIDE = 2.6
"""Side of the crop in distances from the eyes to the mouth: brows to chin with about 15 % around. Ours: the papers
print only that crops are by landmarks."""
EYES_APART = 0.9
"""Distance between the eyes in distances from the eyes to the mouth: 63 and 70 mm in pose.GENERIC_FACE_P3."""
EYES_COUNT = 3.0
"""Weight of the eyes' distance in a frontal view, beside 1 of the vertical's length."""
EYES_AT = 0.36
"""Height of the eyes in the crop, from its top."""
BEHIND = 0.17
"""Of the side: how far the middle of a head in full profile lies behind the line from its eyes to its mouth."""
BOX_MARGIN = 0.15
"""Of a box, added on each side."""


class Placement(NamedTuple):
    """An upright square in the picture.

    Attributes:
        x, y: its centre, pixels.
        side: pixels.
        tilt: degrees by which the face is turned clockwise in the picture.
        by: what it was found by.
    """

    x: float
    y: float
    side: float
    tilt: float
    by: str


def by_key_points(points_52: np.ndarray, yaw: float | None, by: str) -> Placement | None:
    """The face of five key points (viewer's left eye, right eye, nose, left and right mouth corner, pixels).

    Args:
        yaw: degrees, positive to the viewer's right; None counts as frontal. Towards profile the square moves back, so
            that the head and not the air before it is in its middle.

    Returns:
        None where eyes and mouth are one point.
    """
    (lx, ly), (rx, ry), _, (mx, my), (nx, ny) = points_52.tolist()
    eyes_x, eyes_y = (lx + rx) / 2, (ly + ry) / 2
    down_x, down_y = (mx + nx) / 2 - eyes_x, (my + ny) / 2 - eyes_y
    length = math.hypot(down_x, down_y)
    if length < 1:
        return None
    down_x, down_y = down_x / length, down_y / length
    side = SIDE * _scale(length, math.hypot(rx - lx, ry - ly), yaw or 0.0)
    below, back = side * (0.5 - EYES_AT), side * BEHIND * math.sin(math.radians(yaw or 0.0))
    # to the right of the face's vertical is (down_y, -down_x)
    x, y = eyes_x + below * down_x - back * down_y, eyes_y + below * down_y + back * down_x
    return Placement(x, y, side, math.degrees(math.atan2(-down_x, down_y)), by)


def _scale(vertical: float, eyes: float, yaw: float) -> float:
    """The length of the vertical of a neutral face, pixels, from its own length and the distance between the eyes."""
    facing = math.cos(math.radians(yaw))
    weight = EYES_COUNT * facing**4  # what is left of the eyes' distance says ever less
    return (vertical + weight * eyes / (EYES_APART * max(facing, 0.1))) / (1 + weight)


class Placed(NamedTuple):
    """Where a face lies, and its yaw in degrees as its key points show it, or None where it has none."""

    placement: Placement
    yaw: float | None


def by_landmarks(landmarks_P2: np.ndarray, yaw: float | None, by: str) -> Placed | None:
    """The face of a set of landmarks (P, 2+), pixels: by its five key points, or by its box where the set is unknown.

    Args:
        yaw: degrees, where it is known; it goes before the estimate.

    Returns:
        None where the landmarks are one point.
    """
    points = five_points(landmarks_P2)
    if points is None:
        placement = by_box(landmarks_P2[:, :2].min(axis=0), landmarks_P2[:, :2].max(axis=0), f"box of {by}")
        return None if placement is None else Placed(placement, None)
    points_52 = points[:, :2]
    if (points_52 == points_52[0]).all():
        return None
    estimated = estimate_yaw(points_52)
    placement = by_key_points(points_52, estimated if yaw is None else yaw, by)
    return None if placement is None else Placed(placement, estimated)


def by_box(low: np.ndarray, high: np.ndarray, by: str) -> Placement | None:
    """The square around a box with corners (2,) `low` and `high`, pixels; None where it is one point."""
    extent = float((high - low).max())
    if extent < 1:
        return None
    x, y = (low + high) / 2
    return Placement(float(x), float(y), extent * (1 + 2 * BOX_MARGIN), 0.0, by)


def by_frame(height: int, width: int, by: str) -> Placement:
    """The largest centred square of the picture."""
    return Placement((width - 1) / 2, (height - 1) / 2, float(min(height, width)), 0.0, by)


def transform_of(placement: Placement, face_size: int, rotation: float, margin: int = 0) -> np.ndarray:
    """The one warp of a face: float64 (2, 3), source pixels -> crop pixels (pixel centres at integers).

    A similarity: the square is made upright, turned by `rotation` degrees counter-clockwise about its centre and
    scaled to `face_size`, with `margin` pixels more on each side.
    """
    scale = face_size / placement.side
    turn = math.radians(rotation + placement.tilt)
    along, across = scale * math.cos(turn), scale * math.sin(turn)
    middle = (face_size - 1) / 2 + margin
    x, y = placement.x, placement.y
    return np.array(
        [[along, across, middle - along * x - across * y], [-across, along, middle + across * x - along * y]]
    )
