"""Whose face each is, where the data set does not say: a side file of a faces directory, marked as estimated."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fer_core.directories import read_tables
from fer_core.errors import InputError
from fer_core.estimates.clusters import cluster_identities, describe_face, fit_whitening
from fer_core.files import write_table
from fer_core.shards import decode_colour

IDENTITIES = "identities.parquet"
LEAST_FACES = 500
"""With fewer, what is common to all faces is not told from what is a person's own: of 500 different people in LFW two
share a cluster, of 100 half do; KDEF's pairs are right from 490 faces on, and 63 % of them at 140."""
BY = "clustering"
"""What `subject_by` says of an estimated identity."""
MOST_FITTED = 10_000
"""Faces that the whitening is fitted on: a descriptor takes 15 kB, what is kept of it afterwards 512 bytes."""


def write_identities(folder: Path, margin: int = 0) -> int:
    """Cluster the upright crops of a faces folder whose subject is unknown; the number of people found.

    Writes sample_id, subject_id (`cluster-N`, or null where a face is like none) and subject_by to
    `folder`/identities.parquet.

    Args:
        margin: pixels round each crop, in a virtual form.

    Raises:
        InputError: there are such faces, but too few to tell people apart.
    """
    names = [name for names in _unknown(folder, ["sample_id"]) for name in names["sample_id"].to_pylist()]
    clusters = _clusters(folder, len(names), margin).tolist()
    subjects = [f"cluster-{cluster}" if cluster >= 0 else None for cluster in clusters]
    table = pa.table(
        {
            "sample_id": pa.array(names, pa.string()),
            "subject_id": pa.array(subjects, pa.string()),
            "subject_by": pa.array([BY] * len(names), pa.string()),
        }
    )
    write_table(folder / IDENTITIES, table)
    return len(set(subjects) - {None})


def _clusters(folder: Path, num_faces: int, margin: int) -> np.ndarray:
    """The cluster of each face whose subject is unknown, int64 (N,)."""
    if not num_faces:
        return np.empty(0, dtype=np.int64)
    if num_faces < LEAST_FACES:
        raise InputError(
            f"identities cannot be estimated from {num_faces} faces, at least {LEAST_FACES} are needed; name the "
            "subjects, or leave --identities estimated out"
        )
    step = -(-num_faces // MOST_FITTED)
    whitening = fit_whitening(np.concatenate([*_described(folder, margin, step)]))
    return cluster_identities(np.concatenate([whitening.of(part) for part in _described(folder, margin, 1)]))


def _described(folder: Path, margin: int, step: int) -> Iterator[np.ndarray]:
    """The descriptors of every `step`-th face, a shard's at a time."""
    at, inner = 0, slice(margin, -margin or None)
    for table in _unknown(folder, ["image"]):
        chosen = range(-at % step, len(table), step)
        at += len(table)
        if len(chosen):
            crops = (decode_colour(table["image"][row].as_py()) for row in chosen)
            yield np.stack([describe_face(crop[inner, inner]) for crop in crops])


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
    named = zip(table["sample_id"].to_pylist(), table["subject_id"].to_pylist(), strict=True)
    return {sample: subject for sample, subject in named if subject is not None}


def with_estimates(faces: Path, sample_id: list[str], subject_id: list[str | None]) -> list[str | None]:
    """The subject of each row: the data set's own, else the estimated one, else None."""
    estimated = read_identities(faces)
    return [own or estimated.get(name) for name, own in zip(sample_id, subject_id, strict=True)]
