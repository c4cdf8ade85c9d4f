"""Labels that people have put right: a csv -> the label that a picture is taken with, or that it is not taken."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fer_core.datasets.base import Rejected
from fer_core.datasets.folders import read_table, require_utf8
from fer_core.errors import InputError
from fer_core.files import digest_of
from fer_core.vocabulary import LABELS

COLUMNS = ("sample_id", "source_path", "label", "corrected", "note")
"""Of the file; of the first two one is enough, `label` and `note` may be left out."""
REMOVE = "remove"
"""As `corrected`: the picture is not to be taken."""
REMOVED = "removed by a correction"
NO_LABEL = "none"
"""What stands for a label where the data set says none."""


class Correction(NamedTuple):
    """A line of the file.

    Attributes:
        line: its number, from 1.
        sample_id, source_path: of the picture; empty where the line does not say it.
        label: what the data set must say of it; empty: anything.
        corrected: a name of vocabulary.LABELS, or REMOVE.
        note: for people.
    """

    line: int
    sample_id: str
    source_path: str
    label: str
    corrected: str
    note: str


@dataclass(frozen=True)
class Corrections:
    """All corrections of a file.

    Attributes:
        file: for messages.
        by_path: those that say a source path, by it.
        by_sample: the others, by sample id.
    """

    file: Path | None = None
    by_path: dict[str, Correction] = field(default_factory=dict)
    by_sample: dict[str, Correction] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of what they do: neither the order of the lines nor their notes count."""
        return digest_of(sorted([*one[1:5]] for one in (*self.by_path.values(), *self.by_sample.values())))

    def applied(self, row: dict[str, Any]) -> dict[str, Any] | Rejected:
        """A catalog row with its label put right, the data set's own kept beside it; or that it is not taken.

        A row that no line names, or that has the right label already, is given back as it is.

        Raises:
            InputError: the line says another label than the data set, or another sample id than the picture has; two
                lines are of this picture.
        """
        found = [self.by_path.get(row["source_path"]), self.by_sample.get(row["sample_id"])]
        named = [one for one in found if one is not None]
        if not named:
            return row
        self._check(named, row)
        (one,) = named
        if one.corrected == REMOVE:
            return Rejected(row["source_path"], REMOVED, f"{row['sample_id']} {one.note}".rstrip())
        if one.corrected == row.get("expression"):
            return row
        return {**row, "expression": one.corrected, "expression_original": row.get("expression") or NO_LABEL}

    def _check(self, named: list[Correction], row: dict[str, Any]) -> None:
        path, own = row["source_path"], row.get("expression") or NO_LABEL
        if len(named) > 1:
            lines = " and ".join(str(one.line) for one in named)
            raise InputError(f"{self.file} lines {lines} are both of {path}; keep one of them")
        where = f"{self.file} line {named[0].line}"
        if named[0].sample_id not in ("", row["sample_id"]):
            raise InputError(
                f"{where}: {path} is another picture now, sample {row['sample_id']}; look at it again, and give this "
                "sample_id or none"
            )
        if named[0].label not in ("", own):
            raise InputError(
                f"{where}: label is {named[0].label}, and the data set says {own} of {path}; put label right, or leave "
                "it empty"
            )

    def require_paths(self, known: Iterable[str]) -> None:
        """Raise InputError where a line names a source path that is not among the known ones."""
        self._require(self.by_path, "source_path", known)

    def require_samples(self, known: Iterable[str]) -> None:
        """Raise InputError where a line names by its sample id alone a picture that is not among the known ones."""
        self._require(self.by_sample, "sample_id", known)

    def _require(self, named: dict[str, Correction], column: str, known: Iterable[str]) -> None:
        missing = set(named).difference(known) if named else set()
        if missing:
            first = min(missing, key=lambda name: named[name].line)
            where = f"{self.file} line {named[first].line}"
            raise InputError(
                f"{where}: no picture that is taken has the {column} {first}; put it right, or delete the line"
            )


def read_corrections(file: Path | None) -> Corrections:
    """Read a csv with a column corrected and one or both of sample_id and source_path; lines without a change are left.

    A table of the label audit is such a file, once its column `corrected` is filled in.

    Raises:
        InputError: it cannot be read, lacks a column, or a line names no picture, no known expression, or a picture
            that another line names too.
    """
    if file is None:
        return Corrections()
    require_utf8(file)
    made = Corrections(file)
    for number, cells in read_table(file, ("corrected",)):
        one = Correction(number, *(cells.get(name, "") for name in COLUMNS))
        one = one._replace(label=one.label.lower(), corrected=one.corrected.lower())
        if not one.corrected:
            continue
        where = f"{file} line {number}"
        if one.corrected not in (*LABELS, REMOVE):
            names = ", ".join((*LABELS, REMOVE))
            raise InputError(f"{where}: corrected is {one.corrected}; choose one of {names}, or leave it empty")
        if not one.source_path and not one.sample_id:
            raise InputError(f"{where} names no picture; give its sample_id or its source_path")
        kept = made.by_path if one.source_path else made.by_sample
        earlier = kept.setdefault(one.source_path or one.sample_id, one)
        if earlier is not one:
            raise InputError(f"{file} lines {earlier.line} and {number} are of one picture; keep one of them")
    return made
