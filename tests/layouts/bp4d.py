"""BP4D as it unpacks: 2D+3D with a folder a person and task, AUCoding, and landmark files of each frame."""

from pathlib import Path

import cv2
import numpy as np
from layouts.drawing import write_picture

from fer_core.synthetic import Face, landmarks_3d, render

PEOPLE = ("F001", "M018")
TASKS = ("T1", "T8")
FRAMES = range(8, 13)
UNITS = (1, 2, 4, 6, 12)
NUM_POINTS = 83
SIZE = (52, 70)


def points_3d(frame: int) -> str:
    return "".join(f"{frame}.5 {point} {-point}.25\r\n" for point in range(NUM_POINTS))


def write(folder: Path) -> Path:
    source = folder / "BP4D"
    for person in PEOPLE:
        for task in TASKS:
            for frame in FRAMES:
                write_picture(source / "2D+3D" / person / task / f"{frame:03d}.jpg", SIZE)
                (source / "2D+3D" / person / task / f"{frame:03d}.obj").write_text("v 0 0 0\n")
            write_landmarks(source, person, task)
            header = ",".join(map(str, (0, *UNITS)))
            lines = [header, *(f"{frame},{codes}" for frame, codes in zip(FRAMES, CODES, strict=True))]
            write_codes(source / "AUCoding" / "AU_OCC" / f"{person}_{task}.csv", lines)
            intensities = ["8,0", "9,3", "10,9"]
            write_codes(source / "AUCoding" / "AU_INT" / "AU12" / f"{person}_{task}_AU12.csv", intensities)
    return source


CODES = ("0,0,0,0,0", "1,0,9,0,1", "0,0,0,1,1", "0,0,0,0,0", "9,9,9,9,9")
"""Of the five frames; the units are UNITS."""


def write_codes(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\r\n".join(lines) + "\r\n", newline="")


def write_landmarks(source: Path, person: str, task: str) -> None:
    for features in ("2DFeatures", "3DFeatures"):
        (source / features / person / task).mkdir(parents=True, exist_ok=True)
    for frame in FRAMES:
        (source / "3DFeatures" / person / task / f"{frame:03d}.bnd").write_text(points_3d(frame), newline="")
        (source / "2DFeatures" / person / task / f"{frame:03d}.pts").write_text(f"{frame} 20.5\n21 22\n")
    (source / "2DFeatures" / f"{person}_{task}.mat").write_bytes(b"MATLAB 7.3 MAT-file")


SHOWN = {"T1": ("happiness", "12"), "T8": ("disgust", "9")}
"""Task -> what its drawn frames show, and the action unit that is coded of them."""
DEGREES = (0.0, 0.3, 0.6, 0.9)
"""Of the drawn frames 0001 to 0004."""


def write_drawn(folder: Path, num_people: int) -> Path:
    """Drawn people who can be looked at and measured, with the units that are coded, and what people said of frames.

    The first frame of a task shows nothing, the last is judged: positive in T1, negative in T8.
    """
    source = folder / "BP4D"
    said = ["picture,positive,negative,neutral"]
    for person in range(num_people):
        for task, (expression, unit) in SHOWN.items():
            where = source / "2D+3D" / f"F{person:03d}" / task
            for frame, degree in enumerate(DEGREES, start=1):
                _write_frame(where / f"{frame:04d}", Face(person, expression, degree, 0.0, frame))
            codes = (f"{frame},{int(degree > 0)},{int(degree > 0.5)}" for frame, degree in enumerate(DEGREES, start=1))
            lines = [f"0,{unit},25", *codes]
            write_codes(source / "AUCoding" / f"F{person:03d}_{task}.csv", lines)
            said.append(f"2D+3D/F{person:03d}/{task}/0004.jpg," + ("5,0,0" if task == "T1" else "1,4,0"))
    (source / "labels.csv").write_text("\n".join(said) + "\n")
    return source


def _write_frame(stem: Path, face: Face) -> None:
    image, points = render(face, 96)
    stem.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(f"{stem}.jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    np.savetxt(f"{stem}.pts", points[:, :2], fmt="%.3f")
    np.savetxt(f"{stem}.bnd", landmarks_3d(face), fmt="%.5f")
