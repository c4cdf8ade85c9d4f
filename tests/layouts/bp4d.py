"""BP4D as it unpacks: 2D+3D with a folder a person and task, AUCoding, and landmark files of each frame."""

from pathlib import Path

from layouts.drawing import write_picture

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
