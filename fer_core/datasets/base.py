"""What a data set adapter is: it names the pictures of a source folder and what is known of each."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from fer_core.errors import InputError

MAX_FILE_BYTES = 2**28


@dataclass(frozen=True)
class Rejected:
    """A record that cannot be taken."""

    source_path: str
    reason: str
    detail: str = ""


class Scan(NamedTuple):
    """What a source folder holds.

    Attributes:
        rows: one dict a picture: `source_path` (relative, unique) and those fields of records.SAMPLE_SCHEMA that the
            data set knows.
        rejected: records that cannot be taken, with the reason.
    """

    rows: list[dict[str, Any]]
    rejected: list[Rejected]


class Picture(NamedTuple):
    """An encoded picture, and the fields of its row that are known only once it is made."""

    image: bytes
    known: dict[str, Any]


def read_picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """The file that `row["source_path"]` names.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger than any face picture.
    """
    assert source is not None
    file = source / row["source_path"]
    size = file.stat().st_size
    if not file.is_file():
        raise OSError(f"{file} is not a regular file")
    if size > MAX_FILE_BYTES:
        raise OSError(f"{size} bytes, at most {MAX_FILE_BYTES}")
    return Picture(file.read_bytes(), {})


@dataclass(frozen=True)
class Adapter:
    """One data set.

    Attributes:
        scan: (source folder or None, options or None) -> Scan. Cheap: reads names and label files, no pictures.
        layout: what the source folder must look like, for error messages and docs.
        picture: (source, row) -> Picture.
        options: the class of the data set's own options, or None where it has none.
        face_size, patch: pixels that suit this source; the paper's 236 / 224 unless its pictures are smaller.
        is_face_crop: the pictures are face crops already, so the whole frame is the face.
        needs_source: whether there is a folder to read.
    """

    scan: Callable[..., Scan]
    layout: str
    picture: Callable[[Path | None, dict[str, Any]], Picture] = read_picture
    options: type[BaseModel] | None = None
    face_size: int = 236
    patch: int = 224
    is_face_crop: bool = False
    needs_source: bool = True


def require_folder(source: Path, dataset: str, layout: str) -> None:
    """Raise InputError unless `source` is a folder with something in it.

    Raises:
        InputError: it is missing, a file, empty, or may not be read.
    """
    if not source.exists():
        raise InputError(f"--source {source} does not exist; {dataset} expects {layout}")
    if not source.is_dir():
        raise InputError(f"--source {source} is a file, not a folder; {dataset} expects {layout}")
    if not os.access(source, os.R_OK | os.X_OK):
        raise InputError(f"--source {source} cannot be read; give yourself permission to list and open it")
    if not any(source.iterdir()):
        raise InputError(f"--source {source} is empty; {dataset} expects {layout}")


def describe_folder(folder: Path, most: int = 6) -> str:
    """What a folder holds, in a few words, for error messages."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
