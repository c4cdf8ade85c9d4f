"""The pixels of a crop: one warp, and how they are stored."""

import math

import cv2
import numpy as np

PNG_UP_TO = 96
"""Crops of at most this size are stored as PNG: they are small, and JPEG blocks would be a sixth of the face."""
JPEG_QUALITY = 95


def scale_of(transform: np.ndarray) -> float:
    """Crop pixels a source pixel, of a similarity (2, 3)."""
    return math.hypot(transform[0, 0], transform[0, 1])


def warp(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Apply a similarity (2, 3): uint8 (H, W[, 3]) -> (size, size[, 3]), bilinear, the border repeated.

    Where the face is shrunk more than twofold the picture is smoothed first, as one bilinear sample would alias.
    """
    shrink = 1 / scale_of(transform)
    if shrink > 2:
        image = cv2.GaussianBlur(image, (0, 0), 0.35 * shrink)
    return cv2.warpAffine(image, transform, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def encode(image: np.ndarray) -> bytes:
    """Encode a grey or RGB crop: PNG up to PNG_UP_TO pixels, JPEG above."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if image.shape[0] <= PNG_UP_TO:
        return cv2.imencode(".png", pixels)[1].tobytes()
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
