"""Triplets that people judge (Landmark VAE, section IV-B): what to ask, and what five answers say.

Legend: N samples, V triplets that were voted on, T triplets to ask. Samples are positions 0..N-1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fer_core.errors import InputError
from fer_core.tuples.labels import Labels, check_lengths, coded

NUM_ANSWERS = 5
DIFFERENCES = (5, 3, 1)
"""Votes for the one minus votes for the other, where five people answered: 5:0, 4:1 and 3:2."""
_MOST_TRIES = 1000


class HumanTriplets(NamedTuple):
    """`triplets_V3` int64 (reference, positive, negative); `weight_V` int64, the difference of votes: 5, 3 or 1."""

    triplets_V3: np.ndarray
    weight_V: np.ndarray


def human_triplets(votes_V5: np.ndarray) -> HumanTriplets:
    """Triplets from the answers: rows of reference, a, b, votes for a, votes for b.

    The one with more votes is the positive, and the weight is the difference of votes (the reliability of the paper).
    Rows keep their order.

    Raises:
        InputError: a row without exactly five answers (a tie among them), or with a sample twice; it is named.
        ValueError: not integers with five columns.
    """
    votes_V5 = np.asarray(votes_V5)
    if votes_V5.ndim != 2 or votes_V5.shape[1] != 5 or not np.issubdtype(votes_V5.dtype, np.integer):
        raise ValueError(f"votes have shape {votes_V5.shape} and type {votes_V5.dtype}; integers (V, 5) are needed")
    reference, a, b, votes_a, votes_b = votes_V5.astype(np.int64).T
    _refuse((votes_a < 0) | (votes_b < 0) | (votes_a + votes_b != NUM_ANSWERS), votes_V5, f"needs {NUM_ANSWERS} votes")
    _refuse((reference == a) | (reference == b) | (a == b), votes_V5, "needs three different samples")
    nearer, farther = np.where(votes_a > votes_b, [a, b], [b, a])
    return HumanTriplets(np.stack([reference, nearer, farther], axis=1), np.abs(votes_a - votes_b))


def _refuse(bad_V: np.ndarray, votes_V5: np.ndarray, need: str) -> None:
    if bad_V.any():
        row = int(bad_V.argmax())
        reference, a, b, votes_a, votes_b = votes_V5[row].tolist()
        raise InputError(f"row {row} of the votes (reference {reference}; {a}: {votes_a}, {b}: {votes_b}) {need}")


def agreement(triplets: HumanTriplets, split_N: Labels) -> dict[Any, dict[int, int]]:
    """The agreement table (table I): how many triplets of each split have each difference 5, 3, 1.

    A triplet counts in the split of its reference; every split of `split_N` has its row, in order of first appearance.
    Raises InputError where a sample has no split.
    """
    splits = coded(split_N, "split")
    split_V = splits.code_N[triplets.triplets_V3[:, 0]]
    return {
        name: {
            difference: int(np.sum((split_V == code) & (triplets.weight_V == difference))) for difference in DIFFERENCES
        }
        for code, name in enumerate(splits.names)
    }


def samples_to_ask(
    subject_N: Labels, action_units_N: Sequence[frozenset[int] | None], blink_N: Sequence[bool] | np.ndarray, seed: int
) -> np.ndarray:
    """Positions, int64 ascending, of one sample for each person and unique combination of action units.

    Frames without annotation (None) and blinks are never chosen; a combination seen in blinks only is left out. Which
    frame stands for its combination is drawn by `seed`.

    Raises:
        InputError: a subject is missing.
        ValueError: columns of different lengths.
    """
    check_lengths(subject=subject_N, action_units=action_units_N, blink=blink_N)
    subject_code_N = coded(subject_N, "subject").code_N
    code_of: dict[frozenset[int] | None, int] = {}
    units_code_N = np.array([code_of.setdefault(units, len(code_of)) for units in action_units_N], dtype=np.int64)
    usable_N = ~np.asarray(blink_N, dtype=bool) & (units_code_N != code_of.get(None, -1))
    shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(usable_N))
    pairs = np.stack([subject_code_N[shuffled], units_code_N[shuffled]], axis=1)
    return np.sort(shuffled[np.unique(pairs, axis=0, return_index=True)[1]])


def triplets_to_ask(num_samples: int, per_sample: int = 6, seed: int = 0) -> np.ndarray:
    """Questions int64 (T, 3): reference and the two that are compared with it; each sample is in exactly `per_sample`.

    T = num_samples * per_sample / 3, and each sample is the reference of a third of its questions. The samples are put
    in a circle at random, and each is asked about with the next two; this is done per_sample / 3 times. No question
    comes twice, not even with its two answers exchanged.

    Raises:
        InputError: there are too few samples for so many different questions.
        ValueError: `per_sample` is no positive multiple of 3.
    """
    if per_sample < 3 or per_sample % 3:
        raise ValueError(f"per_sample is {per_sample}; a positive multiple of 3 is needed")
    rng = np.random.default_rng(seed)
    rounds: list[np.ndarray] = []
    for _ in range(_MOST_TRIES if num_samples >= 3 else 0):
        circle = rng.permutation(num_samples)
        rounds.append(np.stack([circle, np.roll(circle, -1), np.roll(circle, -2)], axis=1))
        if _repeats(np.concatenate(rounds)):
            rounds.pop()
        elif len(rounds) == per_sample // 3:
            return np.concatenate(rounds)
    raise InputError(f"{num_samples} samples are too few for {per_sample} different triplets each; give more samples")


def _repeats(questions_T3: np.ndarray) -> bool:
    same_answers = np.column_stack([questions_T3[:, 0], np.sort(questions_T3[:, 1:], axis=1)])
    return len(np.unique(same_answers, axis=0)) < len(questions_T3)
