"""SFEW 2.0: frames of films, 7 expressions (Dhall et al. 2011; the EmotiW 2015 release), 958 / 436 / 372 pictures.

Layout, as its zip files unpack: Train/, Val/ and Test/, each with
    Train_Aligned_Faces/Angry/Airheads_000519240_00000005.png   face crops, 143x181: film, time, frame
    Train/Angry/Airheads_000519240_00000005.png                 whole frames, 720x576
and Val_Aligned_Faces_new/ or Val_Aligned_Faces/, Test_Aligned_Faces/ and so on; folders of aligned faces are also taken
directly in the root. The test pictures lie in no expression folder: their labels are not published.

Official split train / valid / test; papers train on the first and test on the second. There are no subjects and poses;
pictures of one film and time are of one shot, which is their sequence.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from fer_core.datasets.base import Adapter, Form, Record, Rejected
from fer_core.datasets.folders import files_below, first_folder, is_picture, key_of, root_of, wrong_folder
from fer_core.options.base import Frozen

LAYOUT = (
    "Train/Train_Aligned_Faces/, Val/Val_Aligned_Faces/ and Test/Test_Aligned_Faces/ (or, for whole frames, "
    "Train/Train/, Val/Val/ and Test/Test/) with the folders Angry, Disgust, Fear, Happy, Neutral, Sad, Surprise"
)
SPLIT_OF_FOLDER = {"Train": "train", "Val": "valid", "Test": "test"}
EXPRESSION_OF_FOLDER = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
FRAME_NAME = re.compile(r"(.+_\d+)_\d+$")


class SfewOptions(Frozen):
    """Which of the two forms of each picture is taken."""

    pictures: Literal["aligned", "frames"] = Field("aligned", description="aligned: face crops; frames: whole frames")


def records(source: Path, options: SfewOptions) -> Iterator[Record]:
    """The pictures of the chosen form, of `source` or of a folder directly in it."""
    root = root_of(source, lambda folder: any(_part(folder, name, options) for name in SPLIT_OF_FOLDER))
    if root is None:
        raise wrong_folder(source, LAYOUT)
    return _records(source, root, options)


def _records(source: Path, root: Path, options: SfewOptions) -> Iterator[Record]:
    for name, split in SPLIT_OF_FOLDER.items():
        part = _part(root, name, options)
        for file in filter(is_picture, files_below(part) if part else ()):
            key, expression = key_of(source, file), EXPRESSION_OF_FOLDER.get(file.parent.name.lower())
            if expression is None and file.parent == part:
                yield Rejected(key, "image without a label")
            elif expression is None:
                yield Rejected(key, "folder is not an expression", file.parent.name)
            else:
                shot = FRAME_NAME.match(file.stem)
                known = {"expression": expression, "split": split, "sequence_id": shot[1] if shot else None}
                is_crop = {"is_face_crop": True} if options.pictures == "aligned" else {}
                yield {"source_path": key, **known, **is_crop}


def _part(root: Path, name: str, options: SfewOptions) -> Path | None:
    if options.pictures == "frames":
        return first_folder(root, f"{name}/{name}")
    aligned = (f"{name}_Aligned_Faces_new", f"{name}_Aligned_Faces")
    return first_folder(root, *(f"{name}/{folder}" for folder in aligned), *aligned)


def form(source: Path | None, options: SfewOptions) -> Form:
    """136 pixels of the 143 wide face crops; the paper's sizes for whole frames."""
    return Form(143, 136, is_face_crop=True) if options.pictures == "aligned" else Form()


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="training set; tested on the validation set",
    options=SfewOptions,
    form=form,
)
