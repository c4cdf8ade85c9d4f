"""AffectNet: faces from web searches, labelled by people (Mollahosseini et al. 2019, IEEE Trans. Affective Computing).

List form (2017), as its archives unpack:
    Manually_Annotated/Manually_Annotated_Images/689/737db2....jpg      hashed names, all common suffixes, all sizes
    Manually_Annotated_file_lists/training.csv and validation.csv       with or without a header:
        subDirectory_filePath, face_x, face_y, face_width, face_height, facial_landmarks, expression, valence, arousal
    The landmarks are 68 points "x;y;x;y;...", in pixels of the picture. The lists may lie beside the pictures' folder.
Folder form (2021): train_set/ and val_set/, each with images/0.jpg, face crops of 224x224, and annotations/ with
    0_exp.npy, 0_val.npy, 0_aro.npy (a number or its text, without dimensions) and 0_lnd.npy (136 numbers: x, y, ...).

Codes: 0 neutral, 1 happiness, 2 sadness, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt, 8 none, 9 uncertain,
10 no face. The last three have no expression (their valence and arousal are -2) and are set aside. Valence and arousal
are not kept: they are no degree of the expression.

The test set is not published; papers train on the training set and test on the 500 validation pictures a class, with
all 8 classes or, without contempt, 7. There are no subjects. Automatically annotated pictures are not read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from fer_core.datasets.base import Adapter, Form, Picture, Record, Rejected, read_picture
from fer_core.datasets.folders import (
    files_below,
    files_in,
    first_folder,
    inside,
    is_picture,
    key_of,
    pictures_in,
    read_cells,
    root_of,
    wrong_folder,
)
from fer_core.datasets.label_table import Label, labelled
from fer_core.datasets.points import finite_numbers, with_zero_z
from fer_core.errors import InputError
from fer_core.options.base import Frozen

LAYOUT = (
    "Manually_Annotated/Manually_Annotated_Images/ with training.csv and validation.csv in "
    "Manually_Annotated_file_lists/, or train_set/ and val_set/, each with images/ and annotations/"
)
EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
NO_EXPRESSION = {8: "annotated as none", 9: "annotated as uncertain", 10: "annotated as no face"}
SPLIT_OF_LIST = {"training.csv": "train", "validation.csv": "valid"}
SPLIT_OF_FOLDER = {"train_set": "train", "val_set": "valid"}
COLUMNS = [
    "subdirectory_filepath",
    *("face_x", "face_y", "face_width", "face_height", "facial_landmarks"),
    *("expression", "valence", "arousal"),
]
LIST_FOLDERS = (
    "",
    "Manually_Annotated_file_lists",
    "Manually_Annotated",
    "Manually_Annotated/Manually_Annotated_file_lists",
)
IMAGE_FOLDERS = ("Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated_Images", "Manually_Annotated")
NUM_LANDMARKS = 68


class AffectnetOptions(Frozen):
    """The classes."""

    classes: Literal[7, 8] = Field(8, description="8: all; 7: without contempt")


class Lists(NamedTuple):
    """Where the parts of the list form lie."""

    images: Path
    lists: list[Path]


def records(source: Path, options: AffectnetOptions) -> Iterator[Record]:
    """The pictures of the list form or of the folder form, whichever the folder, or one directly in it, holds."""
    lists = _lists(source)
    if lists is not None:
        return _list_records(source, lists, options)
    root = root_of(source, _has_sets)
    if root is None:
        raise wrong_folder(source, LAYOUT)
    return _folder_records(source, root, options)


def picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """The file; in the folder form with the landmarks beside it.

    Raises:
        OSError: as read_picture, or the landmark file is malformed.
    """
    found = read_picture(source, row)
    assert source is not None
    file = _annotation(source / row["source_path"], "lnd")
    if "is_face_crop" not in row or not file.is_file():
        return found
    try:
        values = _array(file).astype(float).ravel()
    except ValueError:
        values = np.empty(0)
    if values.size != 2 * NUM_LANDMARKS or not np.isfinite(values).all():
        raise OSError(f"{file.name} does not hold {NUM_LANDMARKS} points of x and y")
    return Picture(found.image, {"landmarks": with_zero_z(values.tolist())})


def form(source: Path | None, options: AffectnetOptions) -> Form:
    """The paper's sizes; the pictures of the folder form are face crops."""
    return Form(is_face_crop=source is not None and _lists(source) is None)


def _lists(source: Path) -> Lists | None:
    root = root_of(source, lambda folder: bool(_list_files(folder)))
    images = None if root is None else first_folder(root, *IMAGE_FOLDERS)
    return None if root is None or images is None else Lists(images, _list_files(root))


