"""A model in use on many pictures: what it says of each, in shards; what it can say nothing of, with the reason."""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.ahead import ahead
from fer_core.datasets.base import Rejected
from fer_core.embedding import Embeddings
from fer_core.files import write_table
from fer_core.ingest.scanning import escaped, set_aside_table
from fer_core.predictor import Cut, Predictor, Unusable
from fer_core.scoring.asked_pictures import Picture, PictureSource

PREDICTIONS = "predictions.parquet"
EXAMPLES = 3
"""The folder of the shards, which readers of Parquet take for one table."""
BATCH = 64
"""Faces that go through the network together."""
SCHEMA = pa.schema(
    [
        ("source_path", pa.string()),  # what the picture is called; of landmarks the face's name or number
        ("faces", pa.int32()),  # found in the picture; null, as is the next, where none was looked for
        ("face_box", pa.list_(pa.float32())),  # of the face that is meant: left, top, right, bottom in pixels
        ("expression", pa.string()),  # null, as are the next and sub_class, of a model that tells people apart
        ("probabilities", pa.list_(pa.float32())),  # in the order of the model's classes
        ("embedding", pa.list_(pa.float32())),
        ("sub_class", pa.string()),
        ("yaw", pa.float32()),  # degrees; null where the model estimates none
        ("model_name", pa.string()),
        ("model_version", pa.int32()),
    ]
)
_LISTING = pa.schema([("source_path", pa.binary()), *((name, pa.string()) for name in Picture._fields[1:])])


class Scorer(NamedTuple):
    """A registered model: what it is called, and its network."""

    name: str
    version: int
    predictor: Predictor


