"""The pixels of a crop: one warp, and how they are stored."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from fer_core.faces.placement import Placement, transform_of

PNG_UP_TO = 96
"""Crops of at most this size are stored as PNG: they are small, and JPEG blocks would be a sixth of the face."""
JPEG_QUALITY = 95


def crops_of(
    image: np.ndarray, placement: Placement, face_size: int, rotations: Sequence[float] = (0.0,), margin: int = 0
) -> list[np.ndarray]:
    """The crops of a face, one an angle: uint8 (S, S) or (S, S, 3), S = face_size + 2 * margin.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        rotations: degrees, as in transform_of.
        margin: pixels.
    """
    image, placement = averaged(image, placement, face_size, margin)
    size = face_size + 2 * margin
    return [warp(image, transform_of(placement, face_size, angle, margin), size) for angle in rotations]


def warp(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Apply a similarity (2, 3): uint8 (H, W[, 3]) -> (size, size[, 3]), bilinear, the border repeated."""
    return cv2.warpAffine(image, transform, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def averaged(image: np.ndarray, placement: Placement, face_size: int, margin: int) -> tuple[np.ndarray, Placement]:
    """The part of a picture that a face's crops need, and its placement there, for a face that is shrunk a lot.

    A bilinear sample looks at four pixels; where a crop's pixel stands for more, it would pick some of them. So where a
    face shrinks at least twofold, squares of whole pixels are averaged first, and the warp does the rest.
    """
    height, width = image.shape[:2]
    block = min(int(placement.side / face_size), height, width)
    if block < 2:
        return image, placement
    reach = placement.side * (0.5 + margin / face_size) * math.sqrt(2) + block  # corners, however the square is turned
    left, num_across = _span(placement.x, reach, width, block)
    top, num_down = _span(placement.y, reach, height, block)
    part = image[top : top + num_down * block, left : left + num_across * block]
    x, y = ((at + 0.5) / block - 0.5 for at in (placement.x - left, placement.y - top))
    small = cv2.resize(part, (num_across, num_down), interpolation=cv2.INTER_AREA)
    return small, placement._replace(x=x, y=y, side=placement.side / block)


def _span(centre: float, reach: float, extent: int, block: int) -> tuple[int, int]:
    """Where along an axis the part begins, and how many whole blocks it has.

    Blocks are counted from the picture's corner, so that a wider part of it has the same ones.
    """
    num_blocks = extent // block
    first = min(max(0, math.floor((centre - reach) / block)), num_blocks - 1)
    last = min(max(first + 1, math.ceil((centre + reach) / block)), num_blocks)
    return first * block, last - first


def scale_of(transform: np.ndarray) -> float:
    """Crop pixels a source pixel, of a similarity (2, 3)."""
    return math.hypot(transform[0, 0], transform[0, 1])


def encode(image: np.ndarray) -> bytes:
    """Encode a grey or RGB crop: PNG up to PNG_UP_TO pixels, JPEG above."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if image.shape[0] <= PNG_UP_TO:
        return cv2.imencode(".png", pixels)[1].tobytes()
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
