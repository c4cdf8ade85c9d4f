"""People's own pictures: a folder an expression, such as happy/anything.jpg, in whatever depth below it.

    [train|valid|test/]happy/anna/1.jpg       the part is optional; the label is the first folder that is not a part
    labels.csv                                optional: columns path, and any of expression, subject, sequence, pose,
                                              split, intensity; what it says of a picture goes before the folder's name

Folder names, and the labels of the table, are English names of expressions in any case, with the usual synonyms. `pose`
is the yaw in degrees, positive when the face turns to the viewer's right; `intensity` is within 0..1; `split` is a name
of a part. An empty cell is unknown. There is no protocol but what the table or the parts say.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_core.datasets.base import Adapter, Record, Rejected
from fer_core.datasets.folders import (
    files_below,
    folders_in,
    inside,
    is_picture,
    key_of,
    read_table,
    require_utf8,
    wrong_folder,
)
from fer_core.errors import InputError
from fer_core.pose import view_of
from fer_core.vocabulary import EXPRESSIONS

LAYOUT = (
    "folders named after expressions (happy, sad, angry, neutral, ...) with pictures in them, within train/, valid/ "
    "and test/ or not, and labels.csv with the column path where more is known"
)
TABLE = "labels.csv"
COLUMNS = ("path", "expression", "subject", "sequence", "pose", "split", "intensity")
SYNONYMS = {
    "neutral": ("no expression",),
    "happiness": ("happy", "joy", "joyful", "smile", "smiling"),
    "surprise": ("surprised",),
    "sadness": ("sad",),
    "anger": ("angry",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid", "scared"),
    "contempt": ("contemptuous",),
    "squint": ("squinting",),
    "scream": ("screaming",),
}
EXPRESSION_OF = {name: expression for expression in EXPRESSIONS for name in (expression, *SYNONYMS[expression])}
SPLIT_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def records(source: Path, options: None) -> Iterator[Record]:
    """The pictures below the folder, and what the table says of them."""
    if not (source / TABLE).is_file() and not _is_labelled(source):
        raise wrong_folder(source, LAYOUT)
    return _records(source)


def _is_labelled(source: Path) -> bool:
    folders = folders_in(source)
    inner = [folder for part in folders if _plain(part.name) in SPLIT_OF for folder in folders_in(part)]
    return any(_plain(folder.name) in EXPRESSION_OF for folder in folders + inner)


def _records(source: Path) -> Iterator[Record]:
    table: dict[str, dict[str, str]] = {}
    yield from _read_table(source, table)
    for file in files_below(source):
        key = key_of(source, file)
        if is_picture(file):
            yield _record(key, table.pop(key, {}))
        elif key != TABLE:
            yield Rejected(key, "file is not a picture", file.suffix)
    for key in table:
        yield Rejected(key, "label matches no image", TABLE)


def _read_table(source: Path, table: dict[str, dict[str, str]]) -> Iterator[Rejected]:
    """Fill `table` with source path -> cells, and give the lines that cannot be taken."""
    if not (source / TABLE).is_file():
        return
    require_utf8(source / TABLE)
    for number, cells in read_table(source / TABLE, ("path",)):
        unknown = sorted(cells.keys() - set(COLUMNS))
        if unknown:
            raise InputError(f"{source / TABLE} has the column {unknown[0]!r}; known are {', '.join(COLUMNS)}")
        key, where = inside(cells["path"]), f"{TABLE} line {number}"
        if not cells["path"]:
            yield Rejected(TABLE, "label line without a path", where)
        elif key is None:
            yield Rejected(cells["path"], "path leaves the source folder", where)
        elif key in table:
            yield Rejected(key, "labelled twice", where)
        else:
            table[key] = cells


def _record(key: str, cells: dict[str, str]) -> Record:
    part, folder = _folders(key)
    label, split = cells.get("expression") or folder, cells.get("split") or part
    expression = EXPRESSION_OF.get(_plain(label))
    if expression is None:
        reason = "label is not an expression" if cells.get("expression") else "folder is not an expression"
        return Rejected(key, reason, label)
    if split and _plain(split) not in SPLIT_OF:
        return Rejected(key, "split is not train, valid or test", split)
    try:
        numbers = _numbers(cells)
    except ValueError as error:
        return Rejected(key, "pose or intensity is not a number in its range", str(error))
    return {
        "source_path": key,
        "expression": expression,
        "subject_id": cells.get("subject") or None,
        "sequence_id": cells.get("sequence") or None,
        "split": SPLIT_OF[_plain(split)] if split else None,
        **numbers,
    }


def _folders(key: str) -> tuple[str, str]:
    """(part, label) that the folders of a source path name; "" where they name none."""
    folders = key.split("/")[:-1]
    part = folders.pop(0) if folders and _plain(folders[0]) in SPLIT_OF else ""
    return part, folders[0] if folders else ""


def _numbers(cells: dict[str, str]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if cells.get("pose"):
        known["pose_yaw"] = _within(cells["pose"], -180.0, 180.0)
        known["pose_bin"] = view_of(known["pose_yaw"])
    if cells.get("intensity"):
        known["intensity"] = _within(cells["intensity"], 0.0, 1.0)
    return known


def _within(cell: str, least: float, most: float) -> float:
    try:
        number = float(cell)
    except ValueError:
        raise ValueError(f"{cell} is not a number") from None
    if not least <= number <= most:
        raise ValueError(f"{cell} is not within {least:g}..{most:g}")
    return number


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", " ").replace("-", " ")


ADAPTER = Adapter(records=records, layout=LAYOUT, protocol="as the folders or the table say")
