"""From catalog rows to face crops, a shard at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from fer_core.datasets.base import Rejected
from fer_core.directories import read_shard
from fer_core.faces.finding import Cropping, Face, find_faces
from fer_core.faces.placement import transform_of
from fer_core.faces.warp import crops_of, encode, scale_of
from fer_core.files import write_table
from fer_core.ingest.scanning import set_aside_table
from fer_core.pictures import decode
from fer_core.pose import estimated_view, known_view
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import index_name, write_picture_shard

MOST_AT_ONCE, PIXELS_AT_ONCE = 32, 2**24
"""Pictures decoded at once, and their pixels: what detection takes in one batch, and all that is in memory."""


def write_face_shard(file: Path, sha256: str, folder: Path, cropping: Cropping) -> int:
    """Crop one shard of a catalog into one of faces, unless it stands already; the number of its pictures.

    Meant for a worker that has a core to itself: torch is told to use one thread from here on.

    Args:
        file: the catalog's shard.
        sha256: of it, as the catalog's manifest says. Read there once for all shards: a million rows make it long.
        folder: of the faces; the shard has the same name there.

    Raises:
        InputError: the catalog's shard is missing or damaged.
    """
    torch.set_num_threads(1)
    shard = file.name
    files = (shard, index_name(shard), shard.replace("part-", "aside-"))
    table = read_shard(file, sha256)
    if not all((folder / name).exists() for name in files):
        faces, rejected = face_partition(table, cropping)
        write_table(folder / files[2], set_aside_table(rejected))
        write_picture_shard(folder, shard, faces)
    return len(table)


def face_partition(catalog: pa.Table, cropping: Cropping) -> tuple[pa.Table, list[Rejected]]:
    """Crop every picture of a catalog shard: (rows, records set aside).

    Rows that may be trained on (split train, or none prescribed) come once per rotation, the others upright only; in
    the virtual form all come once.
    """
    made: list[dict[str, Any]] = []
    rejected: list[Rejected] = []
    for part in _in_parts(catalog):
        rows = part.to_pylist()
        images = [_decoded(row) for row in rows]
        for row, image, face in zip(rows, images, find_faces(rows, images, cropping), strict=True):
            if isinstance(face, str):
                rejected.append(Rejected(row["source_path"], face))
            else:
                made += _crops(row, image, face, cropping)
    return pa.Table.from_pylist(made, schema=SAMPLE_SCHEMA), rejected


def _in_parts(catalog: pa.Table) -> Iterator[pa.Table]:
    """A catalog's rows, so many at once that their pictures decoded are not too much."""
    height, width = (catalog[name].fill_null(0).to_numpy().astype(np.int64) for name in ("height", "width"))
    pixels = height * width
    start = 0
    while start < len(catalog):
        room = np.searchsorted(np.cumsum(pixels[start : start + MOST_AT_ONCE]), PIXELS_AT_ONCE, side="right")
        yield catalog.slice(start, max(1, int(room)))
        start += max(1, int(room))


def _decoded(row: dict[str, Any]) -> np.ndarray:
    image = decode(row["image"])
    assert image is not None, "ingest has decoded it"
    return image


def _crops(row: dict[str, Any], image: np.ndarray, face: Face, cropping: Cropping) -> list[dict[str, Any]]:
    """The rows of a picture: one an angle."""
    is_turned = row["split"] in (None, "train") and not cropping.virtual
    angles = cropping.rotations if is_turned else (0.0,)
    size, margin = cropping.face_size, cropping.margin
    known = {**row, **_pose(row, face), "face_box": None, "crop_by": face.placement.by}
    made = []
    for angle, crop in zip(angles, crops_of(image, face.placement, size, angles, margin), strict=True):
        moved = moved_landmarks(face, transform_of(face.placement, size, angle, margin))
        landmarks = None if moved is None else moved.ravel().tolist()
        side = size + 2 * margin
        made.append(
            {**known, "rotation": angle, "image": encode(crop), "landmarks": landmarks, "height": side, "width": side}
        )
    return made


def moved_landmarks(face: Face, transform: np.ndarray) -> np.ndarray | None:
    """The landmarks (P, 3) of a face in pixels of its crop, the depth in the same scale; None where it has none."""
    if face.landmarks_P3 is None:
        return None
    linear_33 = np.zeros((3, 3))
    linear_33[:2, :2] = transform[:, :2]
    linear_33[2, 2] = scale_of(transform)
    moved = face.landmarks_P3 @ linear_33.T
    moved[:, :2] += transform[:, 2]
    return moved


def _pose(row: dict[str, Any], face: Face) -> dict[str, Any]:
    """Yaw and the view it stands for: the data set's own, else an estimate that says so."""
    if row["pose_yaw"] is not None:
        return {"pose_bin": known_view(row["pose_bin"], row["pose_yaw"])}
    if face.yaw is None:
        return {}
    return {"pose_yaw": face.yaw, "pose_bin": estimated_view(face.yaw), "pose_by": "landmarks"}
