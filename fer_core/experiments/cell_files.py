"""Where the first run of a cell, and what came of it, lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CellFiles:
    """The folders of a cell's first run, its level and its evaluation; None where it was not run.

    Of a cross-validation `folds` are the evaluations of the first seed's folds, that of the first run among them.
    """

    row: str
    column: str
    run: Path | None
    level: Path | None
    evaluation: Path | None
    folds: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        """What the cell is called in a figure."""
        return f"{self.row}, {self.column}"


def by_column(files: Sequence[CellFiles]) -> dict[str, list[CellFiles]]:
    """The cells of each column, in the order they come."""
    columns = dict.fromkeys(one.column for one in files)
    return {column: [one for one in files if one.column == column] for column in columns}
