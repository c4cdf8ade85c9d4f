"""Has what a model is used on drifted from what it was tested on? Two-sample tests by permutation.

Pictures of one person, or frames of one video, are alike, so groups and not rows are permuted, and no group counts with
more rows than is usual in the sample that has the smaller groups. What no test can see: whether the model is still
right; and with groups that are wrongly told apart (one person under several names) it sees drift too often.
Legend: N rows of one sample, T of both, D embedding size, P permutations, C classes.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

PERMUTATIONS = 1999
LEAST_ALPHA = 2 * 2 / (PERMUTATIONS + 1)
"""Two tests at a lower level could hardly fire: the smallest p value is 1 / (P + 1)."""
LEAST_GROUPS = 10
MOST_ROWS = 1000
"""Of a sample: the distances of all pairs are held, and more rows find differences too small to matter."""


class Sample(NamedTuple):
    """Rows that one model has embedded.

    Attributes:
        embedding_ND: floats.
        label_N: the expression that the model says of each, strings.
        group_N: what belongs together: a person, a video; strings or numbers.
    """

    embedding_ND: np.ndarray
    label_N: np.ndarray
    group_N: np.ndarray

    @property
    def num_groups(self) -> int:
        """How many independent units there are."""
        return len(np.unique(self.group_N))

    def rows(self, chosen: np.ndarray) -> "Sample":
        """Some of them."""
        return Sample(*(column[chosen] for column in self))


@dataclass(frozen=True)
class Shift:
    """What one test says.

    Attributes:
        kind: embeddings: the energy distance of the two samples; classes: chi-square of the counts of what is said.
        statistic: of the two samples.
        size: how large the shift is, from 0 to 1: of embeddings the energy distance as a share of the mean distance
            between the samples (Szekely and Rizzo's coefficient); of classes the share of rows that would have to
            change class.
        p_value: by permutation.
        adjusted_p: of the tests together, by Holm.
    """

    kind: Literal["embeddings", "classes"]
    statistic: float
    size: float
    p_value: float
    adjusted_p: float


@dataclass(frozen=True)
class Drift:
    """Two samples as they were compared, and what the tests say."""

    reference: Sample
    recent: Sample
    shifts: tuple[Shift, Shift]


def too_few(reference: Sample, recent: Sample) -> str | None:
    """Why nothing can be told of two samples, or None."""
    for name, sample in (("the reference", reference), ("what was scored", recent)):
        if sample.num_groups < LEAST_GROUPS:
            return f"{name} has {sample.num_groups} people, videos or pictures apart; {LEAST_GROUPS} are needed"
    return None


def compare(reference: Sample, recent: Sample, seed: int, permutations: int = PERMUTATIONS) -> Drift:
    """Test whether two samples are of one distribution, in embeddings and in classes.

    The energy distance (Szekely and Rizzo 2004) of raw embeddings is compared: it needs no bandwidth, and in the sizes
    that are usual here it finds shifts as well as a kernel test (MMD, median heuristic) does. Permuted are groups, the
    same way for both tests.

    Args:
        seed: of the rows that are drawn and of the permutations.

    Raises:
        ValueError: see too_few, or embeddings of two sizes.
    """
    reason = too_few(reference, recent)
    if reason is not None:
        raise ValueError(reason)
    if reference.embedding_ND.shape[1] != recent.embedding_ND.shape[1]:
        raise ValueError("The embeddings are of two sizes, so of two models.")
    rng = np.random.default_rng(seed)
    most_of_a_group = max(1, int(min(np.median(_group_sizes(sample)) for sample in (reference, recent))))
    reference, recent = (drawn(sample, most_of_a_group, rng) for sample in (reference, recent))
    is_recent_PT = permuted(reference.group_N, recent.group_N, permutations, rng)
    distance_TT = distances(np.concatenate([reference.embedding_ND, recent.embedding_ND]).astype(np.float64))
    counted_TC = _one_hot(np.concatenate([reference.label_N, recent.label_N]))
    energy_P = energy(distance_TT, is_recent_PT)
    chi_square_P = chi_square(counted_TC, is_recent_PT)
    p_values = [_share_as_large(statistic_P) for statistic_P in (energy_P, chi_square_P)]
    sizes = _energy_size(distance_TT, is_recent_PT[0], energy_P[0]), _moved(counted_TC, is_recent_PT[0])
    found = zip(("embeddings", "classes"), (energy_P[0], chi_square_P[0]), sizes, p_values, holm(p_values), strict=True)
    embeddings, classes = (Shift(kind, *map(float, values)) for kind, *values in found)  # type: ignore[arg-type]
    return Drift(reference, recent, (embeddings, classes))


def drawn(sample: Sample, most_of_a_group: int, rng: np.random.Generator) -> Sample:
    """At most so many rows of each group, group after group in random order, at most MOST_ROWS in all."""
    shuffled = rng.permutation(len(sample.group_N))
    _, group_N = np.unique(sample.group_N[shuffled], return_inverse=True)
    order = np.argsort(rng.permutation(group_N.max() + 1)[group_N], kind="stable")
    own_N = group_N[order]
    first_N = np.flatnonzero(np.r_[True, own_N[1:] != own_N[:-1]])
    place_N = np.arange(len(own_N)) - np.repeat(first_N, np.diff(np.r_[first_N, len(own_N)]))
    kept = order[place_N < most_of_a_group][:MOST_ROWS]
    return sample.rows(shuffled[kept])


def permuted(
    reference_group_N: np.ndarray, recent_group_M: np.ndarray, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """Which rows of both are called recent, float64 (1 + P, T): first as they are, then with the groups permuted."""
    _, reference_N = np.unique(reference_group_N, return_inverse=True)
    _, recent_M = np.unique(recent_group_M, return_inverse=True)
    num_reference = reference_N.max() + 1
    group_T = np.concatenate([reference_N, num_reference + recent_M])
    is_recent_G = np.arange(group_T.max() + 1) >= num_reference
    draws_PG = rng.permuted(np.tile(is_recent_G, (permutations, 1)), axis=1)
    return np.concatenate([is_recent_G[None], draws_PG])[:, group_T].astype(np.float64)


def distances(embedding_TD: np.ndarray) -> np.ndarray:
    """Euclidean (T, T), float64; exactly 0 on the diagonal."""
    centred_TD = embedding_TD - embedding_TD.mean(axis=0)
    square_T = np.square(centred_TD).sum(axis=1)
    square_TT = square_T[:, None] + square_T - 2 * centred_TD @ centred_TD.T
    np.fill_diagonal(square_TT, 0)
    return np.sqrt(np.maximum(square_TT, 0))


def energy(distance_TT: np.ndarray, is_recent_PT: np.ndarray) -> np.ndarray:
    """The energy distance (P,) for each way of calling rows recent: 2 E|X-Y| - E|X-X'| - E|Y-Y'|, 0 or more."""
    num_P = is_recent_PT.sum(axis=1)
    rest_P = len(distance_TT) - num_P
    from_all_P = is_recent_PT @ distance_TT.sum(axis=1)
    within_P = ((is_recent_PT @ distance_TT) * is_recent_PT).sum(axis=1)
    between_P = from_all_P - within_P
    of_rest_P = distance_TT.sum() - from_all_P - between_P
    return 2 * between_P / (num_P * rest_P) - within_P / num_P**2 - of_rest_P / rest_P**2


def chi_square(counted_TC: np.ndarray, is_recent_PT: np.ndarray) -> np.ndarray:
    """Pearson's statistic of homogeneity (P,) of the class counts of recent rows and the others."""
    recent_PC = is_recent_PT @ counted_TC
    total_C = counted_TC.sum(axis=0)
    share_P1 = is_recent_PT.mean(axis=1, keepdims=True)
    return (np.square(recent_PC - share_P1 * total_C) / (share_P1 * (1 - share_P1) * total_C)).sum(axis=1)


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjusted p values, in the order given: each may be held against the level as if it were the only one."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, at in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def _group_sizes(sample: Sample) -> np.ndarray:
    return np.unique(sample.group_N, return_counts=True)[1]


def _one_hot(label_T: np.ndarray) -> np.ndarray:
    names, index_T = np.unique(label_T, return_inverse=True)
    return np.eye(len(names))[index_T]


def _share_as_large(statistic_P: np.ndarray) -> float:
    """The p value; the first statistic is counted among them, so it is never 0; what differs by rounding is equal."""
    tolerance = 1e-9 * np.abs(statistic_P).max()
    return float((statistic_P >= statistic_P[0] - tolerance).mean())


def _energy_size(distance_TT: np.ndarray, is_recent_T: np.ndarray, statistic: float) -> float:
    between = distance_TT[np.ix_(is_recent_T == 1, is_recent_T == 0)].mean()
    return 0.0 if between == 0 else statistic / (2 * between)


def _moved(counted_TC: np.ndarray, is_recent_T: np.ndarray) -> float:
    recent_C, rest_C = (counted_TC[is_recent_T == one].mean(axis=0) for one in (1, 0))
    return float(np.abs(recent_C - rest_C).sum() / 2)
