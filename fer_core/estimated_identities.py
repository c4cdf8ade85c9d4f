"""Whose face each is, where the data set does not say: a side file of a faces directory, marked as estimated."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.directories import read_tables, write_table
from fer_core.identities import cluster_identities, describe_face, whitened
from fer_core.shards import decode_colour

IDENTITIES = "identities.parquet"
BY = "clustering"
"""What `subject_by` says of an estimated identity."""


def write_identities(folder: Path) -> int:
    """Cluster the upright crops of a faces folder whose subject is unknown; the number of people found.

    Writes sample_id, subject_id (`cluster-N`) and subject_by to `folder`/identities.parquet.
    """
    names: list[str] = []
    described: list[np.ndarray] = []
    for file in sorted(folder.glob("part-*.parquet")):
        table = pq.read_table(file, columns=["sample_id", "subject_id", "rotation", "image"])
        for row in table.to_pylist():
            if row["subject_id"] is None and row["rotation"] == 0:
                names.append(row["sample_id"])
                described.append(describe_face(cv2.cvtColor(decode_colour(row["image"]), cv2.COLOR_RGB2GRAY)))
    cluster_N = np.arange(len(names)) if len(names) < 2 else cluster_identities(whitened(np.stack(described)))
    subjects = [f"cluster-{cluster}" for cluster in cluster_N.tolist()]
    table = pa.table(
        {
            "sample_id": pa.array(names, pa.string()),
            "subject_id": pa.array(subjects, pa.string()),
            "subject_by": pa.array([BY] * len(names), pa.string()),
        }
    )
    write_table(folder / IDENTITIES, table)
    return len(set(subjects))


def read_identities(faces: Path) -> dict[str, str]:
    """sample_id -> estimated subject; empty where none were estimated.

    Raises:
        InputError: the file is damaged.
    """
    if not (faces / IDENTITIES).exists():
        return {}
    table = read_tables(faces, IDENTITIES, ["sample_id", "subject_id"])
    return dict(zip(table["sample_id"].to_pylist(), table["subject_id"].to_pylist(), strict=True))
