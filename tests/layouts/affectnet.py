"""AffectNet: the list form of 2017 and the folder form of 2021."""

from pathlib import Path

import numpy as np
from layouts.drawing import write_picture

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
POINTS = ";".join(f"{10 + at / 4:.2f};{20 + at / 8:.2f}" for at in range(68))
NAMES = tuple(f"{number}/{number * 7919:056x}" for number in range(1, 12))
SUFFIXES = (".jpg", ".JPG", ".jpeg", ".png", ".bmp", ".tif", ".JPEG", ".tiff", ".jpg", ".jpg", ".jpg")
"""Of the codes 0 to 10."""


def line(name: str, code: object, box: str = "5,6,30,32", points: str = POINTS, affect: str = "0.5,-0.25") -> str:
    return f"{name},{box},{points},{code},{affect}"


def write(folder: Path) -> Path:
    """The list form: a picture of each code in the training list, which has a header, four in the other, without."""
    source = folder / "AffectNet"
    lists: dict[str, list[str]] = {"training.csv": [HEADER], "validation.csv": []}
    for name, codes, first in (("training.csv", range(11), 0), ("validation.csv", (0, 1, 7, 8), 500)):
        for code in codes:
            file = f"{first + code}/{NAMES[code].split('/')[1]}{SUFFIXES[code]}"
            write_picture(images(source) / file, (48, 52))
            lists[name].append(line(file, code, affect="0.5,-0.25" if code < 8 else "-2,-2"))
    (source / "Manually_Annotated_file_lists").mkdir()
    for name, lines in lists.items():
        (source / "Manually_Annotated_file_lists" / name).write_text("\n".join(lines) + "\n", newline="\r\n")
    return source


def images(source: Path) -> Path:
    return source / "Manually_Annotated" / "Manually_Annotated_Images"


def add_lines(source: Path, *lines: str) -> None:
    with (source / "Manually_Annotated_file_lists" / "training.csv").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def write_folders(folder: Path) -> Path:
    """The folder form: two pictures of each of eight classes to train, one to validate; codes as text, without axes."""
    source = folder / "AffectNet_8"
    for part, codes in (("train_set", [*range(8), *range(8)]), ("val_set", range(8))):
        for number, code in enumerate(codes):
            write_picture(source / part / "images" / f"{number}.jpg", (56, 56))
            annotations = source / part / "annotations"
            annotations.mkdir(exist_ok=True)
            for kind, value in (("exp", str(code)), ("val", "0.5"), ("aro", "-0.25")):
                np.save(annotations / f"{number}_{kind}.npy", np.array(value))
            np.save(annotations / f"{number}_lnd.npy", np.arange(136) / 4)
    return source
