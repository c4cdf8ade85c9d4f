"""What is to be drawn: the five fields that alone determine a synthetic face."""

from dataclasses import dataclass

import numpy as np

from fer_core.errors import InputError
from fer_core.vocabulary import EIGHT

MAX_YAW = 45.0
"""Degrees. Beyond it a far eye would vanish and landmarks would no longer be visible features."""


@dataclass(frozen=True)
class Face:
    """One synthetic photograph. Equal fields give equal bytes, in every process.

    Left and right are the viewer's throughout this package.

    Attributes:
        identity: Person, 0 or above: head shape, features, skin, hair, resting expression.
        expression: One of `fer_core.vocabulary.EIGHT`.
        degree: Intensity in [0, 1]; 0 is that person's neutral face whatever the expression.
        yaw: Degrees in [-45, 45] about the vertical axis; positive turns the face to the viewer's right.
        variation: Which take, 0 or above: jitter of light, background, framing, roll and expression mix.

    Raises:
        InputError: A field is outside its range.
    """

    identity: int
    expression: str
    degree: float
    yaw: float
    variation: int = 0

    def __post_init__(self) -> None:
        if self.expression not in EIGHT:
            raise InputError(f"expression {self.expression!r} is unknown: choose one of {', '.join(EIGHT)}.")
        # Written as "not inside" so that NaN is refused too.
        if not 0.0 <= self.degree <= 1.0:
            raise InputError(f"degree {self.degree} is out of range: choose a number from 0 to 1.")
        if not -MAX_YAW <= self.yaw <= MAX_YAW:
            raise InputError(f"yaw {self.yaw} is out of range: choose degrees from {-MAX_YAW:g} to {MAX_YAW:g}.")
        for name in ("identity", "variation"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < 0:
                raise InputError(f"{name} {value!r} is out of range: choose a whole number, 0 or above.")
