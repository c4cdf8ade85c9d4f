"""Whose face each is, where the data set does not say: a side file of a faces directory, marked as estimated."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fer_core.directories import read_tables
from fer_core.files import write_table
from fer_core.identities import cluster_identities, describe_face, fit_whitening
from fer_core.shards import decode_colour

IDENTITIES = "identities.parquet"
BY = "clustering"
"""What `subject_by` says of an estimated identity."""
MOST_FITTED = 10_000
"""Faces that the whitening is fitted on: a descriptor takes 15 kB, what is kept of it afterwards 512 bytes."""


def write_identities(folder: Path) -> int:
    """Cluster the upright crops of a faces folder whose subject is unknown; the number of people found.

    Writes sample_id, subject_id (`cluster-N`) and subject_by to `folder`/identities.parquet.
    """
    names = [name for names in _unknown(folder, ["sample_id"]) for name in names["sample_id"].to_pylist()]
    subjects = [f"cluster-{cluster}" for cluster in _clusters(folder, len(names)).tolist()]
    table = pa.table(
        {
            "sample_id": pa.array(names, pa.string()),
            "subject_id": pa.array(subjects, pa.string()),
            "subject_by": pa.array([BY] * len(names), pa.string()),
        }
    )
    write_table(folder / IDENTITIES, table)
    return len(set(subjects))


def _clusters(folder: Path, num_faces: int) -> np.ndarray:
    """The cluster of each face whose subject is unknown, int64 (N,)."""
    if num_faces < 2:
        return np.arange(num_faces)
    step = -(-num_faces // MOST_FITTED)
    whitening = fit_whitening(np.concatenate([*_described(folder, step)]))
    return cluster_identities(np.concatenate([whitening.of(part) for part in _described(folder, 1)]))


def _described(folder: Path, step: int) -> Iterator[np.ndarray]:
    """The descriptors of every `step`-th face, a shard's at a time."""
    at = 0
    for table in _unknown(folder, ["image"]):
        chosen = range(-at % step, len(table), step)
        at += len(table)
        if len(chosen):
            yield np.stack([describe_face(decode_colour(table["image"][row].as_py())) for row in chosen])


def _unknown(folder: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The upright rows without a subject, a shard's at a time."""
    for file in sorted(folder.glob("part-*.parquet")):
        table = pq.read_table(file, columns=[*columns, "subject_id", "rotation"])
        yield table.filter(pc.field("subject_id").is_null() & (pc.field("rotation") == 0))


def read_identities(faces: Path) -> dict[str, str]:
    """sample_id -> estimated subject; empty where none were estimated.

    Raises:
        InputError: the file is damaged.
    """
    if not (faces / IDENTITIES).exists():
        return {}
    table = read_tables(faces, IDENTITIES, ["sample_id", "subject_id"])
    return dict(zip(table["sample_id"].to_pylist(), table["subject_id"].to_pylist(), strict=True))
