"""Reading source folders: what is in them, in an order that depends on them alone, whatever people put there."""

import csv
import os
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path

from fer_core.errors import InputError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
LONGEST_NAME = 255
"""Bytes of a file's or a folder's name on the usual file systems."""
LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
"""What desktops leave in folders; so do files whose names begin with a dot."""


def require_folder(source: Path, expected: str) -> None:
    """Raise InputError unless `source` is a folder with something in it.

    Raises:
        InputError: it is missing, a file, empty, or may not be read.
    """
    if not os.path.exists(source):  # unlike Path.exists, False for a name that is too long
        raise InputError(f"--source {source} does not exist; expected {expected}")
    if not source.is_dir():
        raise InputError(f"--source {source} is a file, not a folder; expected {expected}")
    if not os.access(source, os.R_OK | os.X_OK):
        raise InputError(f"--source {source} cannot be read; give yourself permission to list and open it")
    if not any(source.iterdir()):
        raise InputError(f"--source {source} is empty; expected {expected}")


def refuse_inside(option: str, path: Path, source: Path) -> None:
    """Raise InputError where what a run writes would be read as part of the source; hidden folders are not.

    Raises:
        InputError: `path` is `source` or below it, in no folder whose name begins with a dot.
    """
    where, root = path.resolve(), source.resolve()
    if where.is_relative_to(root) and not any(part.startswith(".") for part in where.relative_to(root).parts):
        raise InputError(
            f"{option} {path} lies in --source {source}: what is written there would be taken for pictures"
        )


def require_utf8(file: Path) -> None:
    """Raise InputError where a table that people write themselves is not in UTF-8: its names would be mixed up.

    Raises:
        InputError: that, or it is missing, a folder, or may not be read.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for _ in lines:
                pass
    except UnicodeDecodeError:
        raise InputError(f'{file} is not in UTF-8; save it as "CSV UTF-8"') from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


def wrong_folder(source: Path, expected: str) -> InputError:
    """The error for a folder that is not what a data set expects."""
    return InputError(f"--source {source} is not that data set: expected {expected}; found {describe_folder(source)}")


def describe_folder(folder: Path, most: int = 6) -> str:
    """What a folder holds, in a few words, for error messages."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def key_of(source: Path, path: Path) -> str:
    """The source path of a file below `source`: relative, with forward slashes."""
    return path.relative_to(source).as_posix()


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in `folder`, by name, litter left out."""
    return [Path(entry.path) for entry in _entries(folder) if _is_folder(entry)]


def files_in(folder: Path) -> list[Path]:
    """The files directly in `folder`, by name, litter left out; links that lead nowhere or in a circle are files."""
    return [Path(entry.path) for entry in _entries(folder) if not _is_folder(entry)]


def pictures_in(folder: Path) -> list[Path]:
    """The files directly in `folder` that are pictures by their suffix, by name."""
    return [path for path in files_in(folder) if is_picture(path)]


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its suffix."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def files_below(folder: Path) -> Iterator[Path]:
    """The files in `folder` and in all folders below it, depth first, by name; links are followed, circles are not.

    Memory is that of the folders on the way down.
    """
    yield from _files_below(folder, frozenset())


def _files_below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in _entries(folder):
        if _is_folder(entry):
            yield from _files_below(Path(entry.path), above | {real})
        else:
            yield Path(entry.path)


def folders_below(folder: Path) -> Iterator[Path]:
    """`folder` and all folders below it, depth first, by name; links are followed, circles are not."""
    yield from _folders_below(folder, frozenset())


def _folders_below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real not in above:
        yield folder
        for inner in folders_in(folder):
            yield from _folders_below(inner, above | {real})


def pictures_of_set(source: Path, is_of_set: Callable[[Path], bool], expected: str) -> Iterator[Path]:
    """All pictures below `source`, for data sets whose file names say everything, wherever the files lie.

    Raises:
        InputError: none of them is of the data set.
    """
    if not any(is_of_set(path) for path in files_below(source) if is_picture(path)):
        raise wrong_folder(source, expected)
    yield from (path for path in files_below(source) if is_picture(path))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not _is_litter(entry.name)]
    except PermissionError:
        raise InputError(f"{folder} cannot be read; give yourself permission to list and open it") from None
    return sorted(kept, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def root_of(source: Path, is_root: Callable[[Path], bool]) -> Path | None:
    """`source`, or the first folder directly in it, that is what a data set unpacks to; None where neither is."""
    return next((folder for folder in (source, *folders_in(source)) if is_root(folder)), None)


def first_folder(root: Path, *names: str) -> Path | None:
    """The first of the folders `names` below `root` that is there, or None."""
    return next((root / name for name in names if (root / name).is_dir()), None)


def inside(name: str) -> str | None:
    """A file name out of a label file as a source path, or None where it is absolute or leads out of the folder.

    None too where no file can have such a name. Windows' separators are taken for what they mean.
    """
    path = posixpath.normpath(name.strip().replace("\\", "/"))
    is_absolute = path.startswith("/") or path[1:2] == ":"
    leads_out = is_absolute or path in (".", "..") or path.startswith("../")
    is_possible = "\0" not in path and max(len(os.fsencode(part)) for part in path.split("/")) <= LONGEST_NAME
    return path if is_possible and not leads_out else None


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line) of a text file; bytes that are no UTF-8 become replacement characters.

    Raises:
        InputError: it is missing or cannot be read.
    """
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline=None) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.rstrip("\n")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


def read_cells(file: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, cells) of a file of separated values; empty lines are left out.

    Raises:
        InputError: it is missing, cannot be read, or is not such a file.
    """
    lines = (line.replace("\0", "") + "\n" for _, line in read_lines(file))
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{file} line {reader.line_num}: {error}") from None


def read_table(file: Path, columns: tuple[str, ...], delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, column -> cell) of a file of separated values with a header; names ignore case and spaces.

    All columns of the header are given; short lines lack the last ones.

    Raises:
        InputError: as read_cells, or one of `columns` is not in the header.
    """
    rows = read_cells(file, delimiter)
    header = [name.strip().lower() for name in next(rows, (0, []))[1]]
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise InputError(f"{file} has a column twice; its first line holds {', '.join(header)}")
    missing = [name for name in columns if name not in header]
    if missing:
        found = ", ".join(header) or "nothing"
        raise InputError(f"{file} has no column {', '.join(missing)}; its first line holds {found}")
    for number, cells in rows:
        yield number, dict(zip(header, (cell.strip() for cell in cells), strict=False))
