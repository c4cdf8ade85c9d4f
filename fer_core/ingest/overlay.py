"""What is laid over a source when it is read: whose pictures are left out, and which labels are put right."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from fer_core.consent.withdrawals import WITHDREW, WITHHELD, Withdrawal
from fer_core.datasets.base import Rejected
from fer_core.ingest.corrections import REMOVED, Corrections


class Overlay(NamedTuple):
    """Of one data set."""

    withdrawals: tuple[Withdrawal, ...] = ()
    corrections: Corrections = Corrections()

    def refused(self, dataset: str, row: dict[str, Any]) -> Rejected | None:
        """Why a row's picture may not even be read, or None."""
        is_withdrawn = any(one.is_of(dataset, row.get("subject_id")) for one in self.withdrawals)
        return Rejected(WITHHELD, WITHDREW) if is_withdrawn else None


NOTHING = Overlay()
"""The source as it is."""


def count_corrected(corrections: Corrections, catalog: Path) -> int:
    """How many rows of a catalog have been given another label.

    Raises:
        InputError: a picture that is named by its sample id alone is not there.
    """
    if corrections.by_sample:
        removed = pq.ParquetDataset(sorted(catalog.glob("aside-*.parquet")), filters=[("reason", "=", REMOVED)])
        details = removed.read(["detail"])["detail"].to_pylist()
        taken = _cells(catalog, "part-*.parquet", "sample_id")
        corrections.require_samples([*taken, *(detail.split()[0] for detail in details)])
    return sum(label is not None for label in _cells(catalog, "part-*.parquet", "expression_original"))


def _cells(folder: Path, files: str, column: str) -> Iterator[Any]:
    for file in sorted(folder.glob(files)):
        yield from pq.read_table(file, columns=[column])[column].to_pylist()
