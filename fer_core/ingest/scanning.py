"""From a source folder to catalog rows: which pictures there are, and whether each can be read."""

import hashlib
import heapq
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.consent.withdrawals import WITHDREW
from fer_core.datasets import REGISTRY
from fer_core.datasets.base import Record, Rejected
from fer_core.datasets.folders import files_below, key_of
from fer_core.errors import InputError
from fer_core.files import write_table
from fer_core.ingest.overlay import NOTHING, Overlay
from fer_core.pictures import opened
from fer_core.records import SAMPLE_SCHEMA, SET_ASIDE_SCHEMA, sample_id

SCAN = "scan"
"""The folder of a catalog under way that holds what is to be read."""
SCAN_SCHEMA = pa.schema([field for field in SAMPLE_SCHEMA if field.name != "image"])


def source_fingerprint(source: Path | None) -> str:
    """A digest over names, sizes and times of the files below `source`: cheap, and changed by any edit.

    Touched files with the same content cost a new ingest, not more: everything after it goes by content. Memory does
    not grow with the files.
    """
    if source is None:
        return "none"
    digest = hashlib.sha256()
    for file in files_below(source):
        stat = file.stat() if file.exists() else file.lstat()
        line = (os.fsencode(key_of(source, file)), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        digest.update(repr(line).encode())
    return digest.hexdigest()[:16]


def limited(stream: Callable[[], Iterator[Record]], most: int | None) -> Iterator[Record]:
    """The records of `stream()`, at most `most` rows of each (split, expression).

    They are chosen by a hash of the path, so the choice is unbiased. The stream is read twice; memory is that of what
    is kept.
    """
    if most is None:
        return stream()
    smallest: dict[tuple[str | None, str | None], list[tuple[int, str]]] = defaultdict(list)
    for row in stream():
        if isinstance(row, dict):
            kept = smallest[row.get("split"), row.get("expression")]
            hashed = -int.from_bytes(hashlib.sha256(row["source_path"].encode()).digest()[:8], "big")
            (heapq.heappush if len(kept) < most else heapq.heappushpop)(kept, (hashed, row["source_path"]))
    paths = {path for kept in smallest.values() for _, path in kept}
    return (row for row in stream() if isinstance(row, Rejected) or row["source_path"] in paths)


def write_scan(
    folder: Path,
    records: Iterable[Record],
    most_rows: int,
    most_bytes: int | None = None,
    source: Path | None = None,
) -> tuple[int, int]:
    """Write what a source holds in partitions that can be read apart: (partitions, rows).

    Rows go to `folder`/scan/NNNNN.parquet, rejects to `folder`/aside-scan-NNNNN.parquet; one partition is in memory.

    Args:
        most_rows: of a partition.
        most_bytes: it ends too where the files of its rows below `source` have so many.
    """
    rows = _Partitions(folder / SCAN, "", SCAN_SCHEMA, most_rows, most_bytes)
    rejects = _Partitions(folder, "aside-scan-", SET_ASIDE_SCHEMA, 20 * most_rows)
    for record in records:
        if isinstance(record, Rejected):
            rejects.add(_escape_non_unicode(record))
        else:
            rows.add(record, _size_of(source, record["source_path"]))
    rejects.close(even_if_empty=True)
    rows.close()
    return rows.number, rows.count


def _size_of(source: Path | None, source_path: str) -> int:
    """The bytes of a row's file; 0 where a row is no file of its own."""
    try:
        return 0 if source is None else os.stat(source / source_path).st_size
    except OSError:
        return 0


class _Partitions:
    """Gathers rows and writes a file whenever there are enough."""

    def __init__(
        self, folder: Path, prefix: str, schema: pa.Schema, most_rows: int, most_bytes: int | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.prefix, self.schema = folder, prefix, schema
        self.most_rows, self.most_bytes = most_rows, most_bytes
        self.number = self.count = self._bytes = 0
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any], num_bytes: int = 0) -> None:
        self._rows.append(row)
        self._bytes += num_bytes
        self.count += 1
        if len(self._rows) == self.most_rows or (self.most_bytes is not None and self._bytes >= self.most_bytes):
            self.close()

    def close(self, even_if_empty: bool = False) -> None:
        if self._rows or (even_if_empty and not self.number):
            table = pa.Table.from_pylist(self._rows, schema=self.schema)
            write_table(self.folder / f"{self.prefix}{self.number:05d}.parquet", table)
            self.number += 1
            self._rows, self._bytes = [], 0


def check_faces(summary: dict[str, Any]) -> None:
    """Raise unless a face was cropped.

    Raises:
        InputError: none was; what stood in the way is counted.
    """
    if not summary["rows"]:
        aside = ", ".join(f"{count} {reason}" for reason, count in summary["set_aside"].items())
        raise InputError(f"no face could be cropped (set aside: {aside}); try another --landmarks, or --no-face centre")


