"""CelebA: 202,599 pictures of 10,177 celebrities with 40 attributes each (Liu et al. 2015).

Layout, as its archives unpack, the label files in their folders or all directly in the root:
    Anno/list_attr_celeba.txt                 number of pictures, names of the attributes, then "000001.jpg -1  1 ..."
    Anno/identity_CelebA.txt                  "000001.jpg 2880"
    Anno/list_landmarks_align_celeba.txt      number, header, then 5 points x y: eyes, nose, mouth corners; aligned form
    Anno/list_landmarks_celeba.txt            the same for the pictures in the wild
    Anno/list_bbox_celeba.txt                 number, header, then x_1 y_1 width height; in the wild
    Eval/list_eval_partition.txt              "000001.jpg 0": 0 train, 1 valid, 2 test
    Img/img_align_celeba/000001.jpg           178x218, head and shoulders, eyes in one place
    Img/img_celeba/000001.jpg                 in the wild

Its one expression is the attribute Smiling, which is read as happiness; what the others show is not known, so it is
null. It serves as identities with few expressions: the split is by person.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fer_core.datasets.base import Adapter, Form, Record, Rejected
from fer_core.datasets.folders import first_folder, read_lines, root_of, wrong_folder
from fer_core.datasets.label_table import Label, labelled_in
from fer_core.datasets.points import finite_numbers, with_zero_z
from fer_core.errors import InputError
from fer_core.options.base import Frozen

LAYOUT = (
    "Img/img_align_celeba/000001.jpg (or, in the wild, Img/img_celeba/) with Anno/list_attr_celeba.txt, "
    "Anno/identity_CelebA.txt, the landmark files of Anno/ and Eval/list_eval_partition.txt"
)
ATTRIBUTES, IDENTITIES, PARTITION = "list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"
LANDMARKS_OF = {"aligned": "list_landmarks_align_celeba.txt", "wild": "list_landmarks_celeba.txt"}
BOXES = "list_bbox_celeba.txt"
FOLDER_OF = {"aligned": "img_align_celeba", "wild": "img_celeba"}
NOT_ATTRIBUTES = "label line does not hold the attributes"
SPLITS = {"0": "train", "1": "valid", "2": "test"}


class CelebaOptions(Frozen):
    """Which form of each picture is taken, and what its smile says."""

    pictures: Literal["aligned", "wild"] = Field("aligned", description="aligned: 178x218; wild: as found")
    smiling: Literal["happiness", "unknown"] = Field(
        "happiness", description="the expression of those with the attribute Smiling"
    )


def records(source: Path, options: CelebaOptions) -> Iterator[Record]:
    """The pictures of the chosen form that the attribute file names, of `source` or of a folder directly in it."""
    root = root_of(
        source, lambda folder: _find(folder, ATTRIBUTES) is not None and _images(folder, options) is not None
    )
    images = None if root is None else _images(root, options)
    if root is None or images is None:
        raise wrong_folder(source, LAYOUT)
    return _records(source, root, images, options)


def _records(source: Path, root: Path, images: Path, options: CelebaOptions) -> Iterator[Record]:
    identities, partition = _table(root, IDENTITIES), _table(root, PARTITION)
    landmarks = _table(root, LANDMARKS_OF[options.pictures])
    boxes = _table(root, BOXES) if options.pictures == "wild" else {}

    def record(key: str, is_smiling: bool) -> Record:
        name = key.rpartition("/")[2]
        known: dict[str, Any] = {
            "expression": "happiness" if is_smiling and options.smiling == "happiness" else None,
            "subject_id": identities.get(name),
            "split": SPLITS.get(partition.get(name, "")),
        }
        return _placed({"source_path": key, **known}, landmarks.get(name), boxes.get(name))

    yield from labelled_in(source, images, _smiles(root), record)


def _placed(row: dict[str, Any], landmarks: str | None, box: str | None) -> Record:
    """The row with its landmarks and box; null where the set has none."""
    points, corner = finite_numbers((landmarks or "").split()), finite_numbers((box or "").split())
    if points is None or corner is None or len(points) not in (0, 10) or len(corner) not in (0, 4):
        return Rejected(row["source_path"], "landmarks or box are malformed")
    if points:
        row["landmarks"] = with_zero_z(points)
    if corner:
        x, y, width, height = corner
        row["face_box"] = [x, y, x + width, y + height] if width > 0 and height > 0 else None
    return row


def _smiles(root: Path) -> Iterator[Label[bool]]:
    """The attribute file: whether each picture smiles."""
    file = _find(root, ATTRIBUTES)
    assert file is not None
    names: list[str] = []
    for number, line in read_lines(file):
        cells = line.split()
        if number == 2:
            names = cells
            if "Smiling" not in names:
                raise InputError(f"{file} does not name the attribute Smiling in its second line")
        elif number > 2 and cells:
            values = dict(zip(names, cells[1:], strict=False)) if len(cells) == len(names) + 1 else {}
            is_smiling = {"1": True, "-1": False}.get(values.get("Smiling", ""))
            yield Label(cells[0], f"line {number}", NOT_ATTRIBUTES if is_smiling is None else is_smiling)


def _table(root: Path, name: str) -> dict[str, str]:
    """Picture -> the rest of its line. A number of lines and a header name no picture that is there."""
    file = _find(root, name)
    if file is None:
        raise InputError(f"{root} has no {name}; celeba expects {LAYOUT}")
    cells = (line.split(maxsplit=1) for _, line in read_lines(file))
    return {pair[0]: pair[1].strip() for pair in cells if len(pair) == 2}


def _find(root: Path, name: str) -> Path | None:
    return next((root / inner / name for inner in ("Anno", "Eval", "") if (root / inner / name).is_file()), None)


def _images(root: Path, options: CelebaOptions) -> Path | None:
    name = FOLDER_OF[options.pictures]
    return first_folder(root, f"Img/{name}/{name}", f"Img/{name}", f"{name}/{name}", name)


def form(source: Path | None, options: CelebaOptions) -> Form:
    """Sizes within the 178 pixels of the aligned form, which shows more than the face; else the paper's."""
    return Form(178, 168) if options.pictures == "aligned" else Form()


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="official split by person",
    options=CelebaOptions,
    form=form,
)
