"""RAF-DB, basic expressions: faces from the web with the vote of about 40 people (Li, Deng and Du 2017).

Layout, as basic.zip and the archives in it unpack:
    basic/EmoLabel/list_patition_label.txt                       (sic) "train_00001.jpg 5", 12,271 train and 3,068 test
    basic/Image/aligned/train_00001_aligned.jpg                  face crops, 100x100
    basic/Image/original/train_00001.jpg                         as found
    basic/Annotation/manual/train_00001_manu_attri.txt           5 points "x<tab>y" of the original: eyes, nose, mouth
                                                                 corners; then gender, race and age, not read
    basic/Annotation/boundingbox/train_00001_boundingbox.txt     "x0 y0 x1 y1" in the original
Codes: 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral.

The official split is train / test (papers that speak of a validation set mean the test set). There are no subjects.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from fer_core.datasets.base import Adapter, Form, Picture, Record, Rejected, read_picture
from fer_core.datasets.folders import first_folder, read_lines, root_of, wrong_folder
from fer_core.datasets.label_table import Label, labelled_in
from fer_core.datasets.points import finite_numbers, with_zero_z
from fer_core.options.base import Frozen

LABELS = ("EmoLabel/list_patition_label.txt", "EmoLabel/list_partition_label.txt")
LAYOUT = (
    f"the folder basic with {LABELS[0]} and Image/aligned/train_00001_aligned.jpg (or, for the originals, "
    "Image/original/train_00001.jpg)"
)
EXPRESSIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
NOT_A_LABEL = "label line is not a name of train or test and a code"
NUM_LANDMARKS = 5


class RafDbOptions(Frozen):
    """Which of the two forms of each picture is taken."""

    pictures: Literal["aligned", "original"] = Field("aligned", description="aligned: face crops; original: as found")


class Basic(NamedTuple):
    """Where the label file and the pictures lie."""

    labels: Path
    images: Path


def records(source: Path, options: RafDbOptions) -> Iterator[Record]:
    """The pictures of the chosen form that the label file names, of `source` or of a folder directly in it."""
    root = root_of(source, lambda folder: _basic(folder, options) is not None)
    basic = None if root is None else _basic(root, options)
    if basic is None:
        raise wrong_folder(source, LAYOUT)
    labels = _labels(basic.labels, options.pictures == "aligned")
    return labelled_in(source, basic.images, labels, partial(_record, options))


def _basic(root: Path, options: RafDbOptions) -> Basic | None:
    labels = next((root / name for name in LABELS if (root / name).is_file()), None)
    folder = f"Image/{options.pictures}"
    images = first_folder(root, f"{folder}/{options.pictures}", folder)  # the archive in Image/ may add a folder
    return None if labels is None or images is None else Basic(labels, images)


def _labels(file: Path, is_aligned: bool) -> Iterator[Label[tuple[str, str]]]:
    """The label file: (split, code) of each picture, named as in the chosen form."""
    for number, line in read_lines(file):
        if not line.strip():
            continue
        listed, code = line.split() if len(line.split()) == 2 else (line.strip(), "")
        name = listed.replace(".jpg", "_aligned.jpg") if is_aligned else listed
        split = next((split for split in ("train", "test") if listed.startswith(f"{split}_")), None)
        yield Label(name, f"line {number}", (split, code) if split and code else NOT_A_LABEL)


def _record(options: RafDbOptions, key: str, label: tuple[str, str]) -> Record:
    split, code = label
    if code not in set("1234567"):
        return Rejected(key, "label is not an expression", code)
    known = {"expression": EXPRESSIONS[int(code) - 1], "split": split}
    return {"source_path": key, **known, **({"is_face_crop": True} if options.pictures == "aligned" else {})}


def picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """The file; an original with its landmarks and its box, where their files are there.

    Raises:
        OSError: as read_picture, or the landmark or box file is malformed.
    """
    found = read_picture(source, row)
    if "is_face_crop" in row:
        return found
    assert source is not None
    file = source / row["source_path"]
    root = next(folder.parent for folder in file.parents if folder.name == "Image")
    known: dict[str, Any] = {}
    if (manual := root / "Annotation" / "manual" / f"{file.stem}_manu_attri.txt").is_file():
        known["landmarks"] = with_zero_z(_numbers(manual, NUM_LANDMARKS, 2))
    if (box := root / "Annotation" / "boundingbox" / f"{file.stem}_boundingbox.txt").is_file():
        known["face_box"] = _numbers(box, 1, 4)
    return Picture(found.image, known)


def _numbers(file: Path, num_lines: int, num_cells: int) -> list[float]:
    """The numbers in the first lines of a file.

    Raises:
        OSError: it cannot be read, or holds something else.
    """
    lines = [line.split() for line in file.read_text("utf-8-sig", "replace").splitlines()[:num_lines]]
    numbers = finite_numbers(cell for line in lines for cell in line)
    if numbers is None or [len(line) for line in lines] != [num_cells] * num_lines:
        raise OSError(f"{file.name} does not hold {num_lines} lines of {num_cells} numbers")
    return numbers


def form(source: Path | None, options: RafDbOptions) -> Form:
    """95 pixels of the 100x100 face crops; the paper's sizes for the originals."""
    return Form(100, 95, is_face_crop=True) if options.pictures == "aligned" else Form()


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="official split: training set; tested on the test set",
    picture=picture,
    options=RafDbOptions,
    form=form,
)
