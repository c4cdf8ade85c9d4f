"""A model in use on a folder: every picture -> what it says, in shards; what it can say nothing of, with the reason."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.datasets.base import Rejected
from fer_core.datasets.folders import files_below, is_picture, key_of
from fer_core.embedding import Embeddings
from fer_core.errors import InputError
from fer_core.files import write_table
from fer_core.ingest import escaped, set_aside_table
from fer_core.predictor import Predictor, Unusable

PREDICTIONS = "predictions.parquet"
"""The folder of the shards, which readers of Parquet take for one table."""
SCHEMA = pa.schema(
    [
        ("source_path", pa.string()),  # relative to the folder that was scored; of landmarks the face's name or number
        ("expression", pa.string()),  # null, as are the next and sub_class, of a model that tells people apart
        ("probabilities", pa.list_(pa.float32())),  # in the order of the model's classes
        ("embedding", pa.list_(pa.float32())),
        ("sub_class", pa.string()),
        ("yaw", pa.float32()),  # degrees; null where the model estimates none
        ("model_name", pa.string()),
        ("model_version", pa.int32()),
    ]
)


class Picture(NamedTuple):
    """A picture that is to be scored.

    Attributes:
        source_path: relative to the folder.
        sha256: of the file; None where it cannot be read.
        reason, detail: why it cannot.
    """

    source_path: str
    sha256: str | None
    reason: str = ""
    detail: str = ""


class Scorer(NamedTuple):
    """A registered model: what it is called, and its network."""

    name: str
    version: int
    predictor: Predictor


def list_pictures(source: Path) -> list[str]:
    """The source paths of all pictures (by their suffix) below a folder, at any depth, sorted.

    Raises:
        InputError: there is none.
    """
    names = sorted(key_of(source, file) for file in files_below(source) if is_picture(file))
    if not names:
        raise InputError(f"--source {source} holds no picture, in whatever depth: no .png, .jpg, .bmp or .tif file")
    return names


def read_digests(source: Path, names: Iterable[str]) -> Iterator[Picture]:
    """Each picture with the digest of its content; one that cannot be read with the reason."""
    for name in names:
        try:
            with (source / name).open("rb") as file:
                yield Picture(name, hashlib.file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            yield Picture(name, None, "file does not exist")
        except OSError as error:
            yield Picture(name, None, "file cannot be read", error.strerror or "")


def digest_of_pictures(pictures: Iterable[Picture]) -> str:
    """16 hex digits over names and contents."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(repr((os.fsencode(picture.source_path), *picture[1:])).encode())
    return digest.hexdigest()[:16]


def shard_files(number: int) -> tuple[str, str]:
    """The files of a shard: rows, and what was set aside."""
    return f"{PREDICTIONS}/part-{number:05d}.parquet", f"aside-{number:05d}.parquet"


def write_score_shard(
    folder: Path,
    number: int,
    source: Path,
    pictures: Sequence[Picture],
    scorer: Scorer,
    progress: Callable[[int], None],
) -> None:
    """Score the pictures of a shard and write its two files, unless they stand already.

    Args:
        folder: of the data set directory.
        number: of the shard.
        source: what source paths begin at.
        progress: called with how many of these pictures are done.

    Raises:
        InputError: a file has changed since its digest was taken, or the model does not look at pictures.
    """
    write_shard(folder, number, len(pictures), lambda: score_pictures(source, pictures, scorer, progress), progress)


def write_shard(
    folder: Path,
    number: int,
    size: int,
    score: Callable[[], tuple[pa.Table, list[Rejected]]],
    progress: Callable[[int], None],
) -> None:
    """Write what `score()` says of the `size` pictures or faces of a shard, unless its two files stand already."""
    rows, aside = (folder / name for name in shard_files(number))
    if rows.exists() and aside.exists():
        progress(size)
        return
    table, rejected = score()
    rows.parent.mkdir(exist_ok=True)
    write_table(aside, set_aside_table(rejected))
    write_table(rows, table)


def score_pictures(
    source: Path, pictures: Sequence[Picture], scorer: Scorer, progress: Callable[[int], None]
) -> tuple[pa.Table, list[Rejected]]:
    """What a model says of pictures, by SCHEMA, and those it can say nothing of, each in the pictures' order.

    Raises:
        InputError: as write_score_shard.
    """
    readable = [picture for picture in pictures if picture.sha256 is not None]
    unreadable = (picture for picture in pictures if picture.sha256 is None)
    aside = [Rejected(picture.source_path, picture.reason, picture.detail) for picture in unreadable]
    tables, done = [SCHEMA.empty_table()], 0
    for crops in scorer.predictor.crops_of(_content(source, picture) for picture in readable):
        names = [picture.source_path for picture in readable[done : done + len(crops)]]
        faces = {name: crop for name, crop in zip(names, crops, strict=True) if not isinstance(crop, Unusable)}
        aside += [
            Rejected(name, crop.reason, crop.detail)
            for name, crop in zip(names, crops, strict=True)
            if isinstance(crop, Unusable)
        ]
        if faces:
            given = scorer.predictor.embed_faces(np.stack(list(faces.values())))
            tables.append(said_of(list(faces), given, scorer))
        done += len(crops)
        progress(len(aside) + sum(map(len, tables)))
    return pa.concat_tables(tables).combine_chunks(), aside


def _content(source: Path, picture: Picture) -> bytes:
    file = source / picture.source_path
    try:
        data = file.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise InputError(f"{escaped(str(file))} has changed while it was scored; run the same command again")
    return data


def said_of(names: Sequence[str], given: Embeddings, scorer: Scorer) -> pa.Table:
    """Rows by SCHEMA of faces with these names, by what the network gives for them."""
    predictor = scorer.predictor
    columns: dict[str, Any] = {
        "source_path": [escaped(name) for name in names],
        "embedding": list(given.embedding_ND),
        "model_name": [scorer.name] * len(names),
        "model_version": [scorer.version] * len(names),
    }
    if predictor.decides_by != "distance":
        made, classes = predictor.predicted(given), predictor.classes
        columns |= {
            "expression": [classes[index] for index in made.expression],
            "probabilities": list(made.probability),
            "sub_class": [predictor.level.name_of(int(group), classes) for group in made.group],
            "yaw": None if made.yaw is None else made.yaw.astype(np.float32),
        }
    absent = [None] * len(names)
    arrays = [pa.array(absent if (own := columns.get(f.name)) is None else own, f.type) for f in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def summary_of(folder: Path, num_shards: int) -> dict[str, Any]:
    """Counts over shards: rows, set_aside by reason, and rows by expression."""
    expressions: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    num_rows = 0
    for number in range(num_shards):
        rows, aside = (folder / name for name in shard_files(number))
        said = pq.read_table(rows, columns=["expression"])["expression"]
        num_rows += len(said)
        expressions.update(said.drop_null().to_pylist())
        reasons.update(pq.read_table(aside, columns=["reason"])["reason"].to_pylist())
    counts = {"set_aside": reasons, "expressions": expressions}
    return {"rows": num_rows, **{name: dict(sorted(count.items())) for name, count in counts.items()}}
