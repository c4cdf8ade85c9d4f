"""Face crops as rows: the labels as columns, the pictures by position."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from fer_core.directories import read_columns, read_manifest
from fer_core.errors import InputError
from fer_core.estimated_identities import with_estimates
from fer_core.folds import Part, groups_of, roles
from fer_core.shards import PictureReader
from fer_core.streaming import CLASS_SORTED, PictureStream
from fer_core.vocabulary import EXPRESSIONS

LABEL_COLUMNS = ["sample_id", "split", "subject_id", "sequence_id", "expression", "rotation"]


class Pictures(Protocol):
    """Where the pictures of rows come from: shards read by position, or streamed in blocks."""

    def block_of(self, pictures: np.ndarray) -> np.ndarray | None:
        """The number of the block that each picture is fetched with, or None where each is read by itself."""

    def images(self, pictures: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode pictures: uint8 (B, H, W, 3)."""


@dataclass(frozen=True)
class FaceTable:
    """Face crops with their labels; the pictures stay on disk until they are asked for.

    Attributes:
        sample_id, group, role: str arrays (N,). `group` is the subject (estimated where that was asked for), else the
            sequence, else the picture.
        label: int64 (N,), index into `classes`.
        rotation: float32 (N,), degrees.
        picture: int64 (N,), position among `pictures`.
        classes: expression names, in the order of the vocabulary.
        has_subjects: whether `group` is the subject throughout.
        pictures: reads them.
        margin: pixels round a crop of a virtual form, whose rows' pictures are not turned yet; 0 where they are.
    """

    sample_id: np.ndarray
    group: np.ndarray
    role: np.ndarray
    label: np.ndarray
    rotation: np.ndarray
    picture: np.ndarray
    classes: tuple[str, ...]
    has_subjects: bool
    pictures: Pictures
    margin: int = 0

    def images(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The face crops of rows, for a virtual form upright: uint8 (B, S, S, 3), grey repeated."""
        return without_margin(self.wide_images(rows), self.margin)

    def wide_images(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The face crops of rows with the margin that a turn of up to the largest angle needs: uint8 (B, W, W, 3)."""
        return self.pictures.images(self.picture[np.asarray(rows, dtype=np.int64)])

    def block_of(self, rows: np.ndarray) -> np.ndarray | None:
        """The number of the block that each row's picture is fetched with, or None where each is read by itself."""
        return self.pictures.block_of(self.picture[rows])

    def rows_of(self, role: str, upright: bool) -> np.ndarray:
        """Positions of the rows of a role, int64; only those not rotated where `upright`."""
        chosen = self.role == role
        return np.flatnonzero(chosen & (self.rotation == 0) if upright else chosen)


def without_margin(wide_BWWC: np.ndarray, margin: int) -> np.ndarray:
    """Face crops (B, S, S, C) out of those of a virtual form, which have so many pixels more on each side."""
    return wide_BWWC[:, margin : wide_BWWC.shape[1] - margin, margin : wide_BWWC.shape[2] - margin]


def open_pictures(directory: Path) -> Pictures:
    """The reader of a faces directory: by position, or in blocks where it is sorted by class.

    Raises:
        InputError: a shard or an index is missing or damaged.
    """
    is_sorted = read_manifest(directory).config.get("order") == CLASS_SORTED
    return PictureStream(directory) if is_sorted else PictureReader(directory)


def read_faces(directory: Path, part: Part, seed: int) -> FaceTable:
    """Read a faces directory, its rows divided into train, valid and test.

    Classes are those of the training rows; rows of other classes and of none are left out. In a virtual form each
    training picture is as many rows as there are angles.

    Raises:
        InputError: the training rows are of one class, no test row is of theirs, folds.roles cannot divide them, or a
            file is missing or damaged.
    """
    columns = _labels(read_columns(directory, "part-", LABEL_COLUMNS))
    config = read_manifest(directory).config
    columns["subject_id"] = with_estimates(directory, columns["sample_id"], columns["subject_id"])
    group = np.array(groups_of(columns["subject_id"], columns["sequence_id"], columns["sample_id"]))
    role = np.array(roles(columns["split"], group.tolist(), part, seed))
    expression = np.array([name or "" for name in columns["expression"]])
    classes = classes_of(expression, role)
    kept = np.flatnonzero(np.isin(expression, classes))
    picture, rotation = _turned(kept, role, columns["rotation"], config)
    index_of = {name: index for index, name in enumerate(classes)}
    return FaceTable(
        sample_id=np.array(columns["sample_id"])[picture],
        group=group[picture],
        role=role[picture],
        label=np.array([index_of[name] for name in expression[picture].tolist()], dtype=np.int64),
        rotation=rotation,
        picture=picture,
        classes=classes,
        has_subjects=None not in columns["subject_id"],
        pictures=open_pictures(directory),
        margin=config.get("margin", 0),
    )


def classes_of(expression_N: np.ndarray, role_N: np.ndarray) -> tuple[str, ...]:
    """The expressions of the training rows, in the order of the vocabulary.

    Raises:
        InputError: they are fewer than two, or no test row is of one of them.
    """
    trained = set(expression_N[role_N == "train"].tolist())
    classes = tuple(name for name in EXPRESSIONS if name in trained)
    if len(classes) < 2:
        raise InputError(f"the training rows are of one class ({', '.join(classes) or 'none'}); two are needed")
    if not np.isin(expression_N[role_N == "test"], classes).any():
        raise InputError(f"no test row is of a class that is trained on ({', '.join(classes)})")
    return classes


def _labels(table: pa.Table) -> dict[str, list[Any]]:
    return {name: table[name].to_pylist() for name in LABEL_COLUMNS}


def _turned(
    kept: np.ndarray, role: np.ndarray, rotations: list[float], config: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """(picture, rotation) of each row: as stored, or in a virtual form each training picture at each angle."""
    if not config.get("virtual"):
        return kept, np.array(rotations, dtype=np.float32)[kept]
    angles = np.array(config["rotations"], dtype=np.float32)
    times = np.where(role[kept] == "train", len(angles), 1)
    picture = np.repeat(kept, times)
    turn = np.arange(len(picture)) - np.repeat(np.cumsum(times) - times, times)
    return picture, np.where(role[picture] == "train", angles[turn % len(angles)], np.float32(0)).astype(np.float32)
