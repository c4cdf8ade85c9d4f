"""Landmarks in label files: one a line, such as in the .bnd files of BU-3DFE and BP4D, or all in one line."""

import math
import re
from collections.abc import Iterable
from pathlib import Path


def read_points(file: Path, dimensions: int, num_points: int | None = None) -> list[float]:
    """The landmarks of a file as a flat list x0, y0, z0, x1, ...; z is 0 where `dimensions` is 2.

    A line holds the coordinates, after an index where there is one (.bnd), with blanks or commas between them.

    Raises:
        OSError: it cannot be read, a line is something else, or there are not `num_points` of them.
    """
    flat: list[float] = []
    for number, line in enumerate(file.read_text("utf-8-sig", "replace").splitlines(), start=1):
        if line.strip():
            flat += [*_point(file, number, line, dimensions), *[0.0] * (3 - dimensions)]
    if not flat or num_points not in (None, len(flat) // 3):
        raise OSError(f"{file.name} holds {len(flat) // 3} points, {num_points or 'some'} expected")
    return flat


def _point(file: Path, number: int, line: str, dimensions: int) -> list[float]:
    try:
        numbers = [float(cell) for cell in re.split(r"[,\s]+", line.strip(", \t\r"))]
    except ValueError:
        numbers = []
    if len(numbers) not in (dimensions, dimensions + 1) or not all(map(math.isfinite, numbers)):
        raise OSError(f"{file.name} line {number} is not a point of {dimensions} numbers")
    return numbers[-dimensions:]


def finite_numbers(cells: Iterable[str]) -> list[float] | None:
    """The cells as numbers, or None where one is something else, not a number or infinite."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def with_zero_z(numbers: list[float]) -> list[float]:
    """x0, y0, x1, y1, ... as x0, y0, 0, x1, y1, 0, ..."""
    return [value for at in range(0, len(numbers), 2) for value in (*numbers[at : at + 2], 0.0)]