def check_summary(dataset: str, summary: dict[str, Any]) -> None:
    """Raise unless something was taken.

    Raises:
        InputError: no picture was.
    """
    if not summary["rows"]:
        aside = ", ".join(f"{count} {reason}" for reason, count in summary.get("set_aside", {}).items())
        raise InputError(
            f"no usable picture of {dataset} was found"
            + (f" (set aside: {aside})" if aside else "")
            + f"; it expects {REGISTRY[dataset].layout}"
        )


def write_catalog_shard(
    folder: Path, number: int, dataset: str, source: Path | None, overlay: Overlay = NOTHING
) -> int:
    """Write one partition's rows and rejects, unless both stand already; the number of its records."""
    files = folder / f"part-{number:05d}.parquet", folder / f"aside-{number:05d}.parquet"
    scan = pq.read_table(folder / SCAN / f"{number:05d}.parquet")
    if not all(file.exists() for file in files):
        tables = catalog_partition(dataset, source, scan.to_pylist(), overlay)
        for file, table in zip(files, tables, strict=True):
            write_table(file, table)
    return len(scan)


def files_of(folder: Path) -> list[str]:
    """The shards of a catalog or faces folder."""
    return sorted(path.name for path in folder.glob("*.parquet"))


def summary_of(folder: Path) -> dict[str, Any]:
    """Counts over a folder's shards: rows, set_aside by reason, classes, subjects, and what the crops were made by.

    Where there are none of a kind, subjects are null. Rows without an expression count under no class.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("expression", "subject_id", "crop_by")}
    rows = 0
    for file in sorted(folder.glob("part-*.parquet")):
        table = pq.read_table(file, columns=list(counts))
        rows += len(table)
        for name, count in counts.items():
            count.update(table[name].drop_null().to_pylist())
    aside: Counter[str] = Counter()
    for file in sorted(folder.glob("aside-*.parquet")):
        aside.update(pq.read_table(file, columns=["reason"])["reason"].to_pylist())
    return {
        "rows": rows,
        "set_aside": dict(sorted(aside.items())),
        "classes": dict(sorted(counts["expression"].items())),
        "subjects": len(counts["subject_id"]) or None,
        "crop_by": dict(sorted(counts["crop_by"].items())),
    }


def catalog_partition(
    dataset: str, source: Path | None, rows: list[dict[str, Any]], overlay: Overlay = NOTHING
) -> tuple[pa.Table, pa.Table]:
    """Read every picture of a partition: (rows with the picture in them, records set aside); raises as read_record."""
    taken: list[dict[str, Any]] = []
    aside: list[Rejected] = []
    for row in rows:
        record = read_record(dataset, source, row, overlay)
        if isinstance(record, Rejected):
            aside.append(record)
        else:
            taken.append(record.row)
    aside.sort(key=lambda record: record.reason == WITHDREW)  # last, as where they are taken out later
    return pa.Table.from_pylist(taken, schema=SAMPLE_SCHEMA), set_aside_table(aside)


def set_aside_table(rejected: Iterable[Rejected]) -> pa.Table:
    """Rejected records as a table; what is no Unicode in the name of a file is escaped."""
    return pa.Table.from_pylist([_escape_non_unicode(record) for record in rejected], schema=SET_ASIDE_SCHEMA)


def _escape_non_unicode(record: Rejected) -> dict[str, Any]:
    return {key: escaped(text) for key, text in vars(record).items()}


def escaped(text: str) -> str:
    """The text of a file's name, what is no Unicode in it (lone surrogates) as backslash escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class Read(NamedTuple):
    """A catalog row with its picture, and the picture decoded: uint8 (H, W) grey or (H, W, 3) RGB."""

    row: dict[str, Any]
    image: np.ndarray


def read_record(dataset: str, source: Path | None, row: dict[str, Any], overlay: Overlay = NOTHING) -> Read | Rejected:
    """Read and decode the picture of a row, unless it may not be; its label is the right one.

    Raises:
        InputError: as Corrections.applied.
    """
    refused = overlay.refused(dataset, row)
    if refused is not None:
        return refused
    key = row["source_path"]
    try:
        picture = REGISTRY[dataset].picture(source, row)
    except OSError as error:
        return Rejected(key, "file cannot be read", error.strerror or str(error))
    image = opened(picture.image)
    if isinstance(image, tuple):
        return Rejected(key, *image)
    content = hashlib.sha256(picture.image).hexdigest()
    known = {
        **row,
        **picture.known,
        "sample_id": sample_id(content, key),
        "dataset": dataset,
        "rotation": 0.0,
        "image": picture.image,
        "height": image.shape[0],
        "width": image.shape[1],
        "source_sha256": content,
    }
    corrected = overlay.corrections.applied(known)
    return corrected if isinstance(corrected, Rejected) else Read(corrected, image)
