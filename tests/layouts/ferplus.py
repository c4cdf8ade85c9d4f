"""FER+: image folders with label.csv as generate_training_data.py leaves them, and the two published tables."""

from pathlib import Path

import cv2
import numpy as np
from layouts.drawing import write_picture

VOTES = {
    "neutral": (8, 1, 0, 0, 1, 0, 0, 0, 0, 0),
    "happiness": (0, 10, 0, 0, 0, 0, 0, 0, 0, 0),
    "surprise": (1, 0, 9, 0, 0, 0, 0, 0, 0, 0),
    "sadness": (3, 0, 0, 6, 0, 0, 0, 0, 1, 0),
    "anger": (1, 0, 0, 2, 6, 0, 0, 0, 1, 0),
    "disgust": (0, 0, 0, 1, 2, 7, 0, 0, 0, 0),
    "fear": (0, 0, 3, 0, 0, 0, 7, 0, 0, 0),
    "contempt": (3, 0, 0, 0, 0, 1, 0, 5, 1, 0),
}
PARTS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def write(folder: Path) -> Path:
    """The image form: two pictures of each expression in the training part, one in the others."""
    source, number = folder / "FERPlus", 0
    for part in PARTS.values():
        lines = []
        for votes in list(VOTES.values()) * (2 if part == "FER2013Train" else 1):
            name = f"fer{number:07d}.png"
            write_picture(source / "data" / part / name, (48, 48), grey=True)
            lines.append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}\n')
            number += 1
        (source / "data" / part / "label.csv").write_text("".join(lines), newline="\r\n")
    return source


def write_tables(folder: Path) -> Path:
    """The table form of `write`, with a picture that is not a face, after which names and lines part, and a twin.

    The real tables have these odd cases: a line without a name, and a name that stands twice.
    """
    source = write(folder)
    names, pixels = [HEADER], ["emotion,pixels,Usage"]
    for usage, part in PARTS.items():
        for line in (source / "data" / part / "label.csv").read_text().splitlines():
            name, votes = line.split(",")[0], line.split('",')[1]
            image = cv2.imread(str(source / "data" / part / name), cv2.IMREAD_GRAYSCALE)
            names.append(f"{usage},{name},{votes}")
            pixels.append(f"0,{text(image)},{usage}")
            if name == "fer0000002.png":
                names.append("Training,,0,0,0,0,0,0,0,0,0,10")
                pixels.append(f"3,{text(np.zeros((48, 48), np.uint8))},Training")
    names.append("PrivateTest,fer0000025.png,0,0,0,0,0,0,0,0,0,10")
    pixels.append(f"3,{text(np.full((48, 48), 255, np.uint8))},PrivateTest")
    tables = folder / "tables"
    tables.mkdir()
    (tables / "fer2013new.csv").write_text("\n".join(names) + "\n", newline="\r\n")
    (tables / "fer2013.csv").write_text("\n".join(pixels) + "\n", newline="\r\n")
    return tables


def text(image: np.ndarray) -> str:
    return " ".join(map(str, image.ravel()))
