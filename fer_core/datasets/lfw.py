"""Labeled Faces in the Wild: 13,233 pictures of 5,749 people, with a protocol of pairs.

Layout, as it unpacks: `lfw/Aaron_Eckhart/Aaron_Eckhart_0001.jpg` (also `lfw_funneled`, `lfw-deepfunneled`), 250x250
with background; smaller pictures are taken for face crops. `pairs.txt` lies inside or beside that folder: a header
(`10 300`: folds, pairs of each kind a fold), then for each fold the pairs of one person (`name i j`) and as many of two
(`name i name j`). `pairsDevTest.txt` and `pairsDevTrain.txt` (header: pairs of each kind) are read where there is no
`pairs.txt`, in that order. `expressions.csv` (user.id, image, emotion) is a later, noisy annotation by students: case
is ignored; where annotators differ, as where nobody labelled a picture, `expression` is null. Source: Huang et al.
2007, Labeled Faces in the Wild. Official protocol: ten folds of 600 pairs, threshold from nine, tested on the tenth.

Nobody is in two folds, and most people of several pictures are in one: those of no pair are too few to train on. So
`--folds 2` trains on the people of each half of the folds and of no pair, and tests on those of the other half; `split`
does the latter of the two alone.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image
from pydantic import Field

from fer_core.datasets.base import Adapter, Form, Pair, Record, Rejected
from fer_core.datasets.folders import (
    folders_in,
    inside,
    key_of,
    pictures_in,
    read_lines,
    read_table,
    wrong_folder,
)
from fer_core.errors import InputError
from fer_core.options.base import Frozen
from fer_core.vocabulary import EIGHT

LAYOUT = (
    "a folder lfw with folders such as Aaron_Eckhart, in each Aaron_Eckhart_0001.jpg; inside or beside it pairs.txt"
)
PAIR_FILES = ("pairs.txt", "pairsDevTest.txt", "pairsDevTrain.txt")
LABEL_FILE = "expressions.csv"
OFFICIAL_SIDE = 250


class LfwOptions(Frozen):
    """Who is tested on."""

    split: Literal["hold_out", "pairs"] = Field(
        "hold_out",
        description="hold_out: a part of the people, as for any data set; pairs: the people of the second half of the "
        "protocol's folds, so that these folds' pairs are whole and of nobody who is trained on (ours)",
    )


class Labels(NamedTuple):
    """File name -> expression, None where annotators differ; and the lines that cannot be taken."""

    expressions: dict[str, str | None]
    rejected: list[Rejected]


def records(source: Path, options: LfwOptions) -> Iterator[Record]:
    """One row a picture; memory is that of the expression labels and, where they divide the people, the pairs.

    Raises:
        InputError: there is no folder of people in `source`, or the file of pairs that divides them is missing or
            malformed.
    """
    root = _root(source)
    tested = _tested_people(source, root) if options.split == "pairs" else None
    labels, rejected = _labels(source, root)
    yield from rejected
    is_face_crop = form(source).is_face_crop
    seen: set[str] = set()
    for path in pictures_in(root):
        yield Rejected(key_of(source, path), "picture is in no person's folder", path.name)
    for folder in folders_in(root):
        pictures = pictures_in(folder)
        known: dict[str, Any] = {"subject_id": folder.name, "is_face_crop": is_face_crop}
        if tested is not None:
            known["split"] = "test" if folder.name in tested else "train"
        yield from _person(source, pictures, labels, known)
        seen.update(path.name for path in pictures if path.name in labels)
    for name in labels:
        if name not in seen:
            yield Rejected(name, "label matches no image", LABEL_FILE)


def _person(
    source: Path, pictures: list[Path], labels: dict[str, str | None], known: dict[str, Any]
) -> Iterator[Record]:
    numbers: set[int] = set()
    for path in pictures:
        key, number = key_of(source, path), _number(path)
        if number is None:
            yield Rejected(key, "file name is not person_number", path.name)
        elif number in numbers:
            yield Rejected(key, "picture occurs twice", f"number {number}")
        else:
            numbers.add(number)
            yield {"source_path": key, "expression": labels.get(path.name), **known}


def _number(path: Path) -> int | None:
    """The number of a person's picture, or None where the file is not named after its folder."""
    person, _, number = path.stem.rpartition("_")
    return int(number) if person == path.parent.name and re.fullmatch(r"[0-9]{4}", number) else None


