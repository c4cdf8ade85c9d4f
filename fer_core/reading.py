"""Face crops as rows: the labels as columns, the pictures by position."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from fer_core.directories import read_manifest
from fer_core.divided import Divided, read_divided, read_undivided
from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.shards import PictureReader
from fer_core.streaming import CLASS_SORTED, PictureStream
from fer_core.targets import UNKNOWN, TrainingRows
from fer_core.vocabulary import LABELS

LABEL_COLUMNS = ["expression", "intensity", "pose_bin", "rotation"]
NO_YAW = -1000
"""Degrees that no head turns by, for a row of no known pose."""


class Pictures(Protocol):
    """Where the pictures of rows come from: shards read by position, or streamed in blocks."""

    def block_of(self, pictures: np.ndarray) -> np.ndarray | None:
        """The number of the block that each picture is fetched with, or None where each is read by itself."""

    def images(self, pictures: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode pictures: uint8 (B, H, W, 3)."""


@dataclass(frozen=True)
class FaceTable:
    """Face crops with their labels; the pictures stay on disk until they are asked for. Arrays are (N,).

    Attributes:
        directory: they were read from.
        sample_id, group, role: strings. `group` is the subject (estimated where that was asked for), else the
            sequence, else the picture.
        label: int64, index into `classes`; UNKNOWN for a face of somebody who is not trained on, where identities are
            the labels.
        expression, pose, identity: int64, index into `expressions`, into `poses`, and a number of the person, those
            that are trained on first; UNKNOWN where it is not known or, of the first two, not trained on.
        intensity: float64, NaN where unknown.
        rotation: float32, degrees.
        picture: int64, position among `pictures`.
        classes: what is classified: expressions in the order of the vocabulary, or names of people.
        expressions: those of the training rows, in the order of the vocabulary.
        poses: those of the training rows: yaw, degrees, ascending.
        has_subjects: whether `group` is the subject throughout.
        pictures: reads them.
        margin: pixels round a crop of a virtual form, whose rows' pictures are not turned yet; 0 where they are.
        points: float32 (N, 2X), landmarks beside those of the person's neutral face; None where pictures are looked at.
        unlabelled: bool, which rows are of no class; None where such rows were not asked for.
    """

    directory: Path
    sample_id: np.ndarray
    group: np.ndarray
    role: np.ndarray
    label: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    identity: np.ndarray
    intensity: np.ndarray
    rotation: np.ndarray
    picture: np.ndarray
    classes: tuple[str, ...]
    expressions: tuple[str, ...]
    poses: tuple[int, ...]
    has_subjects: bool
    pictures: Pictures
    margin: int = 0
    points: np.ndarray | None = None
    unlabelled: np.ndarray | None = None

    def only(self, rows: np.ndarray) -> "FaceTable":
        """These rows alone."""
        columns = {name: column[rows] for name, column in vars(self).items() if isinstance(column, np.ndarray)}
        return replace(self, **columns)

    def images(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The face crops of rows, for a virtual form upright: uint8 (B, S, S, 3), grey repeated."""
        return without_margin(self.wide_images(rows), self.margin)

    def wide_images(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The face crops of rows with the margin that a turn of up to the largest angle needs: uint8 (B, W, W, 3)."""
        return self.pictures.images(self.picture[np.asarray(rows, dtype=np.int64)])

    def block_of(self, rows: np.ndarray) -> np.ndarray | None:
        """The number of the block that each row's picture is fetched with, or None where each is read by itself."""
        return self.pictures.block_of(self.picture[rows])

    def rows_of(self, role: str, upright: bool, unlabelled: bool = False) -> np.ndarray:
        """Positions of the rows of a role, int64; only those not rotated where `upright`.

        Args:
            unlabelled: with those of no class, where the table has such.
        """
        chosen = self.role == role
        if self.unlabelled is not None and not unlabelled:
            chosen = chosen & ~self.unlabelled
        return np.flatnonzero(chosen & (self.rotation == 0) if upright else chosen)

    def training_rows(self, rows: np.ndarray, label: np.ndarray | None = None) -> TrainingRows:
        """What is known of some rows, with other labels than their classes where these are given."""
        return TrainingRows(
            label_N=self.label[rows] if label is None else label,
            expression_N=self.expression[rows],
            pose_N=self.pose[rows],
            identity_N=self.identity[rows],
            intensity_N=self.intensity[rows],
            sample_N=np.unique(self.sample_id[rows], return_inverse=True)[1].astype(np.int64),
            block_N=self.block_of(rows),
            name_N=self.sample_id[rows],
            neutral=self.expressions.index("neutral") if "neutral" in self.expressions else UNKNOWN,
        )


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


def read_faces(
    directory: Path,
    part: Part,
    seed: int,
    label: Literal["expression", "identity"] = "expression",
    validation: bool = False,
    unlabelled: bool = False,
) -> FaceTable:
    """Read a faces directory, its rows divided into train, valid and test.

    Rows without the label are left out, and those of expressions that are not trained on. In a virtual form each
    training picture is as many rows as there are angles.

    Args:
        label: what is to be classified.
        validation: where no official split names validation rows, a part of the training groups becomes them.
        unlabelled: rows that would be left out are kept, for a method that learns from them too.

    Raises:
        InputError: the training rows are of one class, no test row is of theirs, folds.roles cannot divide them, or a
            file is missing or damaged.
    """
    rows = read_divided(directory, part, seed, LABEL_COLUMNS, validation)
    config = read_manifest(directory).config
    expression, expressions = _expressions(rows)
    identity, people = _identities(rows)
    trained = len(people) if label == "identity" else len(expressions)
    label_N = np.where(identity < trained, identity, UNKNOWN) if label == "identity" else expression
    classes = people if label == "identity" else expressions
    known = (identity if label == "identity" else expression) != UNKNOWN
    _require_two(label, classes, rows.role[known], expressions)
    pose, poses = _poses(rows)
    picture, rotation = _turned(np.flatnonzero(known | unlabelled), rows.role, rows.numbers("rotation", 0), config)
    return FaceTable(
        directory=directory,
        sample_id=rows.sample_id[picture],
        group=rows.group[picture],
        role=rows.role[picture],
        label=label_N[picture],
        expression=expression[picture],
        pose=pose[picture],
        identity=identity[picture],
        intensity=rows.numbers("intensity", np.nan).astype(float)[picture],
        rotation=rotation,
        picture=picture,
        classes=classes,
        expressions=expressions,
        poses=poses,
        has_subjects=None not in rows.subject.tolist(),
        pictures=open_pictures(directory),
        margin=config.get("margin", 0),
        unlabelled=~known[picture] if unlabelled else None,
    )


def read_tested(directory: Path, classes: tuple[str, ...], poses: tuple[int, ...]) -> FaceTable:
    """The upright rows of another data set that a model of these classes and poses can be tested on, all of role test.

    Those of its official test part where it has one (else validation part, as AffectNet and SFEW publish), else all.

    Raises:
        InputError: no row is of one of the classes, or a file is missing or damaged.
    """
    rows = read_undivided(directory, LABEL_COLUMNS)
    index_of = {name: index for index, name in enumerate(classes)}
    names = rows.table["expression"].to_pylist()
    label = np.array([index_of.get(name or "", UNKNOWN) for name in names], dtype=np.int64)
    kept = np.flatnonzero((label != UNKNOWN) & (rows.numbers("rotation", 0) == 0) & _officially_tested(rows))
    if not len(kept):
        raise InputError(f"{directory.name}: no row to test on is of a class of the model ({', '.join(classes)})")
    identity, _ = _identities(rows)
    return FaceTable(
        directory=directory,
        sample_id=rows.sample_id[kept],
        group=rows.group[kept],
        role=np.full(len(kept), "test"),
        label=label[kept],
        expression=label[kept],
        pose=_index_of_yaw(rows, list(poses))[kept],
        identity=identity[kept],
        intensity=rows.numbers("intensity", np.nan).astype(float)[kept],
        rotation=np.zeros(len(kept), dtype=np.float32),
        picture=kept,
        classes=classes,
        expressions=classes,
        poses=poses,
        has_subjects=None not in rows.subject.tolist(),
        pictures=open_pictures(directory),
        margin=read_manifest(directory).config.get("margin", 0),
    )


def _officially_tested(rows: Divided) -> np.ndarray:
    splits = np.array([split or "" for split in rows.table["split"].to_pylist()])
    for name in ("test", "valid"):
        if name in splits:
            return splits == name
    return np.full(len(splits), True)


def _expressions(rows: Divided) -> tuple[np.ndarray, tuple[str, ...]]:
    """(index into the names, the names): of the expressions that are trained on, in the order of the vocabulary."""
    name_N = np.array([name or "" for name in rows.table["expression"].to_pylist()])
    trained = set(name_N[rows.role == "train"].tolist())
    names = tuple(name for name in LABELS if name in trained)
    index_of = {name: index for index, name in enumerate(names)}
    return np.array([index_of.get(name, UNKNOWN) for name in name_N.tolist()], dtype=np.int64), names


def _identities(rows: Divided) -> tuple[np.ndarray, tuple[str, ...]]:
    """(number of the person, names of those who are trained on): these come first, both by their names."""
    trained = sorted(set(rows.subject[rows.role == "train"].tolist()) - {None})
    others = sorted(set(rows.subject.tolist()) - {None, *trained})
    number_of = {name: number for number, name in enumerate([*trained, *others])}
    return np.array([number_of.get(name, UNKNOWN) for name in rows.subject.tolist()], dtype=np.int64), tuple(trained)


def _poses(rows: Divided) -> tuple[np.ndarray, tuple[int, ...]]:
    """(index into the yaws, the yaws in degrees): of the poses that are trained on."""
    yaw_N = rows.numbers("pose_bin", NO_YAW)
    yaws = sorted(set(yaw_N[rows.role == "train"].tolist()) - {NO_YAW})
    return _index_of_yaw(rows, yaws), tuple(yaws)


def _index_of_yaw(rows: Divided, yaws: list[int]) -> np.ndarray:
    index_of = {yaw: index for index, yaw in enumerate(yaws)}
    return np.array([index_of.get(yaw, UNKNOWN) for yaw in rows.numbers("pose_bin", NO_YAW).tolist()], dtype=np.int64)


def _require_two(label: str, classes: tuple[str, ...], role: np.ndarray, expressions: tuple[str, ...]) -> None:
    """Raise InputError where there is nothing to tell apart or nothing to test on."""
    if len(classes) < 2:
        what = "class" if label == "expression" else "known person"
        raise InputError(f"the training rows are of one {what} ({', '.join(classes) or 'none'}); two are needed")
    if "test" not in role:
        known = f"of a class that is trained on ({', '.join(expressions)})"
        raise InputError(f"no test row is {known if label == 'expression' else 'of a known person'}")


def _turned(
    kept: np.ndarray, role: np.ndarray, rotations: np.ndarray, config: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """(picture, rotation) of each row: as stored, or in a virtual form each training picture at each angle."""
    if not config.get("virtual"):
        return kept, rotations.astype(np.float32)[kept]
    angles = np.array(config["rotations"], dtype=np.float32)
    times = np.where(role[kept] == "train", len(angles), 1)
    picture = np.repeat(kept, times)
    turn = np.arange(len(picture)) - np.repeat(np.cumsum(times) - times, times)
    return picture, np.where(role[picture] == "train", angles[turn % len(angles)], np.float32(0)).astype(np.float32)
