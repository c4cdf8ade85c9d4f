"""FER+: the 48x48 grey faces of FER2013 with ten crowd votes each (Barsoum et al. 2016).

Image form: `data/FER2013Train|Valid|Test/ferNNNNNNN.png`, each folder with a headless `label.csv` of file name, face
box, then ten votes: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face. The
join is on the file name.

Table form: `fer2013.csv` (emotion, pixels, Usage) and `fer2013new.csv` (Usage, Image name, ten votes). The first has no
names: the second's lines, in the same order, name its pictures, and from there on the name is the key. It is not the
number of the line (line 60 is fer0000059), 173 lines have none (not a face, left out) and four names stand twice; the
first counts. Both tables must have as many lines and agree on each line's part. Of 1,601 pictures whose pixels occur
twice the votes are the twin's here and their own in label.csv.

The official split is kept. There are no subjects.
"""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from fer_core.datasets.base import SMALL, Adapter, Picture, Record, Rejected, always, read_picture
from fer_core.datasets.folders import is_picture, key_of, read_cells, read_table, wrong_folder
from fer_core.datasets.label_table import Label, labelled_in
from fer_core.errors import InputError
from fer_core.options.base import Frozen
from fer_core.vocabulary import EIGHT

LAYOUT = (
    "data/FER2013Train, data/FER2013Valid and data/FER2013Test, each with ferNNNNNNN.png files and label.csv, or "
    "fer2013.csv and fer2013new.csv"
)
SPLIT_OF_FOLDER = {"FER2013Train": "train", "FER2013Valid": "valid", "FER2013Test": "test"}
SPLIT_OF_USAGE = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
VOTE_COLUMNS = (*EIGHT, "unknown", "nf")
PIXELS, NAMES = "fer2013.csv", "fer2013new.csv"
NOT_A_FACE = "most votes for unknown or not a face"


class FerplusOptions(Frozen):
    """How votes become a label."""

    labels: Literal["majority", "probability", "reference"] = Field(
        "majority",
        description="majority: most votes, ties set aside; probability: the votes are the label, named by the first "
        "expression with the most; reference: single votes are outliers, and more than half of the rest is needed",
    )


Labeller = Callable[[list[int]], tuple[int, str | None]]
"""Ten votes -> (index of the label, why there is none or None)."""


def records(source: Path, options: FerplusOptions) -> Iterator[Record]:
    """The pictures with their votes; `expression_votes` are the eight as cast, whatever the rule for the label."""
    label_of = LABELLERS[options.labels]
    images = _first(source, ("", "data", "FERPlus/data"), _has_images)
    tables = _first(source, ("", "fer2013", "FERPlus", "data"), lambda folder: (folder / PIXELS).is_file())
    names = _first(source, ("", "FERPlus", "fer2013", "data"), lambda folder: (folder / NAMES).is_file())
    if images is not None:
        return _image_records(source, images, label_of)
    if tables is not None and names is not None:
        return _table_records(source, tables / PIXELS, names / NAMES, label_of)
    raise wrong_folder(source, LAYOUT)


def picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """The file; in the table form, a PNG of the pixels in the line that begins at the byte which the key names.

    Raises:
        OSError: as read_picture, or the line does not hold 48x48 grey pixels.
    """
    table, at, key = row["source_path"].partition(f"{PIXELS}@")
    if not at:
        return read_picture(source, row)
    assert source is not None
    with (source / table / PIXELS).open("rb") as file:
        file.seek(int(key.split("/")[0]))
        line = file.readline()
    try:
        pixels = np.array(line.split(b",")[1].strip(b'" ').split(), dtype=np.uint8).reshape(48, 48)
    except (IndexError, ValueError, OverflowError):
        raise OSError("the line does not hold 48x48 grey pixels") from None
    return Picture(cv2.imencode(".png", pixels)[1].tobytes(), {})


def _first(source: Path, names: tuple[str, ...], is_it: Callable[[Path], bool]) -> Path | None:
    return next((source / name for name in names if is_it(source / name)), None)


def _has_images(folder: Path) -> bool:
    """Whether there are label files with pictures; the repository ships the label files without them."""
    parts = [folder / name for name in SPLIT_OF_FOLDER if (folder / name / "label.csv").is_file()]
    return any(next(filter(is_picture, part.iterdir()), None) for part in parts)


def _image_records(source: Path, root: Path, label_of: Labeller) -> Iterator[Record]:
    for folder, split in SPLIT_OF_FOLDER.items():
        if (root / folder).is_dir():
            yield from _part_records(source, root / folder, split, label_of)


