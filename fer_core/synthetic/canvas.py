"""Drawing with sub-pixel points on an enlarged canvas that is averaged down at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import cv2
import numpy as np

_SHIFT = 4


class Canvas:
    """A square uint8 RGB or grey picture, `factor` times enlarged; all coordinates are final picture pixels."""

    def __init__(self, pixels: np.ndarray, factor: int):
        self.pixels = pixels
        self.factor = factor

    def fill(self, points: np.ndarray, colour: tuple[float, ...]) -> None:
        """Fill the polygon (N, 2)."""
        cv2.fillPoly(self.pixels, [self._fixed(points)], colour, cv2.LINE_AA, _SHIFT)

    def line(self, points: np.ndarray, colour: tuple[float, ...], width: float, closed: bool = False) -> None:
        """Draw through the points (N, 2), `width` final pixels wide."""
        thickness = max(1, round(width * self.factor))
        cv2.polylines(self.pixels, [self._fixed(points)], closed, colour, thickness, cv2.LINE_AA, _SHIFT)

    def blend(self, points: np.ndarray, colour: tuple[float, ...], share: float) -> None:
        """Fill the polygon (N, 2) with `share` (0..1) of the colour over what is there."""
        layer = self.pixels.copy()
        cv2.fillPoly(layer, [self._fixed(points)], colour, cv2.LINE_AA, _SHIFT)
        cv2.addWeighted(layer, share, self.pixels, 1 - share, 0, dst=self.pixels)

    @contextmanager
    def clipped(self, points: np.ndarray) -> Iterator["Canvas"]:
        """Yield a canvas whose drawing is kept only inside the polygon (N, 2)."""
        inner = Canvas(self.pixels.copy(), self.factor)
        yield inner
        mask = np.zeros(self.pixels.shape[:2], np.uint8)
        cv2.fillPoly(mask, [self._fixed(points)], 255, cv2.LINE_8, _SHIFT)
        cv2.copyTo(inner.pixels, mask, self.pixels)

    def blur(self, sigma: float) -> None:
        """Smooth with a Gaussian of `sigma` final pixels."""
        cv2.GaussianBlur(self.pixels, (0, 0), sigma * self.factor, dst=self.pixels)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        enlarged = (points[:, :2] + 0.5) * self.factor - 0.5
        return np.rint(enlarged * (1 << _SHIFT)).astype(np.int32)


def smooth(points: np.ndarray, closed: bool = False, steps: int = 5) -> np.ndarray:
    """Pass a Catmull-Rom curve through points (N, D), `steps` samples for each piece."""
    return _spline(len(points), closed, steps) @ points


def disc(centre: np.ndarray, radius_x: float, radius_y: float) -> np.ndarray:
    """Polygon (24, 2) of an upright ellipse."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return centre[:2] + np.column_stack([radius_x * np.cos(turn), radius_y * np.sin(turn)])


@lru_cache(maxsize=64)
def _spline(num_points: int, closed: bool, steps: int) -> np.ndarray:
    """The curve is linear in its points, so one cached matrix serves every curve of the same kind."""
    share = np.linspace(0, 1, steps, endpoint=False)[:, None]
    basis = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    weights = np.concatenate([share**0, share, share**2, share**3], axis=1) @ basis
    num_pieces = num_points if closed else num_points - 1
    matrix = np.zeros((num_pieces * steps + (not closed), num_points))
    for piece in range(num_pieces):
        for offset in range(4):
            index = piece + offset - 1
            index = index % num_points if closed else min(max(index, 0), num_points - 1)
            matrix[piece * steps : (piece + 1) * steps, index] += weights[:, offset]
    if not closed:
        matrix[-1, -1] = 1.0
    return matrix
