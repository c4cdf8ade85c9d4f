"""Who is tested on: subject-disjoint parts as a pure function of ids and a seed."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from fer_core.datasets.base import Pair
from fer_core.errors import InputError
from fer_core.files import digest_of

HOLD_OUT_SHARE = 0.2
HOLD_OUT_SEED = 20
"""Fixed: the rows that champions are compared on must not move with the seed of a run."""
VALIDATION_SHARE, VALIDATION_SEED = 0.125, 21
"""Of the training groups: a tenth of all, beside the fifth that is tested on."""


class Part(NamedTuple):
    """Which rows are tested on: the official split or the hold-out (`fold` None), or fold `fold` of `folds`.

    `test_people` of the hold-out: exactly so many, None for about a fifth. `fold_of` are the folds of a protocol of
    pairs, as `folds_of_pairs` gives them; None where people are dealt to the folds by the seed.
    """

    fold: int | None = None
    folds: int | None = None
    test_people: int | None = None
    fold_of: Mapping[str, int] | None = None

    @property
    def told(self) -> list[Any]:
        """What a digest is made of: the numbers, and a digest of `fold_of` where there is one."""
        return [*self[:3], *([] if self.fold_of is None else [digest_of(dict(self.fold_of))])]


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


def folds_of_pairs(pairs: Sequence[Pair], num_folds: int) -> dict[str, int]:
    """The fold 0..num_folds-1 in which each picture of a protocol's pairs is tested, by its source path.

    Each holds as many of the protocol's own folds as the others, so that the mean over these is the mean of the means,
    and at least two, as the threshold of one is chosen on the others.

    Raises:
        InputError: the protocol's folds cannot be parted like that.
    """
    place_of = {fold: place for place, fold in enumerate(sorted({pair.fold for pair in pairs}))}
    num_own = len(place_of)
    fitting = [number for number in range(2, num_own // 2 + 1) if num_own % number == 0]
    if num_folds not in fitting:
        ways = f"use --folds {' or '.join(map(str, fitting))}" if fitting else "leave --folds out"
        raise InputError(
            f"--folds {num_folds} does not part the {num_own} folds of the data set's pairs into equal numbers, of two "
            f"or more; {ways}"
        )
    return {path: place_of[pair.fold] * num_folds // num_own for pair in pairs for path in (pair.first, pair.second)}


def with_protocol(part: Part, pairs: Callable[[Path], list[Pair]] | None, source: Path | None) -> Part:
    """A fold with the folds of the pairs that its data set prescribes; as it is where it is no fold or has no pairs.

    They name every picture, which is too much to be handed from flow to flow: so they are put in where rows are read.

    Args:
        pairs: of a source.

    Raises:
        InputError: see folds_of_pairs.
    """
    if part.folds is None or pairs is None or source is None:
        return part
    return part._replace(fold_of=folds_of_pairs(pairs(source), part.folds))


def fold_by_pairs(groups: Sequence[str], paths: Sequence[str], fold_of: Mapping[str, int]) -> np.ndarray:
    """The fold of each row, int64 (N,): that of its group's pairs; -1 for who is in none, and always trained on.

    Args:
        groups: (N,), subjects.
        paths: (N,), source paths.
        fold_of: see `folds_of_pairs`.

    Raises:
        InputError: somebody is in pairs of two folds.
    """
    of_group: dict[str, int] = {}
    for group, path in zip(groups, paths, strict=True):
        if path in fold_of and of_group.setdefault(group, fold_of[path]) != fold_of[path]:
            raise InputError(f"{group} is in pairs of two folds, so --folds would train on people who are tested on")
    return np.array([of_group.get(group, -1) for group in groups], dtype=np.int64)


def hold_out(groups: Sequence[str], share: float = HOLD_OUT_SHARE, seed: int = HOLD_OUT_SEED) -> np.ndarray:
    """Which rows are held out for testing, bool (N,): about that share of the groups, at least one.

    Goes by each group's own hash, so people who join the data set later move nobody from training to test.
    """
    hash_of = {group: _keyed_hash(group, seed) for group in groups}
    share = max(share, min(hash_of.values()))
    return np.array([hash_of[group] <= share for group in groups], dtype=bool)


def hold_out_exactly(groups: Sequence[str], num_groups: int, seed: int = HOLD_OUT_SEED) -> np.ndarray:
    """Which rows are held out for testing, bool (N,): those of the `num_groups` groups with the lowest hashes.

    Where `hold_out` takes that many, it takes the same. Here a group that joins may move another out of the test.

    Raises:
        InputError: nobody would be left to train on.
    """
    distinct = sorted(set(groups), key=lambda group: _keyed_hash(group, seed))
    if num_groups >= len(distinct):
        raise InputError(f"--test-people {num_groups} leaves nobody to train on: there are {len(distinct)}; use fewer")
    held = set(distinct[:num_groups])
    return np.array([group in held for group in groups], dtype=bool)


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
    splits: Sequence[str | None], groups: Sequence[str], part: Part, seed: int, paths: Sequence[str] = ()
) -> list[Literal["train", "valid", "test"]]:
    """The role of each row in a run: its official split, else by `part`.

    Where the official split has no public test part (AffectNet, SFEW), the validation part is what is tested on.

    Args:
        paths: source paths, for a part with `fold_of`.

    Raises:
        InputError: folds or a number of test people of a data set with an official split, or a part that leaves
            nothing to train or test on.
    """
    official = any(split is not None for split in splits)
    if part.folds is not None:
        if official:
            raise InputError("this data set has an official split, so --folds does not apply; leave it out")
        tested = _fold(groups, part, seed, paths) == part.fold
    elif official and part.test_people is not None:
        raise InputError("this data set has an official split, so --test-people does not apply; leave it out")
    elif official:
        tested = None
    elif part.test_people is not None:
        tested = hold_out_exactly(groups, part.test_people)
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


def _fold(groups: Sequence[str], part: Part, seed: int, paths: Sequence[str]) -> np.ndarray:
    if part.fold_of is not None:
        return fold_by_pairs(groups, paths, part.fold_of)
    assert part.folds is not None
    return fold_of_groups(groups, part.folds, seed)


def _keyed_hash(group: str, seed: int) -> float:
    """A number in [0, 1) from the sha256 of the group's name and a seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{group}".encode()).digest()[:8], "big") / 2**64
