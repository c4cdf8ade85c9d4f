"""Evaluating face verification: pairs of test pictures, what a model says of them, metrics with intervals.

N test pictures, P pairs, R resamples, T thresholds, D embedding size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fer_core.datasets.base import Pair
from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import Interval, SubjectBootstrap
from fer_core.evaluation.verification import Verification, pair_distances, verification

MOST_PAIRS, MOST_FOLDS = 6000, 10
"""Of pairs that are made where the data set prescribes none: as many as LFW's."""


@dataclass(frozen=True, eq=False)
class IndexPairs:
    """Pairs of pictures, by their positions among the test pictures. Arrays are (P,).

    Attributes:
        first, second: int64, positions.
        same: bool, whether both show one person.
        fold: int64, from 0 on.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    fold: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


class LeftOut(NamedTuple):
    """How many pairs of a protocol are not tested, of one person and of two."""

    same: int
    different: int


@dataclass(frozen=True, eq=False)
class PairAssessment:
    """What a model did on the pairs.

    Attributes:
        metrics: pair_accuracy, auc, eer, tar_at_far_0.01, _0.001 and _0.0001, each with its 95 % interval. A TAR at a
            FAR that the pairs of different people are too few for is left out.
        measured: the same without intervals, with the folds' thresholds and the ROC curve.
        table: one row a pair: sample_id (both, with a bar between), subject (of the first), truth and decision (same or
            different; decided with the threshold of the fold), distance (squared), fold.
    """

    metrics: dict[str, Interval]
    measured: Verification
    table: pa.Table


def protocol_pairs(pairs: Sequence[Pair], source_path_N: np.ndarray, rows: np.ndarray) -> tuple[IndexPairs, LeftOut]:
    """The pairs of a data set's protocol that can be tested: both pictures are among the test rows.

    Args:
        source_path_N: of all rows.
        rows: which of these are tested; the positions of the pairs count among them.

    Returns:
        The pairs in the protocol's order, with its folds, and the numbers of those left out.

    Raises:
        InputError: no pair is left.
        ValueError: two test rows are of one source path.
    """
    paths = source_path_N[rows].tolist()
    position_of = {path: position for position, path in enumerate(paths)}
    if len(position_of) < len(paths):
        raise ValueError(f"{len(paths)} test rows are of {len(position_of)} source paths: give upright rows alone")
    kept = [pair for pair in pairs if pair.first in position_of and pair.second in position_of]
    if not kept:
        raise InputError(
            f"none of the protocol's {len(pairs)} pairs has both pictures among the test rows: use --folds, or the "
            "data set's split for pairs where it has one"
        )
    first, second = [position_of[pair.first] for pair in kept], [position_of[pair.second] for pair in kept]
    num_same, num_kept_same = (sum(pair.same for pair in some) for some in (pairs, kept))
    num_same_left = num_same - num_kept_same
    left_out = LeftOut(num_same_left, len(pairs) - len(kept) - num_same_left)
    return _index_pairs(first, second, [pair.same for pair in kept], [pair.fold for pair in kept]), left_out


def usual_pairs(identity_N: np.ndarray, seed: int) -> IndexPairs:
    """Pairs of test pictures as `make_pairs` makes them: as many as LFW's, in fewer folds of fewer than 20 people.

    Raises:
        InputError: as `make_pairs`.
    """
    num_folds = min(MOST_FOLDS, max(2, len(np.unique(identity_N)) // 2))
    return make_pairs(identity_N, MOST_PAIRS, num_folds, seed)


def make_pairs(identity_N: np.ndarray, num_pairs: int, num_folds: int, seed: int) -> IndexPairs:
    """Pairs of test pictures for a data set that prescribes none.

    The people are dealt to the folds at random, so nobody is in two of them. A fold has as many pairs of one person as
    of two. All differ, and they are spread evenly: of one person over the people with two pictures and more, of two
    over the pairs of people. Ours; LFW draws people and pictures at random.

    Args:
        identity_N: int, who is on each test picture; negative where that is not known.
        num_pairs: how many in all, at most; a fold whose pictures give fewer has fewer.
        num_folds: at least 2.
        seed: of all that is drawn.

    Raises:
        InputError: the people are too few for so many folds.
    """
    rng = np.random.default_rng(seed)
    known_N = np.flatnonzero(identity_N >= 0)
    own = known_N[np.argsort(identity_N[known_N], kind="stable")]
    people = np.split(own, np.flatnonzero(np.diff(identity_N[own])) + 1) if len(own) else []
    folds = _folds(people, num_folds, rng)
    per_kind = num_pairs // (2 * num_folds)
    made = [_of_fold(members, fold, per_kind, rng) for fold, members in enumerate(folds)]
    first, second, same, fold = (list(chain.from_iterable(column)) for column in zip(*made, strict=True))
    return _index_pairs(first, second, same, fold)


def _folds(people: list[np.ndarray], num_folds: int, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """The pictures of each person of each fold; the people of several pictures are dealt first."""
    several = sum(len(pictures) > 1 for pictures in people)
    if num_folds < 2 or several < num_folds or len(people) < 2 * num_folds:
        raise InputError(
            f"{len(people)} test people, {several} of them with several pictures, are too few for {num_folds} folds of "
            "pairs: test on more people"
        )
    shuffled = sorted((people[place] for place in rng.permutation(len(people))), key=lambda own: len(own) == 1)
    return [shuffled[fold::num_folds] for fold in range(num_folds)]


_Columns = tuple[list[int], list[int], list[bool], list[int]]


def _of_fold(people: list[np.ndarray], fold: int, per_kind: int, rng: np.random.Generator) -> _Columns:
    """First, second, same and fold of the pairs of a fold."""
    several = [own for own in people if len(own) > 1]
    couples = _couples(len(people), per_kind)
    within = [len(own) * (len(own) - 1) // 2 for own in several]
    across = [len(people[one]) * len(people[other]) for one, other in couples]
    wanted = min(per_kind, sum(within), sum(across))
    pairs: list[tuple[int, int]] = []
    for own, count in zip(several, _dealt(within, wanted, rng), strict=True):
        first, second = _under_diagonal(rng.choice(len(own) * (len(own) - 1) // 2, count, replace=False))
        pairs += zip(own[first].tolist(), own[second].tolist(), strict=True)
    for (one, other), count in zip(couples, _dealt(across, wanted, rng), strict=True):
        chosen = rng.choice(len(people[one]) * len(people[other]), count, replace=False)
        first, second = np.divmod(chosen, len(people[other]))
        pairs += zip(people[one][first].tolist(), people[other][second].tolist(), strict=True)
    first_of, second_of = ([pair[side] for pair in pairs] for side in (0, 1))
    return first_of, second_of, [True] * wanted + [False] * wanted, [fold] * 2 * wanted


def _under_diagonal(at_X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(column, row) of the entries number `at` below a matrix's diagonal, counted row by row."""
    row_X = np.floor((1 + np.sqrt(1 + 8 * at_X)) / 2).astype(np.int64)
    return at_X - row_X * (row_X - 1) // 2, row_X


