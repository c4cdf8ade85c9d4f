"""Similarity triplets from labels (Landmark VAE, section IV-B): the reference is nearer to the positive.

Legend: N samples, T triplets, C expressions, R references. Samples are sorted by expression, the neutral one first, and
named by their place in that order: so an expression is a stretch, and the samples outside it are a count with a gap.
"""

from bisect import bisect_right
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from fer_core.errors import InputError
from fer_core.tuples.cover import covering_triplets
from fer_core.tuples.labels import Labels, check_lengths, coded

RULES = ("expression", "degree", "neutral")
_ROUNDING = 1e-6  # degrees are stored as float32: a smaller difference of distances is none
_MOST_DRAWN = 2**22  # candidates of the degree rule tried at once: about 300 MB


class _Sorted(NamedTuple):
    """Samples by expression: `sample_N` at each place, with the stretch of its expression and its degree."""

    sample_N: np.ndarray
    start_N: np.ndarray
    size_N: np.ndarray
    degree_N: np.ndarray
    num_neutral: int


def label_triplets(
    expression_N: Labels, intensity_N: Labels | None, num_triplets: int, seed: int, neutral: Any = "neutral"
) -> np.ndarray:
    """Triplets int64 (T, 3) of reference, positive, negative, by the paper's three rules.

    expression: the positive has the reference's expression, the negative another. degree: all three have one
    expression, and the positive's degree is nearer to the reference's. neutral: the positive is neutral, the negative
    has an expression that is neither neutral nor the reference's.

    Every sample is in at least one triplet, no triplet comes twice, and none contradicts another. The rules have equal
    shares as far as they yield enough (the paper does not say); within a rule each triplet is as likely, beside those
    of the first rule that show every sample. The order is random, so that any part of it holds all rules.

    Args:
        expression_N: integers or strings.
        intensity_N: degree of the expression on any one scale, missing where unknown: then not used by its rule. None
            leaves the rule out.
        num_triplets: T.
        seed: of the choice.
        neutral: the label of the neutral expression; where no sample has it, its rule is left out.

    Raises:
        InputError: T is too few for every sample to be in one (at least ceil(N / 3)) or more than there are, an
            expression is missing, or there are not two expressions, one of them with two samples.
        ValueError: the columns differ in length.
    """
    intensity_N = np.full(len(expression_N), np.nan) if intensity_N is None else intensity_N
    check_lengths(expression=expression_N, intensity=intensity_N)
    rng = np.random.default_rng(seed)
    labels = coded(expression_N, "expression")
    shown_M3 = np.unique(covering_triplets(labels.code_N, rng), axis=0)
    if num_triplets < len(shown_M3):
        raise InputError(f"{num_triplets} triplets cannot show every sample; ask for {len(shown_M3)} or more")
    intensity_N = intensity_N.numpy(force=True) if isinstance(intensity_N, torch.Tensor) else intensity_N
    degree_N = pa.array(intensity_N, from_pandas=True).to_numpy(zero_copy_only=False)
    is_neutral_N = np.array([name == neutral for name in labels.names])[labels.code_N]
    samples = _sorted(labels.code_N, is_neutral_N, degree_N)
    pools = [samples.sample_N[draw(samples, num_triplets, rng)] for draw in (_by_expression, _by_degree, _by_neutral)]
    pools[0] = np.concatenate([shown_M3, _without(pools[0], shown_M3, len(is_neutral_N))])
    shares = _shares([len(pool) for pool in pools], len(shown_M3), num_triplets)
    return rng.permutation(np.concatenate([pool[:share] for pool, share in zip(pools, shares, strict=True)]))


def count_rules(triplets_T3: np.ndarray, expression_N: Labels) -> dict[str, int]:
    """How many triplets of `label_triplets` follow each rule: expression, degree, neutral."""
    code_T3 = coded(expression_N, "expression").code_N[triplets_T3]
    same_positive, same_negative = (code_T3[:, column] == code_T3[:, 0] for column in (1, 2))
    rule_T = np.where(same_positive, np.where(same_negative, "degree", "expression"), "neutral")
    counts = Counter(rule_T.tolist())
    return {rule: counts[rule] for rule in RULES}


def _sorted(code_N: np.ndarray, is_neutral_N: np.ndarray, degree_N: np.ndarray) -> _Sorted:
    order = np.lexsort((code_N, ~is_neutral_N))
    start_N, size_N = _stretches(code_N[order])
    return _Sorted(order, start_N, size_N, degree_N[order].astype(np.float64), int(is_neutral_N.sum()))


