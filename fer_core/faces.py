"""From a catalog row to face crops: landmarks -> one affine warp that crops, rotates and resizes.

Formula letters: all transforms are 2x3 matrices that map source pixels to crop pixels (pixel centres at integers).
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from fer_core.datasets import REGISTRY
from fer_core.datasets.base import Rejected
from fer_core.directories import read_shard, write_table
from fer_core.ingest import decode, set_aside_table
from fer_core.records import SAMPLE_SCHEMA

ROTATIONS = (-10.0, -5.0, 0.0, 5.0, 10.0)
"""Degrees of the offline rotations of training rows (mul_dml, section IV-A)."""
FACE_MARGIN = 0.15
"""Of the landmarks' box, added on each side. Ours: the paper prints only that crops are by landmarks."""
PNG_UP_TO = 96
"""Crops of at most this size are stored as PNG: they are small, and JPEG blocks would be a sixth of the face."""
JPEG_QUALITY = 95


def face_transform(
    landmarks_P2: np.ndarray | None, height: int, width: int, face_size: int, rotation: float
) -> np.ndarray:
    """The one warp of a face: float64 (2, 3), source pixels -> crop pixels.

    The crop is the square around the landmarks' box (the frame's largest centred square where the frame is the face),
    turned by `rotation` degrees counter-clockwise about its centre.

    Args:
        landmarks_P2: (P, 2) x, y in pixels, or None where the whole frame is the face.
        height, width: of the source picture, pixels.
        face_size: side of the crop, pixels.
        rotation: degrees.
    """
    if landmarks_P2 is None:
        centre, side = np.array([(width - 1) / 2, (height - 1) / 2]), float(min(height, width))
    else:
        low, high = landmarks_P2.min(axis=0), landmarks_P2.max(axis=0)
        centre, side = (low + high) / 2, float((high - low).max()) * (1 + 2 * FACE_MARGIN)
    scale = face_size / side
    turn = np.deg2rad(rotation)
    linear = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.hstack([linear, ((face_size - 1) / 2 - linear @ centre)[:, None]])


def warp(image: np.ndarray, transform: np.ndarray, face_size: int) -> np.ndarray:
    """Apply a face transform: uint8 (H, W[, 3]) -> (face_size, face_size[, 3]).

    Where the face is shrunk more than twofold the picture is smoothed first, as one bilinear sample would alias.
    """
    shrink = 1 / np.sqrt(abs(np.linalg.det(transform[:, :2])))
    if shrink > 2:
        image = cv2.GaussianBlur(image, (0, 0), 0.35 * shrink)
    size = (face_size, face_size)
    return cv2.warpAffine(image, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def encode(image: np.ndarray) -> bytes:
    """Encode a grey or RGB crop: PNG up to PNG_UP_TO pixels, JPEG above."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if image.shape[0] <= PNG_UP_TO:
        return cv2.imencode(".png", pixels)[1].tobytes()
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def write_face_shard(catalog: Path, shard: str, folder: Path, face_size: int, rotations: tuple[float, ...]) -> int:
    """Crop one shard of a catalog into one of faces, unless it stands already; the number of its pictures."""
    table = read_shard(catalog, shard)
    aside = shard.replace("part-", "aside-")
    if not ((folder / shard).exists() and (folder / aside).exists()):
        faces, rejected = face_partition(table, face_size, rotations)
        write_table(folder / aside, set_aside_table(rejected))
        write_table(folder / shard, faces)
    return len(table)


def face_partition(catalog: pa.Table, face_size: int, rotations: tuple[float, ...]) -> tuple[pa.Table, list[Rejected]]:
    """Crop every picture of a catalog shard: (rows, records set aside).

    Rows that may be trained on (split train, or none prescribed) come once per rotation, the others upright only.
    """
    made: list[dict[str, Any]] = []
    rejected = []
    for row in catalog.to_pylist():
        landmarks = _landmarks(row)
        reason = _why_not(landmarks, REGISTRY[row["dataset"]].is_face_crop)
        if reason:
            rejected.append(Rejected(row["source_path"], reason))
            continue
        image = decode(row["image"])
        assert image is not None, "ingest has decoded it"
        angles = rotations if row["split"] in (None, "train") else (0.0,)
        made += [_crop(row, image, landmarks, face_size, angle) for angle in angles]
    return pa.Table.from_pylist(made, schema=SAMPLE_SCHEMA), rejected


def _why_not(landmarks_P3: np.ndarray | None, is_face_crop: bool) -> str | None:
    """Why a picture cannot be cropped, or None."""
    if landmarks_P3 is None:
        return None if is_face_crop else "no landmarks to crop by"
    return "all landmarks are one point" if np.ptp(landmarks_P3[:, :2], axis=0).max() < 1 else None


def _landmarks(row: dict[str, Any]) -> np.ndarray | None:
    return None if row["landmarks"] is None else np.asarray(row["landmarks"]).reshape(-1, 3)


def _crop(
    row: dict[str, Any], image: np.ndarray, landmarks_P3: np.ndarray | None, face_size: int, rotation: float
) -> dict[str, Any]:
    points = None if landmarks_P3 is None else landmarks_P3[:, :2]
    transform = face_transform(points, image.shape[0], image.shape[1], face_size, rotation)
    crop = warp(image, transform, face_size)
    moved = None
    if landmarks_P3 is not None:
        depth = landmarks_P3[:, 2:] * np.sqrt(abs(np.linalg.det(transform[:, :2])))
        moved = np.hstack([landmarks_P3[:, :2] @ transform[:, :2].T + transform[:, 2], depth]).ravel().tolist()
    known = {"rotation": rotation, "image": encode(crop), "landmarks": moved, "height": face_size, "width": face_size}
    return {**row, **known}
