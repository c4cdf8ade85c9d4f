"""Data set directories: Parquet shards and a manifest that is written last.

A directory's name holds the digest of what it is made from, so the same work has the same place. A shard is written
under a temporary name and renamed: where its name stands, it is whole. A directory without a manifest is unfinished
and goes on at its first missing shard; two writers of one directory write the same bytes and do not tear each other.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from fer_core.errors import InputError
from fer_core.files import digest_of, file_sha256, has_size, write_json
from fer_core.locks import alone, lock_of

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
STARTED = "started.json"
"""What an unfinished directory is being made from; gone when the manifest stands."""


@dataclass(frozen=True)
class Manifest:
    """What a finished directory holds: `shards` maps file name -> {rows, bytes, sha256}."""

    kind: str
    config: dict[str, Any]
    inputs: dict[str, str]
    code: str
    shards: dict[str, dict[str, Any]]
    summary: dict[str, Any]

    @property
    def content(self) -> str:
        """The digest of the shards alone: equal content gives equal digests however it came about."""
        return digest_of({name: shard["sha256"] for name, shard in self.shards.items()})

    @property
    def origin(self) -> str:
        """The digest of what it is made from, which the directory's name ends with."""
        return _origin(self.config, self.inputs, self.code)


class Directory:
    """One directory of one stage, finished or under way.

    Args:
        root: the parent folder.
        name: what a person calls it; the digest of config, inputs and code is appended.
        kind: the stage that makes it.
        config: the options its content depends on, JSON values.
        inputs: name -> digest of what it is made from.
        code: digest of the code that makes it.
    """

    def __init__(
        self, root: Path, name: str, *, kind: str, config: dict[str, Any], inputs: dict[str, str], code: str
    ) -> None:
        self.kind, self.config, self.inputs, self.code = kind, config, inputs, code
        self.digest = _origin(config, inputs, code)
        self.path = root / f"{name}-{self.digest}"

    def finished(self) -> bool:
        """Whether the manifest stands and every file it names is there; a deleted file is made again.

        Raises:
            InputError: a file has another size than the manifest says.
        """
        if not (self.path / MANIFEST).exists():
            return False
        differing = [self.path / name for name in damaged_files(self.path, deep=False)]
        for file in differing:
            if file.exists():
                raise damaged(file)
        return not differing

    def drop_damaged(self) -> list[str]:
        """Delete the files that differ from the manifest, and name them with the missing ones.

        Where the manifest itself is unreadable nothing can be proven, and all files go. The caller holds `lock`.
        """
        if not (self.path / MANIFEST).exists():
            return []
        try:
            names = damaged_files(self.path)
        except InputError:
            names = sorted(file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if file.is_file())
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        return names

    def lock(self) -> AbstractContextManager[None]:
        """Held while the directory is made, so that a second run waits for the first and finds its work done."""
        return alone(lock_of(self.path))

    def start(self) -> None:
        """Make the folder, and drop what a killed run has half written. The caller holds `lock`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {self.path}: {error.strerror}; choose another --home") from error
        for left in self.path.rglob(".*.tmp"):
            left.unlink()
        write_json(self.path / STARTED, {"inputs": self.inputs})

    def finish(self, files: Iterable[str], summary: dict[str, Any]) -> Manifest:
        """Write the manifest over `files` and return it."""
        shards = {file: _describe(self.path / file) for file in sorted(files)}
        manifest = Manifest(self.kind, self.config, self.inputs, self.code, shards, summary)
        write_json(
            self.path / MANIFEST, {"schema_version": SCHEMA_VERSION, "content": manifest.content, **vars(manifest)}
        )
        for left in (self.path / STARTED, *self.path.rglob(".*.tmp")):  # of workers that were killed meanwhile
            left.unlink(missing_ok=True)
        return manifest

    def manifest(self) -> Manifest:
        """Read the manifest of a finished directory."""
        return read_manifest(self.path)


def _origin(config: dict[str, Any], inputs: dict[str, str], code: str) -> str:
    return digest_of({"version": SCHEMA_VERSION, "config": config, "inputs": inputs, "code": code})


def _describe(path: Path) -> dict[str, Any]:
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return {"rows": rows, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def read_manifest(path: Path) -> Manifest:
    """Read `path`/manifest.json.

    Raises:
        InputError: there is none, it is of another schema version, or it is damaged.
    """
    try:
        values = dict(json.loads((path / MANIFEST).read_text()))
        if values.pop("schema_version", None) == SCHEMA_VERSION:
            values.pop("content")
            return Manifest(**values)
    except FileNotFoundError:
        raise InputError(f"{path} has no {MANIFEST}: it is unfinished or not a data set directory") from None
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path / MANIFEST} is not readable ({error}); delete {path} and run again") from None
    raise InputError(f"{path} was written by another version of this pipeline; run its stage again")


def damaged_files(path: Path, deep: bool = True) -> list[str]:
    """The files that are missing or differ from the manifest: by size, and by sha256 when `deep`."""
    differing = []
    for name, shard in read_manifest(path).shards.items():
        file = path / name
        if not has_size(file, shard["bytes"]) or (deep and file_sha256(file) != shard["sha256"]):
            differing.append(name)
    return differing


def folder_at(uri: str) -> Path:
    """The folder at a path or fsspec URI; on another file system it has pathlib's interface without being a Path."""
    return cast(Path, UPath(uri))


