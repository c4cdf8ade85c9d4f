"""Texts in columns, for people."""

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """A line a row, the head first, every column as wide as its widest cell.

    Args:
        rows: (R, C); R at least 1.
        align: of each column, "<" or ">".
    """
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)).rstrip()
        for row in rows
    ]