def _root(source: Path) -> Path:
    """The folder of people: `source`, or one in it (the archives nest it once or twice)."""
    inner = folders_in(source)
    candidates = chain([source], inner, (folder for outer in inner for folder in folders_in(outer)))
    found = next((folder for folder in candidates if _first_picture(folder)), None)
    if found is None:
        raise wrong_folder(source, LAYOUT)
    return found


def _first_picture(root: Path) -> Path | None:
    pictures = (path for folder in folders_in(root) for path in pictures_in(folder))
    return next((path for path in pictures if _number(path) is not None), None)


def form(source: Path | None, options: Any = None) -> Form:
    """The official pictures are 250x250 with background; smaller ones are face crops, and so their own size suits.

    Raises:
        InputError: as `records`.
    """
    assert source is not None
    first = _first_picture(_root(source))
    assert first is not None
    try:
        with Image.open(first) as image:
            side = min(image.size)
    except OSError:
        return Form()
    return Form() if side >= OFFICIAL_SIDE else Form(side, round(side * 224 / 236), is_face_crop=True)


def _beside(source: Path, root: Path, name: str) -> Path | None:
    """A file of the protocol: in the folder of people, or above it as far as `source`."""
    folders = [root, *(folder for folder in root.parents if folder == source or source in folder.parents)]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _labels(source: Path, root: Path) -> Labels:
    labels, file = Labels({}, []), _beside(source, root, LABEL_FILE)
    for number, cells in read_table(file, ("image", "emotion")) if file else ():
        name, label = inside(cells["image"]), cells.get("emotion", "").lower()
        if name is None:
            labels.rejected.append(Rejected(cells["image"], "path leaves the source folder", f"line {number}"))
        elif label not in EIGHT:
            labels.rejected.append(Rejected(name, "label is not an expression", f"line {number}: {label}"))
        else:
            agreed = labels.expressions.get(name, label) == label
            labels.expressions[name] = label if agreed else None
    return labels


def pairs(source: Path) -> list[Pair]:
    """The pairs of the protocol whose pictures are both there, in the file's order; folds count from 0.

    Raises:
        InputError: there is no file of pairs, or it is malformed or cut short.
    """
    root = _root(source)
    named = list(_named_pairs(_pair_file(source, root)))
    people = {person for *shots, _ in named for person, _ in shots}
    keys = {
        (folder.name, number): key_of(source, path)
        for folder in folders_in(root)
        if folder.name in people
        for path in reversed(pictures_in(folder))
        if (number := _number(path)) is not None
    }
    return [Pair(keys[a], keys[b], a[0] == b[0], fold) for a, b, fold in named if a in keys and b in keys]


def _tested_people(source: Path, root: Path) -> set[str]:
    """Everybody of the second half of the folds; of a single fold, everybody of a pair."""
    named = list(_named_pairs(_pair_file(source, root)))
    first_tested = (1 + max((fold for *_, fold in named), default=0)) // 2
    return {person for *shots, fold in named if fold >= first_tested for person, _ in shots}


def _pair_file(source: Path, root: Path) -> Path:
    found = (_beside(source, root, name) for name in PAIR_FILES)
    file = next((path for path in found if path), None)
    if file is None:
        raise InputError(f"{source} has no {PAIR_FILES[0]}: put the file of the LFW page there")
    return file


Shot = tuple[str, int]
"""A person and the number of the picture."""


def _named_pairs(file: Path) -> Iterator[tuple[Shot, Shot, int]]:
    """(picture, picture, fold) of each line."""
    lines = [(number, line.split()) for number, line in read_lines(file) if line.strip()]
    header = lines[0][1] if lines else []
    if not all(cell.isdigit() for cell in header) or len(header) not in (1, 2):
        raise InputError(f"{file} line 1 is not the numbers of folds and pairs")
    num_folds, per_kind = int(header[0]) if len(header) == 2 else 1, int(header[-1])
    if len(lines) - 1 != 2 * num_folds * per_kind:
        raise InputError(f"{file} holds {len(lines) - 1} pairs, and its first line promises {2 * num_folds * per_kind}")
    for position, (number, cells) in enumerate(lines[1:]):
        names = [cells[0], cells[0]] if len(cells) == 3 else cells[0::2]
        numbers = cells[1:] if len(cells) == 3 else cells[1::2]
        if len(cells) not in (3, 4) or not all(cell.isdigit() for cell in numbers):
            raise InputError(f"{file} line {number} is not name, number, number or name, number, name, number")
        yield (names[0], int(numbers[0])), (names[1], int(numbers[1])), position // (2 * per_kind)


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="10 folds of 600 pairs: threshold chosen on nine, tested on the tenth",
    options=LfwOptions,
    form=form,
    pairs=pairs,
)
