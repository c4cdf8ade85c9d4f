"""SFEW 2.0: aligned faces of the three parts, the test part without labels; and the whole frames."""

from pathlib import Path

from layouts.drawing import write_picture

FOLDERS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
FILMS = ("Airheads_000519240", "AlexEmma_000254640", "21_000319520")
ALIGNED = {"Train": "Train_Aligned_Faces", "Val": "Val_Aligned_Faces_new", "Test": "Test_Aligned_Faces"}
ALIGNED_SIZE, FRAME_SIZE = (36, 46), (72, 58)


def write(folder: Path) -> Path:
    source = folder / "SFEW_2"
    for part, inner in ALIGNED.items():
        _write_part(source / part / inner, part, ALIGNED_SIZE)
    return source


def add_frames(source: Path) -> None:
    for part in ALIGNED:
        _write_part(source / part / part, part, FRAME_SIZE)


def _write_part(folder: Path, part: str, size: tuple[int, int]) -> None:
    for number, expression in enumerate(FOLDERS):
        name = f"{FILMS[number % 3]}_{number:08d}.png"
        write_picture(folder / name if part == "Test" else folder / expression / name, size)