def _couples(num_people: int, most: int) -> list[tuple[int, int]]:
    """Up to `most` different pairs of people: all neighbours in a ring, then all at the second place, and so on.

    Everybody is in as many, give or take one, and is as often the first as the second.
    """
    count = min(most, num_people * (num_people - 1) // 2)
    return [(at % num_people, (at % num_people + at // num_people + 1) % num_people) for at in range(count)]


def _dealt(capacities: list[int], wanted: int, rng: np.random.Generator) -> list[int]:
    """How many of `wanted` each gets: one each in turn, in a shuffled order, while it has room."""
    order = rng.permutation(len(capacities))
    room, given = np.array(capacities, dtype=np.int64)[order], np.zeros(len(capacities), dtype=np.int64)
    while wanted > 0:
        open_places = np.flatnonzero(room > given)
        each = max(1, min(wanted // len(open_places), int((room - given)[open_places].min())))
        given[open_places[:wanted]] += each
        wanted -= each * min(wanted, len(open_places))
    return given[np.argsort(order)].tolist()


def _index_pairs(first: list[int], second: list[int], same: list[bool], fold: list[int]) -> IndexPairs:
    return IndexPairs(np.array(first), np.array(second), np.array(same, dtype=bool), np.array(fold))


def assess_pairs(
    embedding_ND: np.ndarray,
    sample_id_N: np.ndarray,
    subject_N: np.ndarray,
    pairs: IndexPairs,
    seed: int,
    resamples: int = 1000,
) -> PairAssessment:
    """Measure a model on pairs of its test pictures.

    Intervals resample people: a pair of one person counts as often as that person was drawn, a pair of two as often as
    the one times as often as the other. That is on the safe side: in a simulation of the AUC 99 % of the intervals held
    the truth with LFW's pairs of five folds, 99 % with made pairs of 60 and 200 people, 90 % with those of 14. To draw
    folds gave 80 to 83 % with LFW's, to draw the people of the first pictures alone 94 % there, but down to 66 % where
    few people are in many pairs. The decisions stay as they are; pair_accuracy is the mean over the folds, and its
    resamples are of all pairs at once.

    Args:
        embedding_ND: of the test pictures.
        sample_id_N, subject_N: strings.
        pairs: of positions among them.
        seed: of the resampling.
        resamples: how many.

    Raises:
        ValueError: as evaluation.verification.
    """
    distance_P = pair_distances(embedding_ND, pairs.first, pairs.second)
    measured = verification(distance_P, pairs.same, pairs.fold)
    threshold_P = measured.thresholds[np.searchsorted(measured.folds, pairs.fold)]
    says_same_P = distance_P <= threshold_P
    people_2P = np.concatenate([subject_N[pairs.first], subject_N[pairs.second]])
    bootstrap = SubjectBootstrap(people_2P, seed, resamples)
    metrics = _metrics(measured, distance_P, says_same_P == pairs.same, pairs.same, bootstrap)
    words = np.array(["different", "same"])
    both = [f"{one}|{other}" for one, other in zip(sample_id_N[pairs.first], sample_id_N[pairs.second], strict=True)]
    table = pa.table(
        {
            "sample_id": both,
            "subject": subject_N[pairs.first],
            "truth": words[pairs.same.astype(int)],
            "decision": words[says_same_P.astype(int)],
            "distance": distance_P,
            "fold": pairs.fold,
        }
    )
    return PairAssessment(metrics, measured, table)


def _metrics(
    measured: Verification, distance_P: np.ndarray, right_P: np.ndarray, same_P: np.ndarray, bootstrap: SubjectBootstrap
) -> dict[str, Interval]:
    """Accuracy, AUC, EER and those TAR at FAR that can be told, with their intervals."""
    told = {far: tar for far, tar in measured.tar_at_far.items() if tar is not None}
    values = {"pair_accuracy": measured.accuracy, "auc": measured.auc, "eer": measured.eer}
    values |= {f"tar_at_far_{far:g}": tar for far, tar in told.items()}
    draws = []
    for weights_R2P in bootstrap.weights():
        first_RP, second_RP = np.split(weights_R2P, 2, axis=1)
        weight_RP = np.where(same_P, first_RP, first_RP * second_RP)
        draws.append(_resampled(distance_P, right_P, same_P, weight_RP, list(told)))
    columns = zip(values.items(), np.concatenate(draws).T, strict=True)
    return {name: bootstrap.interval(value, draws_R) for (name, value), draws_R in columns}


def _resampled(
    distance_P: np.ndarray, right_P: np.ndarray, same_P: np.ndarray, weight_RP: np.ndarray, fars: list[float]
) -> np.ndarray:
    """(R, 3 + fars): accuracy, AUC, EER and the TARs of pairs that count as often as their weights say.

    Resamples without a pair of one person, or of two, say nothing and are left out.
    """
    weight_RP = weight_RP[(weight_RP @ same_P > 0) & (weight_RP @ ~same_P > 0)]
    accuracy_R = weight_RP @ right_P / weight_RP.sum(axis=1)
    order = np.argsort(distance_P)
    last = np.flatnonzero(np.diff(distance_P[order], append=np.inf))  # of equal distances
    same_RT, different_RT = (
        np.pad((weight_RP[:, order] * kind_P[order]).cumsum(axis=1)[:, last], ((0, 0), (1, 0)))
        for kind_P in (same_P, ~same_P)
    )
    tar_RT, far_RT = same_RT / same_RT[:, -1:], different_RT / different_RT[:, -1:]
    auc_R = np.trapezoid(tar_RT, far_RT, axis=1)
    eer_R = [np.interp(1.0, far_T + tar_T, far_T) for far_T, tar_T in zip(far_RT, tar_RT, strict=True)]
    tars = [np.where(far_RT <= far, tar_RT, 0).max(axis=1) for far in fars]
    return np.column_stack([accuracy_R, auc_R, np.array(eer_R), *tars])
