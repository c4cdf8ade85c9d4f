"""A model of landmarks in use on a file of faces: what it says of each, or why it can say nothing."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.datasets.base import Rejected
from fer_core.datasets.folders import read_table, require_utf8
from fer_core.embedding import Embeddings
from fer_core.errors import InputError
from fer_core.landmarks.prediction import Landmarks, embed_landmarks
from fer_core.scoring.faces import SCHEMA, Scorer, said_of, write_shard

FORM = "a .csv or .parquet file with a column landmarks (x0, y0, z0, x1, ... of a face, y downwards)"
CANNOT_BE_USED = "landmarks cannot be used"


class AskedFace(NamedTuple):
    """One line of the file.

    Attributes:
        name: what it calls the face, else its number from 0.
        landmarks, yaw: as landmarks.prediction.embed_landmarks takes them; so are the person's own neutral ones.
    """

    name: str
    landmarks: Landmarks | None
    yaw: float | None
    neutral: Landmarks | None
    neutral_yaw: float | None


def read_asked_faces(file: Path) -> list[AskedFace]:
    """The faces of FORM: columns landmarks and, where known, name, pose_yaw, neutral_landmarks, neutral_pose_yaw.

    A list in a cell of a csv is quoted and written as JSON, "[1.5, 2, 0, ...]"; an empty cell is unknown.

    Raises:
        InputError: the file is something else, lacks the column, or a cell is no such value.
    """
    if file.suffix == ".parquet":
        lines = _parquet(file)
    elif file.suffix == ".csv":
        require_utf8(file)
        lines = [_parsed(file, number, cells) for number, cells in read_table(file, ("landmarks",))]
    else:
        raise InputError(f"{file} is not {FORM}")
    if not lines:
        raise InputError(f"{file} holds no face")
    return [_face(file, place, line) for place, line in enumerate(lines)]


_POINTS, _DEGREES = ("landmarks", "neutral_landmarks"), ("pose_yaw", "neutral_pose_yaw")


def _parquet(file: Path) -> list[dict[str, Any]]:
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file} is no Parquet file: {error}") from None
    if "landmarks" not in table.column_names:
        raise InputError(f"{file} has no column landmarks; it has {', '.join(table.column_names)}")
    return table.select([name for name in ("name", *_POINTS, *_DEGREES) if name in table.column_names]).to_pylist()


def _parsed(file: Path, number: int, cells: dict[str, str]) -> dict[str, Any]:
    try:
        numbers = {name: json.loads(cells[name]) for name in (*_POINTS, *_DEGREES) if cells.get(name)}
    except ValueError:
        raise InputError(f"{file} line {number} has a cell that is no number and no list such as [1.5, 2, 0]") from None
    return {**numbers, "name": cells.get("name")}


def _face(file: Path, place: int, line: dict[str, Any]) -> AskedFace:
    name = str(line.get("name") or place)
    points, degrees = ([line.get(column) for column in columns] for columns in (_POINTS, _DEGREES))
    numbers = [value for own in points if isinstance(own, list) for value in own] + degrees
    if not all(own is None or isinstance(own, list) for own in points) or not all(map(_is_number, numbers)):
        raise InputError(
            f"{file}: face {name} has landmarks that are no list of numbers, or degrees that are no number"
        )
    return AskedFace(name, points[0], degrees[0], points[1], degrees[1])


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def write_landmark_shard(
    folder: Path, number: int, faces: Sequence[AskedFace], scorer: Scorer, progress: Callable[[int], None]
) -> None:
    """Score the faces of a shard and write its two files, as scoring.write_score_shard does of pictures."""
    write_shard(folder, number, len(faces), lambda: score_landmarks(faces, scorer, progress), progress)


def score_landmarks(
    faces: Sequence[AskedFace], scorer: Scorer, progress: Callable[[int], None]
) -> tuple[pa.Table, list[Rejected]]:
    """What a model says of faces, by scoring.SCHEMA, and those it can say nothing of, each in the faces' order."""
    names: list[str] = []
    parts: list[Embeddings] = []
    aside: list[Rejected] = []
    for done, (face, made) in enumerate(_embedded(faces, scorer), start=1):
        if isinstance(made, InputError):
            aside.append(Rejected(face.name, CANNOT_BE_USED, str(made)))
        else:
            names.append(face.name)
            parts.append(made)
        progress(done)
    return said_of(names, Embeddings.joined(parts), scorer) if parts else SCHEMA.empty_table(), aside


def _embedded(faces: Sequence[AskedFace], scorer: Scorer) -> Iterator[tuple[AskedFace, Embeddings | InputError]]:
    """One by one, so that a face that cannot be used is known by itself; such networks are small."""
    for face in faces:
        try:
            columns = ([part] for part in face[1:])
            yield face, embed_landmarks(scorer.predictor, *columns)  # type: ignore[arg-type]
        except InputError as error:
            yield face, error
