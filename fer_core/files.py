"""Files that are there whole or not at all, and digests of what is in them."""

import contextlib
import filecmp
import hashlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def digest_of(value: Any) -> str:
    """16 hex digits of the sha256 of `value` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_size(path: Path, num_bytes: int) -> bool:
    """Whether a file stands, with so many bytes."""
    return path.exists() and path.stat().st_size == num_bytes


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write(temporary)` and rename the result to `path`; nothing is left behind when it fails.

    A file that holds those bytes already is left as it is, with its time.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        write(temporary)
        if path.exists() and filecmp.cmp(temporary, path, shallow=False):
            return
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put what a folder names on the disk: the name of a new file is there only then."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file atomically."""
    write_atomically(path, lambda temporary: _put(temporary, data))


def _put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def rows_in(lines: bytes) -> list[dict[str, Any]]:
    """The rows of JSON lines; what is torn by a full disk, or not written whole yet, is passed over."""
    rows = []
    for line in lines.splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Those of a file; none where there is no file."""
    return rows_in(path.read_bytes()) if path.exists() else []


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, keys sorted."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically. The same table gives the same bytes.

    Pictures are compressed already, so their column is stored plain, in one page: shards.py reads it by position. Each
    page has a checksum, so that columns can be read checked without reading the pictures.
    """
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    layout = {"compression": "none", "use_dictionary": strings, "write_statistics": strings}
    write_atomically(
        path,
        lambda temporary: pq.write_table(
            table,
            temporary,
            data_page_size=2**30,
            write_page_checksum=True,
            row_group_size=max(len(table), 1),
            **layout,
        ),
    )
