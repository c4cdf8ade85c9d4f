"""Reading face crops back: the labels as columns, the pictures by position."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from fer_core.directories import read_tables
from fer_core.errors import InputError
from fer_core.folds import Part, groups_of, roles
from fer_core.vocabulary import EXPRESSIONS

LABEL_COLUMNS = ("sample_id", "split", "subject_id", "sequence_id", "expression", "rotation")


@dataclass(frozen=True)
class FaceTable:
    """Face crops with their labels; the pictures stay encoded until they are asked for.

    Attributes:
        sample_id, group, role: str arrays (N,). `group` is the subject, else the sequence, else the picture.
        label: int64 (N,), index into `classes`.
        rotation: float32 (N,), degrees.
        classes: expression names, in the order of the vocabulary.
        has_subjects: whether `group` is the subject throughout.
        encoded: the pictures (N,), PNG or JPEG.
    """

    sample_id: np.ndarray
    group: np.ndarray
    role: np.ndarray
    label: np.ndarray
    rotation: np.ndarray
    classes: tuple[str, ...]
    has_subjects: bool
    encoded: pa.ChunkedArray

    def images(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode the pictures at `rows`: uint8 (B, H, W, 3), grey repeated."""
        return np.stack([self._image(int(row)) for row in rows])

    def _image(self, row: int) -> np.ndarray:
        image = cv2.imdecode(np.frombuffer(self.encoded[row].as_buffer(), np.uint8), cv2.IMREAD_COLOR_RGB)
        assert image is not None, "shards are checked by sha256"
        return image

    def rows_of(self, role: str, upright: bool) -> np.ndarray:
        """Positions of the rows of a role, int64; only those not rotated offline where `upright`."""
        chosen = self.role == role
        return np.flatnonzero(chosen & (self.rotation == 0) if upright else chosen)


def read_faces(directory: Path, part: Part, seed: int) -> FaceTable:
    """Read a faces directory, its rows divided into train, valid and test.

    Classes are those of the training rows; rows of other classes are left out.

    Raises:
        InputError: the training rows are of one class, no test row is of theirs, or folds.roles cannot divide them.
    """
    table = read_tables(directory, "part-", [*LABEL_COLUMNS, "image"])
    columns = {name: table[name].to_pylist() for name in LABEL_COLUMNS}
    group = groups_of(columns["subject_id"], columns["sequence_id"], columns["sample_id"])
    role = np.array(roles(columns["split"], group, part, seed))
    expression = np.array(columns["expression"])
    classes = tuple(name for name in EXPRESSIONS if name in set(expression[role == "train"]))
    if len(classes) < 2:
        raise InputError(f"the training rows are of one class ({', '.join(classes)}); two are needed")
    kept = np.flatnonzero(np.isin(expression, classes))
    if not np.isin(expression[role == "test"], classes).any():
        raise InputError(f"no test row is of a class that is trained on ({', '.join(classes)})")
    index_of = {name: index for index, name in enumerate(classes)}
    return FaceTable(
        sample_id=np.array(columns["sample_id"])[kept],
        group=np.array(group)[kept],
        role=role[kept],
        label=np.array([index_of[name] for name in expression[kept]], dtype=np.int64),
        rotation=np.array(columns["rotation"], dtype=np.float32)[kept],
        classes=classes,
        has_subjects=None not in columns["subject_id"],
        encoded=table["image"].take(kept).combine_chunks()
        if len(kept) < len(table)
        else table["image"].combine_chunks(),
    )
