"""Time the EM that sub-classes are found by against scikit-learn's, and compare what they reach.

    python -m benchmarks.mixtures [--repeats 5] [--json]

One class of seven overlapping groups, five components, diagonal covariances and three starts each. Seconds of one core
(the processor's, which others on the machine disturb less), medians of alternating runs; log-likelihood in nats a
sample, the mean over the seeds of the runs, of which each draws its own samples.
"""

import argparse
import json
import statistics
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from fer_core.gaussian_mixtures import MAX_ITERATIONS, NUM_STARTS, SharedRows, fit, log_joint
from fer_core.world import ALONE

SHAPES = ((20_000, 64, 0.3), (20_000, 64, 1.0), (4_000, 64, 0.2), (20_000, 256, 0.3))
"""Samples, dimensions, and how far the groups are apart in their own deviations."""
NUM_GROUPS, NUM_COMPONENTS = 7, 5


def samples(count: int, num_dims: int, apart: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    center_KD = apart * rng.normal(size=(NUM_GROUPS, num_dims))
    deviation_D = rng.uniform(0.5, 1.5, size=num_dims)
    rows = center_KD[rng.integers(NUM_GROUPS, size=count)] + deviation_D * rng.normal(size=(count, num_dims))
    return rows - rows.mean(axis=0)


def ours(rows_MD: np.ndarray, floor: float, seed: int) -> tuple[float, float]:
    """Seconds, and nats a sample."""
    start = time.process_time()
    rows = SharedRows(torch.from_numpy(rows_MD), ALONE)
    mixture, _ = fit(rows, NUM_COMPONENTS, seed, "diag", floor)
    spent = time.process_time() - start
    return spent, float(rows.total(lambda rows_RD: log_joint(rows_RD, mixture).logsumexp(dim=1).sum())) / rows.count


def peer(rows_MD: np.ndarray, floor: float, seed: int) -> tuple[float, float]:
    """Seconds, and nats a sample."""
    start = time.process_time()
    mixture = GaussianMixture(
        NUM_COMPONENTS,
        covariance_type="diag",
        reg_covar=floor,
        max_iter=MAX_ITERATIONS,
        n_init=NUM_STARTS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(rows_MD)
    return time.process_time() - start, float(mixture.score(rows_MD))


def compared(count: int, num_dims: int, apart: float, num_repeats: int) -> dict[str, float]:
    pairs = []
    for seed in range(num_repeats):
        rows_MD = samples(count, num_dims, apart, seed)
        floor = 1e-6 * float(rows_MD.var(axis=0).mean())
        pairs.append((ours(rows_MD, floor, seed), peer(rows_MD, floor, seed)))
    ours_s, peer_s = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
    gain = statistics.mean(own[1] - other[1] for own, other in pairs)
    return {"ours_s": ours_s, "scikit-learn_s": peer_s, "ratio": peer_s / ours_s, "nats_gained": gain}


def main() -> None:
    parser = argparse.ArgumentParser(description="EM against scikit-learn's.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    with threadpool_limits(1):
        ours(samples(2_000, 8, 1.0, 0), 1e-6, 0)  # the first call loads libraries
        for count, num_dims, apart in SHAPES:
            name = f"{count:,} x {num_dims}, {apart} apart"
            rows[name] = compared(count, num_dims, apart, options.repeats)
            print(f"{name:<26}" + "".join(f"{what:>16} {value:.4g}" for what, value in rows[name].items()))
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
