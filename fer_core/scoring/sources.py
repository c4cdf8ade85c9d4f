"""What `--source` of a registered model may be: a folder, a glob, a picture, a video, a table, a URI."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from fer_core.credentials import OF_OBJECT_STORES, require_no_credentials
from fer_core.datasets.folders import files_below, is_picture, key_of, read_table, require_folder, require_utf8
from fer_core.errors import InputError
from fer_core.scoring.asked_pictures import Files, Images, PictureSource, Stored, parquet_batches
from fer_core.scoring.video import is_video

FORM = (
    "a folder of pictures, at any depth, a glob in quotes, a picture, a video with --every, a .csv or .parquet file "
    "with a column of paths (or of encoded pictures), or the URI of a folder"
)
PATHS = ("path", "source_path", "image")
"""Columns that may hold paths, which begin at the table's folder; `image` may hold encoded pictures in Parquet."""


def open_source(source: str, every: float | None = None) -> PictureSource:
    """The pictures of a source; what can be told from its name and its first picture is told now.

    Args:
        source: one of FORM.
        every: seconds between the frames of videos; None leaves videos out.

    Raises:
        InputError: it is nothing of FORM, cannot be read, holds no picture, or carries credentials.
    """
    path = Path(source)
    if "://" in source:
        return _stored(source)
    is_file = os.path.isfile(source)  # unlike Path.is_file, False for a name that is too long
    if glob.has_magic(source) and not os.path.exists(source):
        return _globbed(source, every)
    if is_file and path.suffix.lower() in _TABLES:
        return _TABLES[path.suffix.lower()](path)
    if is_file:
        return _single(path, every)
    require_folder(path, FORM)

    def names() -> Iterator[str]:
        return (key_of(path, file) for file in files_below(path) if _is_taken(file, every))

    kinds = "no .png, .jpg, .bmp or .tif file; --every SECONDS takes the frames of videos"
    return Files(path, _some(names, f"--source {source} holds no picture, in whatever depth: {kinds}"), every)


def lasting(source: str) -> str:
    """A source as it is called from any working directory."""
    return source if "://" in source else os.path.abspath(source)


def _is_taken(file: Path, every: float | None) -> bool:
    return is_picture(file) or (every is not None and is_video(file))


def _some(names: Callable[[], Iterable[str]], otherwise: str) -> Callable[[], Iterable[str]]:
    if next(iter(names()), None) is None:
        raise InputError(otherwise)
    return names


def _globbed(source: str, every: float | None) -> Files:
    """Pictures by their paths below the part of the glob that says where."""
    parts = Path(source).parts
    folder = Path(*parts[: next(at for at, part in enumerate(parts) if glob.has_magic(part))])

    def names() -> Iterator[str]:
        files = map(Path, sorted(glob.iglob(source, recursive=True)))
        return (key_of(folder, file) for file in files if _is_taken(file, every) and file.is_file())

    return Files(folder, _some(names, f"--source {source} matches no picture"), every)


def _single(file: Path, every: float | None) -> Files:
    if is_video(file) and every is None:
        raise InputError(f"--source {file} is a video; say by --every SECONDS which of its frames are meant")
    if not _is_taken(file, every):
        raise InputError(f"--source {file} is not {FORM}")
    return Files(file.parent, lambda: [file.name], every)


def _csv(file: Path) -> Files:
    require_utf8(file)
    header = next(read_table(file, ()), (0, {}))[1]
    column = _path_column(file, list(header))

    def names() -> Iterator[str]:
        return (cells.get(column, "") for _, cells in read_table(file, (column,)))

    return Files(file.parent, names)


def _parquet(file: Path) -> PictureSource:
    try:
        with pq.ParquetFile(file) as opened:
            schema, num_rows = opened.schema_arrow, opened.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"--source {file} is no Parquet file: {error}") from None
    column = _path_column(file, schema.names if num_rows else [])
    if "image" in schema.names and _is_binary(schema.field("image").type):
        return Images(file, "image", None if column == "image" else column)

    def names() -> Iterator[str]:
        return (str(name) for batch in parquet_batches(file, [column]) for name in batch[column].to_pylist())

    return Files(file.parent, names)


_TABLES: dict[str, Callable[[Path], PictureSource]] = {".csv": _csv, ".parquet": _parquet}


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _path_column(file: Path, columns: list[str]) -> str:
    column = next((name for name in PATHS if name in columns), None)
    if column is None:
        found = f"its columns are {', '.join(columns)}" if columns else "it holds no row"
        raise InputError(f"--source {file} has no column of pictures ({', '.join(PATHS)}); {found}")
    return column


def _stored(source: str) -> Stored:
    require_no_credentials(source, "--source", OF_OBJECT_STORES)
    try:
        folder = UPath(source)
        found = folder.fs.find(folder.path)
    except (OSError, ValueError, ImportError, NotImplementedError) as error:
        raise InputError(f"--source {source} cannot be listed: {error or type(error).__name__}") from None
    paths = sorted(path for path in found if is_picture(Path(path)))
    if not paths:
        raise InputError(f"--source {source} holds no picture, in whatever depth; is it the URI of a folder?")
    return Stored(folder, paths)
