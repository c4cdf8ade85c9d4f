"""From a source folder to catalog rows: which pictures there are, and whether each can be read."""

import hashlib
import io
import os
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fer_core.datasets import REGISTRY
from fer_core.datasets.base import Rejected
from fer_core.directories import digest_of, write_table
from fer_core.errors import InputError
from fer_core.records import SAMPLE_SCHEMA, SET_ASIDE_SCHEMA, sample_id

MAX_PIXELS = 50_000_000
"""A picture beyond this is set aside before it is decoded: it would take gigabytes, and no face set has one."""
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
TOO_LARGE = "picture is too large"


def source_fingerprint(source: Path | None) -> str:
    """A digest over names, sizes and times of the files below `source`: cheap, and changed by any edit.

    Touched files with the same content cost a new ingest, not more: everything after it goes by content.
    """
    if source is None:
        return "none"
    stats: list[tuple[str, int, int, int]] = []
    visited: set[str] = set()
    for folder, folders, files in os.walk(source, followlinks=True):
        if os.path.realpath(folder) in visited:  # links in a circle
            folders.clear()
            continue
        visited.add(os.path.realpath(folder))
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            stat = path.stat() if path.exists() else path.lstat()
            stats.append((path.relative_to(source).as_posix(), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return digest_of(stats)


def limit_per_class(rows: list[dict[str, Any]], most: int | None) -> list[dict[str, Any]]:
    """At most `most` rows of each (split, expression), chosen by a hash of the path: the choice is unbiased."""
    if most is None:
        return rows
    taken: dict[tuple[str | None, str | None], int] = {}
    kept = set()
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["source_path"].encode()).digest()):
        group = (row.get("split"), row.get("expression"))
        taken[group] = taken.get(group, 0) + 1
        if taken[group] <= most:
            kept.add(row["source_path"])
    return [row for row in rows if row["source_path"] in kept]


def check_rows(dataset: str, rows: list[dict[str, Any]]) -> None:
    """Raise unless there is something to learn from.

    Raises:
        InputError: no picture, or pictures of one class only.
    """
    check_summary(dataset, {"rows": len(rows), "classes": dict(Counter(row["expression"] for row in rows))})


def check_summary(dataset: str, summary: dict[str, Any]) -> None:
    """Raise unless a catalog holds two classes.

    Raises:
        InputError: no picture, or pictures of one class only.
    """
    if not summary["rows"]:
        aside = ", ".join(f"{count} {reason}" for reason, count in summary.get("set_aside", {}).items())
        raise InputError(
            f"no usable picture of {dataset} was found"
            + (f" (set aside: {aside})" if aside else "")
            + f"; it expects {REGISTRY[dataset].layout}"
        )
    if len(summary["classes"]) < 2:
        name = next(iter(summary["classes"]))
        raise InputError(f"all {summary['rows']} pictures of {dataset} are of one class ({name}); two are needed")


def write_scan_rejects(folder: Path, rejected: Iterable[Rejected]) -> None:
    """Keep what the scan could not take."""
    write_table(folder / "aside-scan.parquet", set_aside_table(rejected))


def write_catalog_shard(
    folder: Path, number: int, dataset: str, source: Path | None, rows: list[dict[str, Any]]
) -> int:
    """Write one partition's rows and rejects, unless both stand already; the number of its records."""
    files = folder / f"part-{number:05d}.parquet", folder / f"aside-{number:05d}.parquet"
    if not all(file.exists() for file in files):
        for file, table in zip(files, catalog_partition(dataset, source, rows), strict=True):
            write_table(file, table)
    return len(rows)


def files_of(folder: Path) -> list[str]:
    """The shards of a catalog or faces folder."""
    return sorted(path.name for path in folder.glob("*.parquet"))


def summary_of(folder: Path) -> dict[str, Any]:
    """Counts over a folder's shards: rows, set_aside by reason, classes, subjects (null where there are none)."""
    wanted = ["sample_id", "expression", "subject_id"]
    rows = pa.concat_tables(pq.read_table(file, columns=wanted) for file in sorted(folder.glob("part-*.parquet")))
    aside = pa.concat_tables(pq.read_table(file) for file in sorted(folder.glob("aside-*.parquet")))
    subjects = set(rows["subject_id"].to_pylist()) - {None}
    return {
        "rows": len(rows),
        "set_aside": dict(sorted(Counter(aside["reason"].to_pylist()).items())),
        "classes": dict(sorted(Counter(rows["expression"].to_pylist()).items())),
        "subjects": len(subjects) or None,
    }


def catalog_partition(dataset: str, source: Path | None, rows: list[dict[str, Any]]) -> tuple[pa.Table, pa.Table]:
    """Read every picture of a partition: (rows with the picture in them, records set aside)."""
    made = [_read_row(dataset, source, row) for row in rows]
    taken = [record for record in made if isinstance(record, dict)]
    aside = [record for record in made if isinstance(record, Rejected)]
    return pa.Table.from_pylist(taken, schema=SAMPLE_SCHEMA), set_aside_table(aside)


def set_aside_table(rejected: Iterable[Any]) -> pa.Table:
    """Rejected records as a table; what is no Unicode in the name of a file is escaped."""
    rows = [{key: _unicode(text) for key, text in vars(record).items()} for record in rejected]
    return pa.Table.from_pylist(rows, schema=SET_ASIDE_SCHEMA)


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _read_row(dataset: str, source: Path | None, row: dict[str, Any]) -> dict[str, Any] | Rejected:
    key = row["source_path"]
    try:
        picture = REGISTRY[dataset].picture(source, row)
    except OSError as error:
        return Rejected(key, "file cannot be read", error.strerror or str(error))
    problem = picture_problem(picture.image)
    if problem:
        return Rejected(key, *problem)
    image = decode(picture.image)
    if image is None:
        return Rejected(key, "damaged or truncated picture")
    content = hashlib.sha256(picture.image).hexdigest()
    return {
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


def picture_problem(data: bytes) -> tuple[str, str] | None:
    """(reason, detail) why bytes are not a picture that may be decoded, or None. Looks at the header alone."""
    if not data:
        return "empty file", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            header = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        return TOO_LARGE, str(error)
    except (OSError, ValueError, SyntaxError) as error:
        return f"not a {', '.join(FORMATS)} picture", str(error)
    if header.width * header.height > MAX_PIXELS:
        return TOO_LARGE, f"{header.width} x {header.height}, at most {MAX_PIXELS} pixels"
    return None


def decode(data: bytes) -> np.ndarray | None:
    """Decode to uint8 (H, W) grey or (H, W, 3) RGB, as stored; None where the bytes are damaged or cut short."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        return None
    if image is None or image.ndim not in (2, 3):
        return None
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