def _list_files(root: Path) -> list[Path]:
    found = (
        [root / folder / name for name in SPLIT_OF_LIST if (root / folder / name).is_file()] for folder in LIST_FOLDERS
    )
    return next(filter(None, found), [])


def _list_records(source: Path, lists: Lists, options: AffectnetOptions) -> Iterator[Record]:
    return labelled(
        _labels(lists.lists),
        lambda key, line: _list_record(key, *line, options),
        key=lambda name: key_of(source, lists.images / path) if (path := inside(name)) else name,
        is_there=lambda key: (source / key).is_file(),
        pictures=(key_of(source, file) for file in files_below(lists.images) if is_picture(file)),
    )


def _labels(files: list[Path]) -> Iterator[Label[tuple[list[str], str, str]]]:
    """The lists: (cells, split, where) of each line."""
    for file in files:
        for number, cells in _lines(file):
            where = f"{file.name} line {number}"
            yield Label(cells[0].strip(), where, (cells, SPLIT_OF_LIST[file.name], where))


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    for at, (number, cells) in enumerate(read_cells(file)):
        header = [cell.strip().lower() for cell in cells]
        if at == 0 and header[0] == COLUMNS[0]:
            if header != COLUMNS:
                raise InputError(f"{file} has the columns {', '.join(header)}; affectnet expects {', '.join(COLUMNS)}")
        else:
            yield number, cells


def _list_record(key: str, cells: list[str], split: str, where: str, options: AffectnetOptions) -> Record:
    if len(cells) != len(COLUMNS):
        return Rejected(key, "label line does not have nine cells", where)
    label = _label(key, cells[6].strip(), options)
    if isinstance(label, Rejected):
        return label
    box, landmarks = finite_numbers(cells[1:5]), finite_numbers(cells[5].split(";"))
    known: dict[str, Any] = {"expression": label, "split": split}
    if box is not None and len(box) == 4 and min(box[2:]) > 0:
        known["face_box"] = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
    if landmarks is not None and len(landmarks) == 2 * NUM_LANDMARKS:
        known["landmarks"] = with_zero_z(landmarks)
    elif cells[5].strip().lower() not in ("", "null"):
        return Rejected(key, "landmarks are not 68 points", where)
    return {"source_path": key, **known}


def _label(key: str, code: str, options: AffectnetOptions) -> str | Rejected:
    value = int(code) if code.isascii() and code.isdigit() else -1
    if value in NO_EXPRESSION:
        return Rejected(key, NO_EXPRESSION[value])
    if not 0 <= value < len(EXPRESSIONS):
        return Rejected(key, "label is not an expression", code[:40])
    if value >= options.classes:
        return Rejected(key, "not one of the 7 classes", EXPRESSIONS[value])
    return EXPRESSIONS[value]


def _has_sets(folder: Path) -> bool:
    return any((folder / name / "images").is_dir() for name in SPLIT_OF_FOLDER)


def _folder_records(source: Path, root: Path, options: AffectnetOptions) -> Iterator[Record]:
    for name, split in SPLIT_OF_FOLDER.items():
        if (root / name / "images").is_dir():
            yield from _set_records(source, root / name, split, options)


def _set_records(source: Path, folder: Path, split: str, options: AffectnetOptions) -> Iterator[Record]:
    if not (folder / "annotations").is_dir():
        raise InputError(f"{folder} has no folder annotations; affectnet expects {LAYOUT}")
    stems = set()
    for file in pictures_in(folder / "images"):
        key, annotation = key_of(source, file), _annotation(file, "exp")
        stems.add(file.stem)
        if not annotation.is_file():
            yield Rejected(key, "image without a label")
            continue
        label = _label(key, _code(annotation), options)
        if isinstance(label, Rejected):
            yield label
        else:
            yield {"source_path": key, "expression": label, "split": split, "is_face_crop": True}
    for file in files_in(folder / "annotations"):
        if file.name.endswith("_exp.npy") and file.name.removesuffix("_exp.npy") not in stems:
            yield Rejected(key_of(source, file), "label matches no image")


def _annotation(image: Path, kind: str) -> Path:
    return image.parents[1] / "annotations" / f"{image.stem}_{kind}.npy"


def _code(file: Path) -> str:
    try:
        array = _array(file)
        return str(array.item()) if array.size == 1 else f"{array.size} values"
    except (OSError, ValueError):
        return f"{file.name} cannot be read"


def _array(file: Path) -> np.ndarray:
    """A .npy file; objects are never unpickled.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no array of numbers or text.
    """
    try:
        return np.load(file, allow_pickle=False)
    except (EOFError, MemoryError, SyntaxError) as error:
        raise ValueError(str(error)) from None


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="training set; tested on the validation set",
    picture=picture,
    options=AffectnetOptions,
    form=form,
)