def _stretches(code_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and size, at each place, of the stretch of equal codes that it lies in."""
    _, start, inverse, size = np.unique(code_N, return_index=True, return_inverse=True, return_counts=True)
    return start[inverse], size[inverse]


def _by_expression(samples: _Sorted, most: int, rng: np.random.Generator) -> np.ndarray:
    start_N, size_N = samples.start_N, samples.size_N
    num_others_N = len(start_N) - size_N
    reference, rank = _ranks((size_N - 1) * num_others_N, most, rng)
    positive, negative = np.divmod(rank, num_others_N[reference])
    positive = _beside(start_N[reference] + positive, reference)
    return np.stack([reference, positive, _beside(negative, start_N[reference], size_N[reference])], axis=1)


def _by_neutral(samples: _Sorted, most: int, rng: np.random.Generator) -> np.ndarray:
    start_N, size_N, num_neutral = samples.start_N, samples.size_N, samples.num_neutral
    num_others_N = len(start_N) - num_neutral - size_N
    num_others_N[:num_neutral] = 0  # a neutral reference is nearer to neutral by the first rule
    reference, rank = _ranks(num_neutral * num_others_N, most, rng)
    positive, negative = np.divmod(rank, num_others_N[reference])
    negative = _beside(num_neutral + negative, start_N[reference], size_N[reference])
    return np.stack([reference, positive, negative], axis=1)


def _by_degree(samples: _Sorted, most: int, rng: np.random.Generator) -> np.ndarray:
    place_R = np.flatnonzero(_has_other_degrees(samples))
    degree_R = samples.degree_N[place_R]
    start_R, size_R = _stretches(samples.start_N[place_R])
    num_candidates_R = (size_R - 1) * (size_R - 2)
    num_drawn, enough = most, min(int(num_candidates_R.sum()), max(_MOST_DRAWN, 4 * most))
    while True:
        reference, rank = _ranks(num_candidates_R, num_drawn, rng)
        positive, negative = np.divmod(rank, size_R[reference] - 2)
        positive = _beside(start_R[reference] + positive, reference)
        negative = _beside(start_R[reference] + negative, np.minimum(reference, positive))
        negative = _beside(negative, np.maximum(reference, positive))
        nearer, farther = (np.abs(degree_R[other] - degree_R[reference]) for other in (positive, negative))
        kept = nearer + _ROUNDING < farther
        if kept.sum() >= most or num_drawn >= enough:
            return place_R[np.stack([reference, positive, negative], axis=1)[kept][:most]]
        num_drawn *= 4


def _has_other_degrees(samples: _Sorted) -> np.ndarray:
    """Samples (N,) of known degree whose expression is known in more than one."""
    known = ~np.isnan(samples.degree_N)
    stretches, inverse = np.unique(samples.start_N, return_inverse=True)
    lowest, highest = np.full(len(stretches), np.inf), np.full(len(stretches), -np.inf)
    np.minimum.at(lowest, inverse[known], samples.degree_N[known])
    np.maximum.at(highest, inverse[known], samples.degree_N[known])
    return known & (highest > lowest + _ROUNDING)[inverse]


def _ranks(num_candidates_R: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Up to `most` distinct candidates, each as likely: the reference and its how-manieth candidate."""
    ends_R = np.cumsum(num_candidates_R)
    total = int(ends_R[-1]) if len(ends_R) else 0
    drawn = rng.choice(total, min(most, total), replace=False) if total else np.empty(0, np.int64)
    reference = np.searchsorted(ends_R, drawn, side="right")
    return reference, drawn - (ends_R - num_candidates_R)[reference]


def _beside(place: np.ndarray, start: np.ndarray, size: np.ndarray | int = 1) -> np.ndarray:
    """Places counted with a gap: from `start` on, `size` are left out."""
    return place + size * (place >= start)


def _without(triplets_T3: np.ndarray, taken_M3: np.ndarray, num_samples: int) -> np.ndarray:
    if num_samples**3 > np.iinfo(np.int64).max:
        raise InputError(f"triplets are made of at most two million samples, not of {num_samples}; take a part of them")
    weights = np.array([num_samples**2, num_samples, 1])
    return triplets_T3[~np.isin(triplets_T3 @ weights, taken_M3 @ weights)]


def _shares(num_found: list[int], num_shown: int, num_triplets: int) -> list[int]:
    """How many triplets of each rule: equal as far as there are, and those that show every sample in any case."""
    if sum(num_found) < num_triplets:
        raise InputError(f"{num_triplets} triplets were asked for, but only {sum(num_found)} were found; ask for fewer")
    least, most = np.array([num_shown, 0, 0]), np.array(num_found)
    level = bisect_right(range(num_triplets + 1), num_triplets, key=lambda level: np.clip(level, least, most).sum()) - 1
    shares, larger = np.clip(level, least, most), np.clip(level + 1, least, most)
    odd = num_triplets - shares.sum()
    shares[np.flatnonzero(larger > shares)[:odd]] += 1
    return shares.tolist()
