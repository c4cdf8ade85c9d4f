"""BU-3DFE as it unpacks: a folder a person with pictures, scans and landmark files."""

from pathlib import Path

from layouts.drawing import write_picture

PEOPLE = {"F0001": "WH", "F0056": "AM", "M0044": "IN"}
EXPRESSIONS = ("AN", "DI", "FE", "HA", "SA", "SU")
NUM_POINTS = 83


def scans() -> list[tuple[str, str]]:
    """(person, name of the scan) of all scans."""
    kinds = ["NE00", *(f"{expression}0{degree}" for expression in EXPRESSIONS for degree in range(1, 5))]
    return [(person, f"{person}_{kind}{ancestry}") for person, ancestry in PEOPLE.items() for kind in kinds]


def points(seed: int) -> list[tuple[float, float, float]]:
    return [(seed + point, -point / 4, 100.5 - point) for point in range(NUM_POINTS)]


def write(folder: Path) -> Path:
    source = folder / "BU_3DFE"
    for seed, (person, scan) in enumerate(scans()):
        write_picture(source / person / f"{scan}_F2D.bmp", (64, 64))
        write_picture(source / person / f"{scan}_F3D.bmp", (91, 63))
        lines = (f"{number * 7}\t\t{x}\t\t{y}\t\t{z}\r\n" for number, (x, y, z) in enumerate(points(seed)))
        (source / person / f"{scan}_F3D.bnd").write_text("".join(lines), newline="")
        (source / person / f"{scan}_F3D.wrl").write_text("#VRML V2.0 utf8\n")
    return source
