"""Weak perspective: turn the head about the vertical axis, then scale, roll and place it in the picture."""

from dataclasses import dataclass

import numpy as np

from fer_core.synthetic.geometry import ROUNDNESS, jaw_shift, section
from fer_core.synthetic.people import Person


@dataclass(frozen=True)
class Camera:
    """From model coordinates to picture pixels.

    Attributes:
        yaw, roll: Degrees; positive yaw turns the face to the viewer's right, positive roll tilts its top there.
        scale: Pixels for each model unit.
        centre: Pixel (x, y) of the model's origin, the point between the eyes on the head's axis.
    """

    yaw: float
    roll: float
    scale: float
    centre: tuple[float, float]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Take (N, 3) model points to (N, 3): picture x, picture y (down), depth, all in pixels."""
        yaw = np.radians(self.yaw)
        x = points[:, 0] * np.cos(yaw) + points[:, 2] * np.sin(yaw)
        z = points[:, 2] * np.cos(yaw) - points[:, 0] * np.sin(yaw)
        return np.column_stack([self.place(np.column_stack([x, points[:, 1]])), self.scale * z])

    def place(self, turned: np.ndarray) -> np.ndarray:
        """Take (N, 2) points x, y of the already turned head to picture pixels (N, 2)."""
        roll = np.radians(self.roll)
        x = self.centre[0] + self.scale * (turned[:, 0] * np.cos(roll) + turned[:, 1] * np.sin(roll))
        y = self.centre[1] + self.scale * (turned[:, 0] * np.sin(roll) - turned[:, 1] * np.cos(roll))
        return np.column_stack([x, y])


def silhouette(person: Person, drop: float, yaw: float, num_heights: int = 28) -> np.ndarray:
    """Outline (2 * num_heights, 2) of the head turned by `yaw` degrees, its chin fallen by `drop` (see `jaw_drop`).

    In model units, down the left side from the crown, then up the right side.

    A section |x/w|^p + |z/d|^p = 1 seen at angle a is (|w cos a|^q + |d sin a|^q)^(1/q) wide, 1/p + 1/q = 1.
    """
    ring = np.linspace(0, np.pi, num_heights)
    middle, half = (person.skull_top - person.chin) / 2, (person.skull_top + person.chin) / 2
    height = middle + half * np.cos(ring)
    width, depth, centre = section(person, height)
    angle = np.radians(yaw)
    q = ROUNDNESS / (ROUNDNESS - 1)
    reach = (np.abs(width * np.cos(angle)) ** q + np.abs(depth * np.sin(angle)) ** q) ** (1 / q)
    height = height - jaw_shift(drop, height)
    left = np.column_stack([centre * np.sin(angle) - reach, height])
    right = np.column_stack([centre * np.sin(angle) + reach, height])
    return np.concatenate([left, right[::-1]])
