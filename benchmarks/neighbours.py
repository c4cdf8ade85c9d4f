"""Time the exact nearest neighbours against scikit-learn's brute force, and by the type that shortlists are taken in.

    python -m benchmarks.neighbours [--members 50000] [--queries 2000] [--sizes 64 256 512] [--json]

Two tables of float32: normal, and eight clusters on the sphere of few dimensions each, as embeddings are. Seconds of
one core (the processor's, which others on the machine disturb less), medians of alternating runs; preparing the
gallery is part of them, converting it to float64 for scikit-learn is not. The neighbours are compared, and the
queries counted that a shortlist left in doubt.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from fer_core.evaluation import neighbours
from fer_core.evaluation.shortlist import Shortlist

K, NUM_REPEATS = 11, 3
TYPES = (torch.bfloat16, torch.float32, torch.float64)
Table = np.ndarray


def normal(num_rows: int, num_dims: int) -> Table:
    return np.random.default_rng(0).normal(size=(num_rows, num_dims)).astype(np.float32)


def clustered(num_rows: int, num_dims: int) -> Table:
    """Eight clusters, each spread over eight directions; unit norm."""
    rng = np.random.default_rng(0)
    center = rng.normal(size=(8, num_dims))
    spread = rng.normal(size=(8, 8, num_dims))
    cluster = rng.integers(8, size=num_rows)
    rows = center[cluster] + 0.1 * np.einsum("nk,nkd->nd", rng.normal(size=(num_rows, 8)), spread[cluster])
    rows += 0.02 * rng.normal(size=rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def by_type(name: str, query: Table, gallery: Table) -> tuple[np.ndarray, int]:
    """Indices, and how many queries the first shortlist left in doubt."""
    asked = dict.fromkeys(TYPES, 0)

    class Counted(Shortlist):
        def of(
            self, query_BD: torch.Tensor, own_B: torch.Tensor | None, size: int
        ) -> tuple[torch.Tensor, torch.Tensor]:
            asked[self._dtype] += len(query_BD)
            return super().of(query_BD, own_B, size)

    chosen = neighbours.multiplies_bfloat16, neighbours.Shortlist
    neighbours.multiplies_bfloat16 = lambda device: name == "bfloat16"
    neighbours.Shortlist = Counted
    try:
        index_QK = neighbours.nearest(query, gallery, K)[0]
    finally:
        neighbours.multiplies_bfloat16, neighbours.Shortlist = chosen
    return index_QK, asked[torch.float64]


def peer(query: Table, gallery: Table) -> tuple[np.ndarray, int]:
    """scikit-learn's brute force, in float32."""
    return NearestNeighbors(n_neighbors=K, algorithm="brute").fit(gallery).kneighbors(query)[1], 0


def timed(ways: dict[str, Callable[[], tuple[np.ndarray, int]]]) -> dict[str, float]:
    spent: dict[str, list[float]] = {name: [] for name in ways}
    row: dict[str, float] = {}
    found: dict[str, np.ndarray] = {}
    for _ in range(NUM_REPEATS):
        for name, find in ways.items():
            start = time.process_time()
            found[name], doubtful = find()
            spent[name].append(time.process_time() - start)
            row[f"{name}_doubtful"] = doubtful
    for name, seconds in spent.items():
        row[f"{name}_s"] = statistics.median(seconds)
        row[f"{name}_ratio"] = statistics.median(spent["scikit-learn"]) / row[f"{name}_s"]
        row[f"{name}_same"] = float((np.sort(found[name]) == np.sort(found["float32"])).all(axis=1).mean())
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="Exact neighbours against scikit-learn's brute force.")
    parser.add_argument("--members", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways = ["bfloat16", "float32", "scikit-learn"]
    columns = [f"{way}_{what}" for way in ways for what in ("s", "ratio", "doubtful", "same")]
    rows = {}
    print(f"{'':<14}" + "".join(f"{column:>22}" for column in columns))
    with threadpool_limits(1):
        for make in (normal, clustered):
            for size in options.sizes:
                gallery = make(options.members, size)
                query = gallery[: options.queries] + np.float32(1e-3) * normal(options.queries, size)
                found = {name: partial(by_type, name, query, gallery) for name in ("bfloat16", "float32")}
                name = f"{make.__name__} {size}"
                rows[name] = timed({**found, "scikit-learn": partial(peer, query, gallery)})
                print(f"{name:<14}" + "".join(f"{rows[name][column]:>22.4g}" for column in columns))
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
