"""As few triplets as show every sample once: two samples of one expression against one of another.

Legend: N samples, C expressions, M triplets. `code_N` are expressions 0..C-1, each of them present.
"""

import numpy as np

from fer_core.errors import InputError


def covering_triplets(code_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Triplets int64 (M, 3) of reference, positive (same expression), negative (another), with every sample in one.

    M is ceil(N / 3) where the sizes of the expressions allow it. It is more where one expression has over two thirds of
    the samples, or where several have a single one.

    Raises InputError unless there are two expressions, one of them with two samples.
    """
    size_C = np.bincount(code_N)
    if len(size_C) < 2 or size_C.max() < 2:
        raise InputError(
            f"no triplet can be made of {len(code_N)} samples of {len(size_C)} expressions; "
            "two expressions are needed, one of them with two samples"
        )
    num_triplets, negatives_C = _shares(size_C)
    pairs, negatives = _dealt(code_N, negatives_C, rng)
    none = np.full(num_triplets, -1)
    reference, positive, negative = none.copy(), none.copy(), none.copy()
    reference[: len(pairs)], positive[: len(pairs)] = pairs.T
    negative[num_triplets - len(negatives) :] = negatives
    _part(reference, negative, np.append(code_N, -1), len(size_C), rng)
    _fill(reference, positive, negative, code_N, size_C, rng)
    return np.stack([reference, positive, negative], axis=1)


def _shares(size_C: np.ndarray) -> tuple[int, np.ndarray]:
    """How many triplets, and how many samples of each expression are negatives; the others are paired.

    An expression with n samples, y of them negatives, has (n - y) / 2 triplets of its own and needs y others: so
    n + y <= 2 M. That all pairs fit needs at least N - 2 M negatives in all.
    """
    num_samples, pairing_C = size_C.sum(), size_C >= 2
    most_C = np.where(pairing_C.sum() > pairing_C, size_C, 0)  # a negative needs a pair of another expression
    least_C = np.minimum(size_C % 2, most_C)
    num_triplets = int(max(-(-num_samples // 3), -(-size_C.max() // 2), least_C.sum()))
    steps_C = (np.minimum(most_C, 2 * num_triplets - size_C) - least_C) // 2
    wanted = max(0, num_samples - 2 * num_triplets - least_C.sum()) // 2
    return num_triplets, least_C + 2 * np.diff(np.minimum(np.cumsum(steps_C), wanted), prepend=0)


def _dealt(code_N: np.ndarray, negatives_C: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (P, 2) and negatives, in random order; where an odd sample is left, it is paired with one of its own."""
    pairs, negatives = [], []
    for code, num_negatives in enumerate(negatives_C):
        members = rng.permutation(np.flatnonzero(code_N == code))
        negatives.append(members[:num_negatives])
        paired = members[num_negatives:]
        pairs.append(np.append(paired, paired[: len(paired) % 2]).reshape(-1, 2))
    return rng.permutation(np.concatenate(pairs)), rng.permutation(np.concatenate(negatives))


def _part(
    reference: np.ndarray, negative: np.ndarray, code: np.ndarray, num_codes: int, rng: np.random.Generator
) -> None:
    """Exchange negatives until none meets its own expression. -1 (to be filled) has code -1.

    For each expression the places free of it on both sides are at least as many as its conflicts, by `_shares`.
    """
    for own in range(num_codes):
        conflicts = np.flatnonzero((code[reference] == own) & (code[negative] == own))
        free = np.flatnonzero((code[reference] != own) & (code[negative] != own))
        taken = rng.choice(free, len(conflicts), replace=False)
        negative[conflicts], negative[taken] = negative[taken], negative[conflicts]


def _fill(
    reference: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray,
    code_N: np.ndarray,
    size_C: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Put samples that are shown elsewhere into the places that are left."""
    open_negative, open_pair = np.flatnonzero(negative < 0), np.flatnonzero(reference < 0)
    for own in range(len(size_C)):
        at = open_negative[code_N[reference[open_negative]] == own]
        negative[at] = rng.choice(np.flatnonzero(code_N != own), len(at))
        at = open_pair[code_N[negative[open_pair]] == own]
        if len(at):
            reference[at] = rng.choice(np.flatnonzero((code_N != own) & (size_C[code_N] >= 2)), len(at))
    for at in open_pair:
        others = np.flatnonzero(code_N == code_N[reference[at]])
        positive[at] = rng.choice(others[others != reference[at]])
