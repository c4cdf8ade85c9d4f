"""What a detector says about one face, and which of several faces a picture is about."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np


class Detection(NamedTuple):
    """One face.

    Attributes:
        box: left, top, right, bottom in pixels (centres at integers); may reach beyond the picture.
        score: O-Net's probability of a face.
        landmarks_52: float32 (5, 2) x, y in pixels: left eye, right eye, nose tip, left and right corner of the mouth.
            Left is the viewer's: in an upright face the left one has the smaller x. Hidden ones are guesses.
        how: `mtcnn`, or `mtcnn, second look` where only the laxer look found it.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks_52: np.ndarray
    how: str

    @property
    def area(self) -> float:
        """Pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)

    @property
    def centre(self) -> np.ndarray:
        """The box's, (2,) x, y."""
        left, top, right, bottom = self.box
        return np.array([left + right, top + bottom]) / 2


def intersection_over_union(one: Sequence[float], other: Sequence[float]) -> float:
    """The intersection of two boxes (left, top, right, bottom) as a share of their union; 0 for boxes that are empty.

    For one pair; `boxes.overlaps` is its form for all pairs of many.
    """
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return wide * high / max(areas - wide * high, 1e-9)


def choose_face(
    detections: Sequence[Detection], which: Literal["largest", "central"], height: int, width: int
) -> Detection | None:
    """The face that a picture of one person is about, or None where there is none; the better scored of equals.

    Args:
        detections: of one picture.
        which: the one with the largest box, or whose box's centre is nearest to the picture's.
        height, width: of the picture, pixels.
    """
    if which == "largest":
        return max(detections, key=lambda face: face.area, default=None)
    middle = np.array([width - 1, height - 1]) / 2
    return min(detections, key=lambda face: float(np.linalg.norm(face.centre - middle)), default=None)