def _part_records(source: Path, folder: Path, split: str, label_of: Labeller) -> Iterator[Record]:
    if not (folder / "label.csv").is_file():
        raise InputError(f"{folder} has no label.csv; ferplus expects {LAYOUT}")
    labels = (
        Label(cells[0].strip(), f"line {number}", _votes(cells[2:]) or "label line is not a name, a box and ten votes")
        for number, cells in read_cells(folder / "label.csv")
    )
    yield from labelled_in(source, folder, labels, lambda key, votes: _record(key, votes, split, label_of))


def _table_records(source: Path, pixels: Path, names: Path, label_of: Labeller) -> Iterator[Record]:
    labelled: set[str] = set()
    lines = read_table(names, ("usage", "image name", *VOTE_COLUMNS))
    for picture_line, named in zip_longest(_picture_lines(pixels), lines):
        if picture_line is None or named is None or picture_line[1] != named[1]["usage"]:
            what = "are not of one length" if picture_line is None or named is None else "name different parts"
            where = f" in line {named[0]}" if named else ""
            raise InputError(f"{pixels} and {names} {what}{where}, so they do not belong together; fetch both again")
        (begin, usage), (number, cells) = picture_line, named
        name, key = cells["image name"], f"{key_of(source, pixels)}@{begin}/{cells['image name']}"
        votes = _votes([cells.get(column, "") for column in VOTE_COLUMNS])
        if votes is None or usage not in SPLIT_OF_USAGE:
            yield Rejected(key, "label line is not a part, a name and ten votes", f"line {number} of {NAMES}")
        elif not name:
            yield Rejected(key, "left out of FER+, without a name", f"line {number} of {NAMES}")
        elif name in labelled:
            yield Rejected(key, "labelled twice", f"line {number} of {NAMES}")
        else:
            yield _record(key, votes, SPLIT_OF_USAGE[usage], label_of)
        labelled.add(name)


def _picture_lines(file: Path) -> Iterator[tuple[int, str]]:
    """(byte at which the line begins, part) of each picture of fer2013.csv; its pixels are left where they are."""
    with file.open("rb") as lines:
        begin = len(header := lines.readline())
        if header.decode("utf-8-sig", "replace").strip().lower().replace('"', "") != "emotion,pixels,usage":
            raise InputError(f"{file} does not begin with emotion,pixels,Usage; ferplus expects {LAYOUT}")
        for line in lines:
            if line.strip():
                yield begin, line[line.rfind(b",") + 1 :].decode("utf-8", "replace").strip().strip('"')
            begin += len(line)


def _record(key: str, votes: list[int], split: str, label_of: Labeller) -> Record:
    label, reason = label_of(votes) if max(votes) else (0, "no votes")
    if reason:
        return Rejected(key, reason, " ".join(map(str, votes)))
    known = {"expression": EIGHT[label], "expression_votes": [float(vote) for vote in votes[: len(EIGHT)]]}
    return {"source_path": key, **known, "split": split, "is_face_crop": True}


def _votes(cells: list[str]) -> list[int] | None:
    try:
        votes = [int(cell) for cell in cells]
    except ValueError:
        return None
    return votes if len(votes) == len(VOTE_COLUMNS) and min(votes) >= 0 else None


def majority(votes: list[int]) -> tuple[int, str | None]:
    """The expression with the most of the ten votes; none where unknown or not a face leads, or two share the lead."""
    first = [index for index, vote in enumerate(votes) if vote == max(votes)]
    if first[0] >= len(EIGHT):
        return 0, NOT_A_FACE
    return first[0], "two labels share the most votes" if len(first) > 1 else None


def probability(votes: list[int]) -> tuple[int, str | None]:
    """The expression with the most votes, the first of EIGHT in a tie; none where unknown or not a face has more."""
    most = max(votes[: len(EIGHT)])
    return votes.index(most), NOT_A_FACE if most < max(votes) else None


def reference(votes: list[int]) -> tuple[int, str | None]:
    """The published code's rule for its majority mode.

    Labels with a single vote lose it (outliers); the label with the most votes needs more than half of those left,
    unknown and not a face among them, and must be an expression.
    """
    kept = [vote if vote > 1 else 0 for vote in votes]
    label = kept.index(max(kept))
    if 2 * kept[label] <= sum(kept):
        return 0, "no label has more than half of the votes"
    return label, NOT_A_FACE if label >= len(EIGHT) else None


LABELLERS: dict[str, Labeller] = {"majority": majority, "probability": probability, "reference": reference}

ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="official split",
    picture=picture,
    options=FerplusOptions,
    form=always(SMALL),
)
