"""From catalog rows to face crops, a shard at a time."""

import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from fer_core.datasets.base import Rejected
from fer_core.detection import FaceDetector, choose_face
from fer_core.directories import read_shard
from fer_core.faces.placement import Placement, by_box, by_frame, by_landmarks, transform_of
from fer_core.faces.warp import encode, scale_of, warp
from fer_core.files import write_table
from fer_core.ingest import decode, set_aside_table
from fer_core.pose import estimated_view, view_of
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import index_name, write_picture_shard

ROTATIONS = (-10.0, -5.0, 0.0, 5.0, 10.0)
"""Degrees of the offline rotations of training rows (mul_dml, section IV-A)."""
AT_ONCE = 32
"""Pictures decoded at once: what detection takes in one batch, and all that is in memory."""


class Cropping(NamedTuple):
    """How faces are found and cropped.

    Attributes:
        face_size: side of a crop, pixels.
        rotations: degrees.
        virtual: store each picture once, upright, with the margin its turns need; else one row an angle.
        landmarks: annotated: those of the data set; mtcnn: found, even where there are annotated ones; auto: annotated,
            else the frame of a face crop, else found.
        face: which of several faces.
        no_face: what becomes of a picture without a face.
    """

    face_size: int
    rotations: tuple[float, ...] = ROTATIONS
    virtual: bool = False
    landmarks: Literal["auto", "annotated", "mtcnn"] = "auto"
    face: Literal["largest", "central"] = "largest"
    no_face: Literal["aside", "centre"] = "aside"

    @property
    def margin(self) -> int:
        """Pixels on each side of a stored crop, so that its largest turn has no empty corner; 0 unless virtual."""
        if not self.virtual:
            return 0
        turn = math.radians(max(abs(angle) for angle in self.rotations))
        return math.ceil(self.face_size * (math.cos(turn) + math.sin(turn) - 1) / 2)


class Face(NamedTuple):
    """A face that was found: its square, and its landmarks (P, 3) in pixels of the picture where there are any."""

    placement: Placement
    landmarks_P3: np.ndarray | None
    yaw: float | None


def write_face_shard(catalog: Path, shard: str, folder: Path, cropping: Cropping) -> int:
    """Crop one shard of a catalog into one of faces, unless it stands already; the number of its pictures."""
    files = (shard, index_name(shard), shard.replace("part-", "aside-"))
    table = read_shard(catalog, shard)
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
    for start in range(0, len(catalog), AT_ONCE):
        rows = catalog.slice(start, AT_ONCE).to_pylist()
        images = [_decoded(row) for row in rows]
        for row, image, face in zip(rows, images, find_faces(rows, images, cropping), strict=True):
            if isinstance(face, str):
                rejected.append(Rejected(row["source_path"], face))
            else:
                made += [_crop(row, image, face, cropping, angle) for angle in _angles(row, cropping)]
    return pa.Table.from_pylist(made, schema=SAMPLE_SCHEMA), rejected


def find_faces(rows: list[dict[str, Any]], images: list[np.ndarray], cropping: Cropping) -> list[Face | str]:
    """The face of each picture, or why it has none."""
    found: list[Face | str | None] = [
        _known_face(row, image, cropping) for row, image in zip(rows, images, strict=True)
    ]
    missing = [place for place, face in enumerate(found) if face is None]
    detections = _detector().detect([images[place] for place in missing]) if missing else []
    for place, several in zip(missing, detections, strict=True):
        found[place] = _detected_face(rows[place], images[place], several, cropping)
    return found  # type: ignore[return-value]


@cache
def _detector() -> FaceDetector:
    return FaceDetector()


def _known_face(row: dict[str, Any], image: np.ndarray, cropping: Cropping) -> Face | str | None:
    """The face that the data set itself tells of, why it is no use, or None where it has to be looked for."""
    if cropping.landmarks != "mtcnn" and row["landmarks"] is not None:
        landmarks = np.asarray(row["landmarks"], dtype=np.float64).reshape(-1, 3)
        return _of_landmarks(landmarks, row["pose_yaw"], "landmarks") or "all landmarks are one point"
    if cropping.landmarks == "annotated":
        return "no annotated landmarks"
    if cropping.landmarks == "auto" and row["is_face_crop"]:
        return Face(by_frame(image.shape[0], image.shape[1], "frame"), None, None)
    return None


def _detected_face(row: dict[str, Any], image: np.ndarray, detections: Iterable[Any], cropping: Cropping) -> Face | str:
    several = list(detections)
    height, width = image.shape[:2]
    chosen = choose_face(several, cropping.face, height, width)
    if chosen is None and row["face_box"] is not None:
        low, high = np.asarray(row["face_box"], dtype=np.float64).reshape(2, 2)
        placement = by_box(low, high, "face box")
        if placement is not None:
            return Face(placement, None, None)
    if chosen is None:
        return Face(by_frame(height, width, "centre"), None, None) if cropping.no_face == "centre" else "no face found"
    points = np.column_stack([chosen.landmarks_52, np.zeros(5)]).astype(np.float64)
    return _of_landmarks(points, row["pose_yaw"], chosen.how) or "no face found"


def _of_landmarks(landmarks_P3: np.ndarray, yaw: float | None, by: str) -> Face | None:
    placed = by_landmarks(landmarks_P3, yaw, by)
    return None if placed is None else Face(placed.placement, landmarks_P3, placed.yaw)


def _angles(row: dict[str, Any], cropping: Cropping) -> tuple[float, ...]:
    return cropping.rotations if row["split"] in (None, "train") and not cropping.virtual else (0.0,)


def _decoded(row: dict[str, Any]) -> np.ndarray:
    image = decode(row["image"])
    assert image is not None, "ingest has decoded it"
    return image


def _crop(row: dict[str, Any], image: np.ndarray, face: Face, cropping: Cropping, rotation: float) -> dict[str, Any]:
    transform = transform_of(face.placement, cropping.face_size, rotation, cropping.margin)
    size = cropping.face_size + 2 * cropping.margin
    moved = moved_landmarks(face, transform)
    return {
        **row,
        **_pose(row, face),
        "rotation": rotation,
        "image": encode(warp(image, transform, size)),
        "landmarks": None if moved is None else moved.ravel().tolist(),
        "face_box": None,
        "crop_by": face.placement.by,
        "height": size,
        "width": size,
    }


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
        return {"pose_bin": view_of(row["pose_yaw"]) if row["pose_bin"] is None else row["pose_bin"]}
    if face.yaw is None:
        return {}
    return {"pose_yaw": face.yaw, "pose_bin": estimated_view(face.yaw), "pose_by": "landmarks"}