def shards_of(path: Path, prefix: str) -> dict[str, dict[str, Any]]:
    """What the manifest says of a finished directory's shards whose names start with `prefix`, by name and in order."""
    return {name: shard for name, shard in sorted(read_manifest(path).shards.items()) if name.startswith(prefix)}


def read_columns(path: Path, prefix: str, columns: list[str]) -> pa.Table:
    """Some columns of the shards whose names start with `prefix`, in order; the rest of the files is not read.

    The files are checked against the manifest by size, what is read by its pages' checksums.

    Raises:
        InputError: a shard is missing or damaged; the message names it.
    """
    return _read_all(path, prefix, lambda file, shard: _read_pages(file, shard["bytes"], columns))


def _read_pages(file: Path, size: int, columns: list[str]) -> pa.Table:
    if not has_size(file, size):
        raise damaged(file)
    try:
        with file.open("rb") as opened, pq.ParquetFile(opened, page_checksum_verification=True) as parquet:
            table = parquet.read(columns)
            intact = table.schema.types == [_written_schema(parquet.metadata).field(name).type for name in columns]
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise damaged(file) from error
    if not intact:
        raise damaged(file)
    return table


def _written_schema(footer: pq.FileMetaData) -> pa.Schema:
    """The schema as Arrow noted it when the file was written: no checksum guards the types in a Parquet footer."""
    return pa.ipc.read_schema(pa.BufferReader(base64.b64decode((footer.metadata or {})[b"ARROW:schema"])))


def read_tables(path: Path, prefix: str, columns: list[str] | None = None) -> pa.Table:
    """Read the shards of a finished directory whose names start with `prefix`, in order, checked against the manifest.

    Raises:
        InputError: a shard is missing or damaged; the message names it.
    """
    return _read_all(path, prefix, lambda file, shard: read_shard(file, shard["sha256"], columns))


def _read_all(path: Path, prefix: str, read: Callable[[Path, dict[str, Any]], pa.Table]) -> pa.Table:
    """One table of the shards whose names start with `prefix`; `read` gets each file and its part of the manifest."""
    shards = shards_of(path, prefix)
    assert shards, f"{path} holds no {prefix}*"
    return pa.concat_tables(read(path / name, shard) for name, shard in shards.items())


def read_shard(file: Path, sha256: str, columns: list[str] | None = None) -> pa.Table:
    """Read one shard of a finished directory, checked against the sha256 that the manifest says.

    Raises:
        InputError: it is missing or damaged; the message names it.
    """
    data = file.read_bytes() if file.exists() else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise damaged(file)
    return pq.read_table(pa.BufferReader(data), columns=columns)


def damaged(file: Path) -> InputError:
    """The error for a file that is not what its manifest says."""
    return InputError(
        f"{file} is missing or damaged; run `ingest --repair` (or `prepare --repair`) with the same options, or delete "
        "it and run the same command again: only that file is made again"
    )
