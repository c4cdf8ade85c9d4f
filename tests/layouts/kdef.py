"""KDEF as it unpacks: KDEF_and_AKDEF with KDEF (a folder a person and session) and AKDEF (averaged faces)."""

from pathlib import Path

from layouts.drawing import write_picture

SITTERS = ("AF01", "BF01", "AM31")
EXPRESSIONS = ("AF", "AN", "DI", "HA", "NE", "SA", "SU")
VIEWS = ("FL", "HL", "S", "HR", "FR")
SIZE = (56, 76)


def write(folder: Path) -> Path:
    source = folder / "KDEF"
    for sitter in SITTERS:
        for expression in EXPRESSIONS:
            for view in VIEWS:
                if (sitter, expression, view) != ("AM31", "SU", "HR"):
                    write_picture(source / sitter / f"{sitter}{expression}{view}.JPG", SIZE)
    return source


def add_odd(source: Path) -> None:
    """What is odd in the published set, and a name that has one letter too many."""
    write_picture(source / "AM31" / "AM31H.JPG", SIZE)
    write_picture(source / "AF31" / "AF31V.JPG", SIZE)
    write_picture(source / "AF01" / "AF01NESS.JPG", SIZE)


def add_averaged(source: Path) -> None:
    for name in ("FAFFL", "MNES", "FAHR"):
        write_picture(source / "AKDEF" / f"{name}.JPG", SIZE, grey=True)
