"""The rows of a faces directory, divided into those that are trained on, validated on and tested on."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from fer_core.directories import read_columns
from fer_core.errors import InputError
from fer_core.estimates.expressions import read_expressions
from fer_core.estimates.identities import with_estimates
from fer_core.folds import Part, groups_of, roles, with_validation

_ALWAYS = ("sample_id", "split", "subject_id", "sequence_id")


@dataclass(frozen=True)
class Divided:
    """Rows in the order of their shards. All arrays are (N,).

    Attributes:
        sample_id: strings.
        subject: object array of names, estimated where that was asked of `prepare`; None where nobody is known.
        group: strings: the subject, else the sequence, else the sample; what is never in two roles.
        role: train, valid or test.
        table: the columns asked for; an unknown expression of a row that is trained or validated on is estimated where
            that was asked of `prepare`.
    """

    sample_id: np.ndarray
    subject: np.ndarray
    group: np.ndarray
    role: np.ndarray
    table: pa.Table

    def objects(self, name: str) -> np.ndarray:
        """A column as an object array, None where it is null."""
        return np.array(self.table[name].to_pylist(), dtype=object)

    def numbers(self, name: str, unknown: float) -> np.ndarray:
        """A column of numbers, with `unknown` where it is null."""
        return self.table[name].fill_null(unknown).to_numpy()


def read_divided(directory: Path, part: Part, seed: int, columns: list[str], validation: bool = False) -> Divided:
    """Read label columns of a faces directory and say what role each row has.

    Estimated expressions are not filled in in test rows: what a model guessed is no truth to be measured by.

    Args:
        validation: where no official split names validation rows, a part of the training groups becomes them.

    Raises:
        InputError: folds.roles cannot divide them, a number of test people is asked for where a row names nobody, or
            a file is missing or damaged.
    """
    rows = read_undivided(directory, columns if part.fold_of is None else [*columns, "source_path"])
    paths = [] if part.fold_of is None else rows.table["source_path"].to_pylist()
    role = roles(rows.table["split"].to_pylist(), rows.group.tolist(), part, seed, paths)
    if part.test_people is not None and None in rows.subject.tolist():
        raise InputError(
            f"--test-people counts people, and some pictures of {directory.name} are of nobody known; leave it out, or "
            "use --identities estimated"
        )
    if validation:
        role = with_validation(role, rows.group.tolist())
    divided = replace(rows, role=np.array(role))
    return _with_expressions(divided, read_expressions(directory)) if "expression" in columns else divided


def _with_expressions(rows: Divided, estimated: dict[str, str]) -> Divided:
    """The annotated expressions go first."""
    if not estimated:
        return rows
    known = zip(rows.sample_id.tolist(), rows.role.tolist(), rows.table["expression"].to_pylist(), strict=True)
    filled = [own or (None if role == "test" else estimated.get(name)) for name, role, own in known]
    place = rows.table.column_names.index("expression")
    return replace(rows, table=rows.table.set_column(place, "expression", pa.array(filled, pa.string())))


def read_undivided(directory: Path, columns: list[str]) -> Divided:
    """Read label columns of a faces directory, with the role `test` for every row.

    Raises:
        InputError: a file is missing or damaged.
    """
    table = read_columns(directory, "part-", [*dict.fromkeys([*_ALWAYS, *columns])])
    sample_id, subject, sequence = (table[name].to_pylist() for name in ("sample_id", "subject_id", "sequence_id"))
    subject = with_estimates(directory, sample_id, subject)
    group = np.array(groups_of(subject, sequence, sample_id))
    return Divided(np.array(sample_id), np.array(subject, dtype=object), group, np.full(len(group), "test"), table)
