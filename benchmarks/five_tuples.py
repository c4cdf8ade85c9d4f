"""Time `build_five_tuples` against scans of the same shuffle, which give the same tuples.

    python -m benchmarks.five_tuples [--json]

7 expressions, 5 poses and 70 pictures a person (KDEF's numbers), drawn at random. Three scans are timed: Algorithm 1
as it is printed, which looks for each partner in the whole set; and two that are cleverer than that: a plain loop over
the remaining samples that stops at the first two, and masks over arrays that shrink with every tuple. Medians; the
compilation is timed apart.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np

from fer_core.tuples import build_five_tuples

NUM_EXPRESSIONS, NUM_POSES, PICTURES_OF_A_PERSON = 7, 5, 70
SCANNED_SIZES, LARGE_SIZE, SKEWED_SIZE = (10_000, 100_000), 1_000_000, 200_000
COMMON_SHARE = 0.98
FACTORS = ("expression", "pose", "identity")
NUM_REPEATS = 21
SEED = 1

Labels = tuple[np.ndarray, np.ndarray, np.ndarray]


def random_labels(num_samples: int) -> Labels:
    """Expression, pose and identity (N,), each sample's drawn on its own."""
    rng = np.random.default_rng(0)
    levels = (NUM_EXPRESSIONS, NUM_POSES, max(2, num_samples // PICTURES_OF_A_PERSON))
    expression_N, pose_N, identity_N = (rng.integers(num_levels, size=num_samples) for num_levels in levels)
    return expression_N, pose_N, identity_N


def skewed_labels(num_samples: int, factor: str) -> Labels:
    """The same, with 98 % of the samples in one level of `factor`."""
    labels = random_labels(num_samples)
    labels[FACTORS.index(factor)][np.random.default_rng(1).random(num_samples) < COMMON_SHARE] = 0
    return labels


def scan_printed(expression_N: np.ndarray, pose_N: np.ndarray, identity_N: np.ndarray, seed: int) -> np.ndarray:
    """Algorithm 1 as printed, each of its conditions over all of S at once."""
    order = np.random.default_rng(seed).permutation(len(pose_N))
    e, p, s = expression_N[order], pose_N[order], identity_N[order]
    left, tuples = np.ones(len(order), bool), []
    for a in range(len(order)):
        if not left[a]:
            continue
        positives = first_distinct(
            np.flatnonzero(left & (e == e[a]) & (p != p[a])), np.flatnonzero(left & (e == e[a]) & (s != s[a]))
        )
        negatives = first_distinct(
            np.flatnonzero(left & (e != e[a]) & (p == p[a])), np.flatnonzero(left & (e != e[a]) & (s == s[a]))
        )
        if positives and negatives:
            tuples.append([a, positives[0], negatives[0], positives[1], negatives[1]])
            left[tuples[-1]] = False
    return order[np.array(tuples)]


def scan_loop(expression_N: np.ndarray, pose_N: np.ndarray, identity_N: np.ndarray, seed: int) -> np.ndarray:
    """Algorithm 1 as a plain loop over a list of what remains."""
    order = np.random.default_rng(seed).permutation(len(pose_N)).tolist()
    e, p, s = expression_N.tolist(), pose_N.tolist(), identity_N.tolist()
    remaining, used, tuples = list(order), set[int](), []
    for a in order:
        if a in used:
            continue
        pose_plus = itertools.islice((j for j in remaining if e[j] == e[a] and p[j] != p[a]), 2)
        id_plus = itertools.islice((j for j in remaining if e[j] == e[a] and s[j] != s[a]), 2)
        positives = first_distinct(pose_plus, id_plus)
        if positives is None:
            continue
        pose_minus = itertools.islice((j for j in remaining if e[j] != e[a] and p[j] == p[a]), 2)
        id_minus = itertools.islice((j for j in remaining if e[j] != e[a] and s[j] == s[a]), 2)
        negatives = first_distinct(pose_minus, id_minus)
        if negatives is None:
            continue
        tuples.append([a, positives[0], negatives[0], positives[1], negatives[1]])
        used.update(tuples[-1])
        for sample in tuples[-1]:
            remaining.remove(sample)
    return np.array(tuples)


def scan_arrays(expression_N: np.ndarray, pose_N: np.ndarray, identity_N: np.ndarray, seed: int) -> np.ndarray:
    """Algorithm 1 with masks over arrays of what remains."""
    remaining = np.random.default_rng(seed).permutation(len(pose_N))
    e, p, s = (labels[remaining].astype(np.int32) for labels in (expression_N, pose_N, identity_N))
    tuples, at = [], 0
    while at < len(remaining):  # all before `at` have been anchors, and found no partners
        same_e, same_p, same_s = e == e[at], p == p[at], s == s[at]
        positives = first_distinct(np.flatnonzero(same_e & ~same_p)[:2], np.flatnonzero(same_e & ~same_s)[:2])
        negatives = positives and first_distinct(
            np.flatnonzero(same_p & ~same_e)[:2], np.flatnonzero(same_s & ~same_e)[:2]
        )
        if positives is None or negatives is None:
            at += 1
            continue
        taken = np.array([at, positives[0], negatives[0], positives[1], negatives[1]])
        tuples.append(remaining[taken])
        at -= int(np.sum(taken < at))
        e, p, s = (np.delete(labels, taken) for labels in (e, p, s))
        remaining = np.delete(remaining, taken)
    return np.array(tuples)


def first_distinct(pose: Iterable[int], identity: Iterable[int]) -> tuple[int, int] | None:
    pairs = itertools.product(itertools.islice(pose, 2), itertools.islice(identity, 2))
    return next(((a, b) for a, b in pairs if a != b), None)


def timed(build: Callable[..., np.ndarray], labels: Labels, num_repeats: int = 1) -> tuple[np.ndarray, float]:
    """The tuples, and the median of the seconds."""
    spent = []
    for _ in range(num_repeats):
        start = time.perf_counter()
        tuples_T5 = build(*labels, SEED)
        spent.append(time.perf_counter() - start)
    return tuples_T5, statistics.median(spent)


def against_scans(num_samples: int) -> dict[str, float]:
    labels = random_labels(num_samples)
    indexed, index_s = timed(build_five_tuples, labels, NUM_REPEATS)
    row: dict[str, float] = {"samples": num_samples, "tuples": len(indexed), "index_s": index_s}
    for name, scan in (("printed", scan_printed), ("loop", scan_loop), ("arrays", scan_arrays)):
        scanned, seconds = timed(scan, labels)
        np.testing.assert_array_equal(indexed, scanned)
        row |= {f"{name}_s": seconds, f"{name}_ratio": seconds / index_s}
    return row


def index_alone(labels: Labels) -> dict[str, float]:
    tuples_T5, seconds = timed(build_five_tuples, labels, NUM_REPEATS)
    return {"samples": len(labels[0]), "tuples": len(tuples_T5), "index_s": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description="The five-tuple index against scans of the same shuffle.")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    as_json = parser.parse_args().json
    _, compile_s = timed(build_five_tuples, random_labels(1_000))
    print(f"first call, compilation or its cache: {compile_s:.1f} s", file=sys.stderr)
    rows = {f"{size:,} random": against_scans(size) for size in SCANNED_SIZES}
    rows[f"{LARGE_SIZE:,} random"] = index_alone(random_labels(LARGE_SIZE))
    for factor in FACTORS:
        rows[f"{SKEWED_SIZE:,} 98 % one {factor}"] = index_alone(skewed_labels(SKEWED_SIZE, factor))
    scans = ("printed", "loop", "arrays")
    columns = ("tuples", "index_s", *(f"{scan}_{what}" for scan in scans for what in ("s", "ratio")))
    print(f"{'':<27}" + "".join(f"{column:>14}" for column in columns))
    for name, row in rows.items():
        print(f"{name:<27}" + "".join(f"{row[column]:>14.4g}" if column in row else f"{'-':>14}" for column in columns))
    if as_json:
        print(json.dumps({"first_call_s": compile_s, **rows}))


if __name__ == "__main__":
    main()
