"""DML-Net's five-tuples (section 3.1, Algorithm 1): each epoch's samples in fives, no sample twice.

Legend: N samples, T tuples.
"""

from typing import Any

import numpy as np

from fer_core.errors import InputError
from fer_core.tuples.labels import CodedLabels, Labels, cells, check_lengths, coded


def build_five_tuples(expression_N: Labels, pose_N: Labels, identity_N: Labels, seed: int) -> np.ndarray:
    """Rows int64 (T, 5) of anchor, pose+, pose-, id+, id- for one epoch, by DML-Net's Algorithm 1.

    pose+ has the anchor's expression and another pose, pose- another expression and the anchor's pose; id+ the
    anchor's expression and another identity, id- another expression and the anchor's identity. The five are distinct
    and no sample is in two tuples.

    The samples are shuffled by `seed` and walked. An anchor takes, among the remaining samples in shuffled order, the
    first pose+ and the first id+ beside it, or, where that pose+ is the only id+, the second pose+; likewise for the
    negatives. So a tuple is made wherever four distinct partners exist, and none can be made of what is left over.
    (That the partners differ is in the paper's figure 3, not in its algorithm.) The time is near linear in N for any
    labels; the first call in a process loads the compiled walk.

    Args:
        expression_N: integers or strings, one for each sample; so are the others.
        pose_N: the bins of the pose.
        identity_N: the people.
        seed: of the order: the epoch's, so that each epoch has its own tuples.

    Raises:
        InputError: a label is missing, or no tuple can be made; the message says which factor is constant, or which
            partner is lacking.
        ValueError: the labels differ in number.
    """
    from fer_core.tuples.five_walk import walk  # brings numba, which only this needs

    columns = {"expression": expression_N, "pose": pose_N, "identity": identity_N}
    check_lengths(**columns)
    order_N = np.random.default_rng(seed).permutation(len(expression_N))
    factors = {name: _shuffled(coded(column, name), order_N) for name, column in columns.items()}
    _check_varied(factors)
    expression, pose, identity = factors.values()
    pose_cell_N, identity_cell_N = cells(expression, pose), cells(expression, identity)
    places_T5 = walk(expression.code_N, pose.code_N, identity.code_N, pose_cell_N, identity_cell_N)
    if not len(places_T5):
        raise InputError(f"no five-tuple can be made: {_lack(factors, pose_cell_N, identity_cell_N)}")
    return order_N[places_T5]


def used_fraction(tuples_T5: np.ndarray, expression_N: Labels) -> dict[Any, float]:
    """Share of each expression's samples that are in a tuple: label -> 0..1. Raises InputError for a missing label."""
    labels = coded(expression_N, "expression")
    used_N = np.isin(np.arange(len(labels.code_N)), tuples_T5)
    num_used = np.bincount(labels.code_N[used_N], minlength=len(labels.names))
    return dict(zip(labels.names, (num_used / np.bincount(labels.code_N)).tolist(), strict=True))


def _shuffled(labels: CodedLabels, order_N: np.ndarray) -> CodedLabels:
    return CodedLabels(labels.code_N[order_N], labels.names)


def _check_varied(factors: dict[str, CodedLabels]) -> None:
    for name, labels in factors.items():
        if len(labels.names) < 2:
            found = f"is only one {name} ({labels.names[0]!r})" if labels.names else "are no samples"
            raise InputError(f"no five-tuple can be made: there {found}; two of each factor are needed")


def _lack(factors: dict[str, CodedLabels], pose_cell_N: np.ndarray, identity_cell_N: np.ndarray) -> str:
    """What most samples lack where no tuple exists, from the sizes of the groups and of the cells within them."""
    expression, pose, identity = (_sizes(labels.code_N) for labels in factors.values())
    pose_cell, identity_cell = _sizes(pose_cell_N), _sizes(identity_cell_N)
    num_lacking = {
        "pose+ (the same expression in another pose)": np.sum(expression == pose_cell),
        "pose- (another expression in the same pose)": np.sum(pose == pose_cell),
        "id+ (the same expression of another identity)": np.sum(expression == identity_cell),
        "id- (another expression of the same identity)": np.sum(identity == identity_cell),
    }
    partner, most = max(num_lacking.items(), key=lambda item: item[1])
    if most:
        return f"{most} of {len(pose)} samples have no {partner}; add pictures that give them one"
    return "the pose and the identity partner of each sample would be the same sample; add pictures of other people"


def _sizes(code_N: np.ndarray) -> np.ndarray:
    """How many samples share each sample's code (N,)."""
    return np.bincount(code_N)[code_N]
