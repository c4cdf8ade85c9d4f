"""RAF-DB's basic set: aligned faces, and the originals with their points and boxes."""

from pathlib import Path

from layouts.drawing import write_picture

NAMES = {**{f"train_{n:05d}": 1 + (n - 1) % 7 for n in range(1, 15)}, **{f"test_{n:04d}": n for n in range(1, 8)}}
"""Picture -> code."""


def write(folder: Path) -> Path:
    source = folder / "basic"
    labels = source / "EmoLabel" / "list_patition_label.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("".join(f"{name}.jpg {code}\n" for name, code in NAMES.items()))
    for name in NAMES:
        write_picture(source / "Image" / "aligned" / f"{name}_aligned.jpg", (50, 50))
        write_text(source / "Annotation" / "manual" / f"{name}_manu_attri.txt", MANUAL)
        write_text(source / "Annotation" / "boundingbox" / f"{name}_boundingbox.txt", "12.5 8.0 51.25 60.0 \n")
    return source


MANUAL = "20.5\t21.0\n40.0\t22.0\n30.0\t32.0\n24.0\t44.0\n37.0\t45.5\n1\n0\n2\n"
"""Eyes, nose and mouth corners, then gender, race and age."""


def add_originals(source: Path) -> None:
    for number, name in enumerate(NAMES):
        write_picture(source / "Image" / "original" / f"{name}.jpg", (60 + number, 70))


def add_labels(source: Path, *lines: str) -> None:
    with (source / "EmoLabel" / "list_patition_label.txt").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
