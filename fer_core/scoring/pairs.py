"""A verification model in use: are the two pictures of each pair of one person? P pairs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from fer_core.datasets.folders import inside, read_table, require_utf8
from fer_core.directories import read_tables
from fer_core.errors import InputError
from fer_core.evaluation.verification import pair_distances, threshold_at_far
from fer_core.files import write_table
from fer_core.levels import embedding_matrix
from fer_core.scoring.faces import PREDICTIONS

PAIRS, ASIDE = "pairs.parquet", "aside.parquet"
SCHEMA = pa.schema(
    [
        ("first", pa.string()),
        ("second", pa.string()),
        ("distance", pa.float64()),  # squared Euclidean
        ("same_person", pa.bool_()),  # the decision
        ("threshold", pa.float64()),  # up to which distance that is decided
        ("same", pa.bool_()),  # what the file of pairs says; null where it says nothing
    ]
)
ASIDE_SCHEMA = pa.schema([("first", pa.string()), ("second", pa.string()), ("reason", pa.string())])
_SAME = {"0": False, "1": True, "": None}


class AskedPair(NamedTuple):
    """Two pictures, as a file of pairs names them, and whether they show one person where it says so."""

    first: str
    second: str
    same: bool | None

    @property
    def names(self) -> tuple[str, str]:
        """Of both pictures."""
        return self.first, self.second


def read_pairs(file: Path) -> list[AskedPair]:
    """Read a csv with the columns first, second and perhaps same (0, 1, or empty where that is not known).

    Raises:
        InputError: it cannot be read, lacks a column, holds no pair, or `same` is something else.
    """
    require_utf8(file)
    pairs = []
    for number, cells in read_table(file, ("first", "second")):
        same = cells.get("same", "")
        if same not in _SAME:
            raise InputError(f"{file} line {number}: same is {same!r}; write 1 (one person), 0 (two) or nothing")
        pairs.append(AskedPair(cells.get("first", ""), cells.get("second", ""), _SAME[same]))
    if not pairs:
        raise InputError(f"{file} holds no pair: there is no line after its header")
    return pairs


def pictures_of(pairs: Sequence[AskedPair]) -> list[str]:
    """The source paths of all pictures of pairs, each once, sorted; names that no picture can have are left out."""
    return sorted({path for pair in pairs for name in pair.names if (path := inside(name)) is not None})


def threshold_for(predictions: pa.Table, far: float, model: str) -> float:
    """The largest distance at which a model accepts no more than `far` of the different people it was tested on.

    Args:
        predictions: of the version's own evaluation, on people who were not trained on: columns truth (`same`,
            `different`) and distance.
        model: what it is called, for the message.

    Raises:
        InputError: the pairs of different people are too few to tell such a rate from 0.
    """
    distances = predictions["distance"].to_numpy()[np.array(predictions["truth"].to_pylist()) == "different"]
    if not len(distances) or 1 / len(distances) > far:
        finest = f"; the finest is --far {1 / len(distances):g}" if len(distances) else ""
        raise InputError(
            f"--far {far:g} cannot be told from 0 by the {len(distances)} pairs of different people that {model} was "
            f"tested on{finest}"
        )
    return threshold_at_far(distances, far)


def write_decisions(folder: Path, pairs: Sequence[AskedPair], scores: Path, threshold: float) -> dict[str, Any]:
    """Decide all pairs and write PAIRS by SCHEMA; those without two faces go to ASIDE, with the first reason.

    Args:
        folder: of the data set directory.
        scores: the finished directory of scored pictures, with all of `pictures_of(pairs)`.
        threshold: up to which squared distance two pictures are of one person.

    Returns:
        rows; set_aside (reason -> pairs); same_person (pairs); threshold; metrics: see `measure_decisions`.
    """
    said = read_tables(scores, f"{PREDICTIONS}/part-", ["source_path", "embedding"])
    row_of = {path: row for row, path in enumerate(said["source_path"].to_pylist())}
    rejected = read_tables(scores, "aside-", ["source_path", "reason"])
    reason_of = dict(zip(rejected["source_path"].to_pylist(), rejected["reason"].to_pylist(), strict=True))
    kept, aside = [], []
    for pair in pairs:
        reasons = [reason for name in pair.names if (reason := _reason(name, reason_of)) is not None]
        if reasons:
            aside.append({"first": pair.first, "second": pair.second, "reason": reasons[0]})
        else:
            kept.append(pair)
    distance_P = np.empty(0)
    if kept:
        first, second = ([row_of[str(inside(pair.names[side]))] for pair in kept] for side in (0, 1))
        distance_P = pair_distances(embedding_matrix(said["embedding"]), first, second)
    table = _table(kept, distance_P, threshold)
    write_table(folder / PAIRS, table)
    write_table(folder / ASIDE, pa.Table.from_pylist(aside, schema=ASIDE_SCHEMA))
    return {
        "rows": len(kept),
        "set_aside": dict(sorted(Counter(row["reason"] for row in aside).items())),
        "same_person": int((distance_P <= threshold).sum()),
        "threshold": threshold,
        "metrics": measure_decisions(table),
    }


def _reason(name: str, reason_of: dict[str, str]) -> str | None:
    """Why a picture of a pair cannot be compared, or None."""
    if not name:
        return "pair without two pictures"
    path = inside(name)
    return "path leaves the source folder" if path is None else reason_of.get(path)


def _table(pairs: Sequence[AskedPair], distance_P: np.ndarray, threshold: float) -> pa.Table:
    columns = {
        "first": [pair.first for pair in pairs],
        "second": [pair.second for pair in pairs],
        "distance": distance_P,
        "same_person": distance_P <= threshold,
        "threshold": np.full(len(pairs), threshold),
        "same": [pair.same for pair in pairs],
    }
    return pa.table(columns, schema=SCHEMA)


def measure_decisions(table: pa.Table) -> dict[str, float]:
    """Accuracy, TAR and FAR of decisions (columns same_person and same), over the pairs whose truth is known.

    A rate of which there is no pair is left out.
    """
    known = table["same"].is_valid().to_numpy()
    same, accepted = table["same"].fill_null(False).to_numpy(), table["same_person"].to_numpy()
    measured = {
        "accuracy": (known, accepted == same),
        "tar": (known & same, accepted),
        "far": (known & ~same, accepted),
    }
    return {name: float(right[chosen].mean()) for name, (chosen, right) in measured.items() if chosen.any()}