class Listing:
    """The pictures that are asked about, on disk, so that memory does not grow with them.

    Args:
        pictures: all of them.
        shard: how many of them a shard has.
        progress: called with how many have been listed.

    Attributes:
        digest: 16 hex digits over names and contents.
    """

    def __init__(self, pictures: Iterable[Picture], shard: int, progress: Callable[[int], None]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the listing
        self._num_pictures, self._shard = 0, shard
        digest, coming = hashlib.sha256(), iter(pictures)
        with pq.ParquetWriter(self._file, _LISTING) as writer:
            while part := [_encoded(picture) for picture in islice(coming, shard)]:
                digest.update(repr([tuple(row.values()) for row in part]).encode())
                writer.write_table(pa.Table.from_pylist(part, _LISTING))
                self._num_pictures += len(part)
                progress(self._num_pictures)
        self.digest = digest.hexdigest()[:16]
        self._parquet = pq.ParquetFile(self._file)

    def __del__(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._num_pictures

    def __iter__(self) -> Iterator[Picture]:
        for shard in range(-(-len(self) // self._shard)):
            yield from self.pictures_of(shard)

    def first_of(self, shard: int) -> int:
        """The place of a shard's first picture among all."""
        return shard * self._shard

    def pictures_of(self, shard: int) -> list[Picture]:
        """The pictures of one shard, from 0; where there are none at all, those of the first are none."""
        rows = self._parquet.read_row_group(shard).to_pylist() if self._num_pictures else []
        return [Picture(**{**row, "source_path": os.fsdecode(row["source_path"])}) for row in rows]


def _encoded(picture: Picture) -> dict[str, Any]:
    """A row by _LISTING: names of files need not be Unicode."""
    return {**picture._asdict(), "source_path": os.fsencode(picture.source_path)}


def shard_files(number: int) -> tuple[str, str]:
    """The files of a shard: rows, and what was set aside."""
    return f"{PREDICTIONS}/part-{number:05d}.parquet", f"aside-{number:05d}.parquet"


def write_score_shard(
    folder: Path,
    number: int,
    source: PictureSource,
    listing: Listing,
    scorer: Scorer,
    progress: Callable[[int], None],
) -> None:
    """Score the pictures of a shard and write its two files, unless they stand already.

    Args:
        folder: of the data set directory.
        number: of the shard.
        source: of the pictures.
        listing: what it has.
        progress: called with how many of the shard's pictures are done.

    Raises:
        InputError: as score_pictures.
    """
    pictures, first = listing.pictures_of(number), listing.first_of(number)
    write_shard(
        folder, number, len(pictures), lambda: score_pictures(source, pictures, first, scorer, progress), progress
    )


def write_shard(
    folder: Path,
    number: int,
    size: int,
    score: Callable[[], tuple[pa.Table, list[Rejected]]],
    progress: Callable[[int], None],
) -> None:
    """Write what `score()` says of the `size` pictures or faces of a shard, unless its two files stand already.

    `progress` is called with `size` where they stand.
    """
    rows, aside = (folder / name for name in shard_files(number))
    if rows.exists() and aside.exists():
        progress(size)
        return
    table, rejected = score()
    rows.parent.mkdir(exist_ok=True)
    write_table(aside, set_aside_table(rejected))
    write_table(rows, table)


def score_pictures(
    source: PictureSource, pictures: Sequence[Picture], first: int, scorer: Scorer, progress: Callable[[int], None]
) -> tuple[pa.Table, list[Rejected]]:
    """What a model says of pictures, by SCHEMA, and those it can say nothing of, each in the pictures' order.

    The next pictures are read, decoded and cropped while the network runs.

    Args:
        source: of the pictures.
        first: the place of the first of them among all of the source.
        progress: called with how many of these pictures are done.

    Raises:
        InputError: a file has changed since its digest was taken, or the model does not look at pictures.
    """
    tables, aside, found = [SCHEMA.empty_table()], list[Rejected](), list[tuple[str, Cut]]()
    with ahead(scorer.predictor.crops_of(source.read(pictures, first))) as cuts:
        for done, (picture, cut) in enumerate(zip(pictures, chain.from_iterable(cuts), strict=True), start=1):
            if isinstance(cut, Unusable):
                aside.append(Rejected(picture.source_path, cut.reason, cut.detail))
            else:
                found.append((picture.source_path, cut))
            if len(found) == BATCH:
                tables.append(_said_of_cuts(found, scorer))
                found = []
                progress(done)
    if found:
        tables.append(_said_of_cuts(found, scorer))
    progress(len(pictures))
    return pa.concat_tables(tables).combine_chunks(), aside


def _said_of_cuts(found: Sequence[tuple[str, Cut]], scorer: Scorer) -> pa.Table:
    given = scorer.predictor.embed_faces(np.stack([cut.crop for _, cut in found]))
    seen: dict[str, list[Any]] = {
        "faces": [cut.num_faces for _, cut in found],
        "face_box": [cut.box for _, cut in found],
    }
    return said_of([name for name, _ in found], given, scorer, seen)


def said_of(
    names: Sequence[str], given: Embeddings, scorer: Scorer, seen: dict[str, list[Any]] | None = None
) -> pa.Table:
    """Rows by SCHEMA of faces with these names, by what the network gives for them.

    Args:
        seen: the columns of what was seen in the pictures; None where there are no pictures.
    """
    predictor = scorer.predictor
    columns: dict[str, Any] = {
        "source_path": [escaped(name) for name in names],
        "embedding": list(given.embedding_ND),
        "model_name": [scorer.name] * len(names),
        "model_version": [scorer.version] * len(names),
        **(seen or {}),
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
    """Counts over shards: rows, set_aside by reason with the first EXAMPLES of each, and rows by expression."""
    expressions: Counter[str] = Counter()
    aside_by: dict[str, list[str]] = {}
    num_rows = 0
    for number in range(num_shards):
        rows, aside = (folder / name for name in shard_files(number))
        said = pq.read_table(rows, columns=["expression"])["expression"]
        num_rows += len(said)
        expressions.update(said.drop_null().to_pylist())
        for one in pq.read_table(aside, columns=["source_path", "reason"]).to_pylist():
            aside_by.setdefault(one["reason"], []).append(one["source_path"])
    reasons = sorted(aside_by.items())
    return {
        "rows": num_rows,
        "set_aside": {reason: len(paths) for reason, paths in reasons},
        "set_aside_examples": {reason: paths[:EXAMPLES] for reason, paths in reasons},
        "expressions": dict(sorted(expressions.items())),
    }
