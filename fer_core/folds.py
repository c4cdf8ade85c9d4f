"""Who is tested on: subject-disjoint parts as a pure function of ids and a seed."""

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from fer_core.errors import InputError

HOLD_OUT_SHARE = 0.2
HOLD_OUT_SEED = 20
"""Fixed: the rows that champions are compared on must not move with the seed of a run."""
VALIDATION_SHARE, VALIDATION_SEED = 0.125, 21
"""Of the training groups: a tenth of all, beside the fifth that is tested on."""


class Part(NamedTuple):
    """Which rows are tested on: the official split or the hold-out (`fold` None), or fold `fold` of `folds`."""

    fold: int | None = None
    folds: int | None = None


def groups_of(subjects: Sequence[str | None], sequences: Sequence[str | None], ids: Sequence[str]) -> list[str]:
    """What must stay together: the subject, else the sequence, else the picture itself."""
    return [subject or sequence or own for subject, sequence, own in zip(subjects, sequences, ids, strict=True)]


def fold_of_groups(groups: Sequence[str], num_folds: int, seed: int) -> np.ndarray:
    """The fold 0..num_folds-1 of each row, int64 (N,).

    The distinct groups, in the order of a keyed hash of their names, are dealt to the folds in turn: folds hold equal
    numbers of subjects, and the order of the rows does not matter.

    Raises:
        InputError: there are fewer groups than folds.
    """
    distinct = sorted(set(groups), key=lambda group: _keyed_hash(group, seed))
    if num_folds < 2 or len(distinct) < num_folds:
        raise InputError(
            f"{len(distinct)} subjects cannot be dealt to {num_folds} folds; use --folds from 2 to {len(distinct)}"
        )
    fold_of = {group: place % num_folds for place, group in enumerate(distinct)}
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def hold_out(groups: Sequence[str], share: float = HOLD_OUT_SHARE, seed: int = HOLD_OUT_SEED) -> np.ndarray:
    """Which rows are held out for testing, bool (N,): about that share of the groups, at least one.

    Goes by each group's own hash, so people who join the data set later move nobody from training to test.
    """
    hash_of = {group: _keyed_hash(group, seed) for group in groups}
    share = max(share, min(hash_of.values()))
    return np.array([hash_of[group] <= share for group in groups], dtype=bool)


def with_validation(
    roles: Sequence[Literal["train", "valid", "test"]], groups: Sequence[str]
) -> list[Literal["train", "valid", "test"]]:
    """These roles with about an eighth of the training groups validated on, where no row is yet.

    Raises:
        InputError: the training rows are of one group.
    """
    if "valid" in roles:
        return list(roles)
    train = [at for at, role in enumerate(roles) if role == "train"]
    own = [groups[at] for at in train]
    if len(set(own)) < 2:
        raise InputError("the training rows are of one subject, so none can be kept for validation")
    made = list(roles)
    for at, held in zip(train, hold_out(own, VALIDATION_SHARE, VALIDATION_SEED).tolist(), strict=True):
        if held:
            made[at] = "valid"
    return made


def roles(
    splits: Sequence[str | None], groups: Sequence[str], part: Part, seed: int
) -> list[Literal["train", "valid", "test"]]:
    """The role of each row in a run: its official split, else by `part`.

    Where the official split has no public test part (AffectNet, SFEW), the validation part is what is tested on.

    Raises:
        InputError: folds of a data set with an official split, or a part that leaves nothing to train or test on.
    """
    official = any(split is not None for split in splits)
    if part.folds is not None:
        if official:
            raise InputError("this data set has an official split, so --folds does not apply; leave it out")
        tested = fold_of_groups(groups, part.folds, seed) == part.fold
    elif official:
        tested = None
    else:
        tested = hold_out(groups)
    made: list[str | None] = list(splits)
    if tested is not None:
        made = ["test" if test else "train" for test in tested]
    elif "test" not in splits:
        made = ["test" if split == "valid" else split for split in splits]
    for role in ("train", "test"):
        if role not in made:
            why = (
                "the official split has none" if official else f"{len(set(groups))} subjects are too few to be divided"
            )
            raise InputError(f"no row is left to {role} on: {why}")
    return made  # type: ignore[return-value]


def _keyed_hash(group: str, seed: int) -> float:
    """A number in [0, 1) from the sha256 of the group's name and a seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{group}".encode()).digest()[:8], "big") / 2**64
