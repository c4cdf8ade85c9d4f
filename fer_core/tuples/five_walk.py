"""The walk of DML-Net's Algorithm 1 over an index, compiled. It imports numba, so `five` imports it when asked.

Legend: N samples, C cells, G groups, T tuples. A sample is its place 0..N-1 in the shuffled order; N stands for none.

Each of the four partners asks one question: which are the first two remaining samples of a group (the anchor's
expression, pose or identity) outside the anchor's own cell in it (expression x pose or expression x identity)? Two are
enough, as the other partner of the pair can take only one of them away.

Why the walk is near linear for any labels. A group links each sample to its next one, and used samples are jumped over
with path halving: O(log N) amortised for a step. Each cell keeps its two answers, which only move forward, as samples
only go: an answer steps over each sample of its own cell once, and a sample of another cell ends the search. So there
are at most 4 questions x 2 answers x N steps, beside the at most 8 N searches.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def walk(
    expression_N: np.ndarray,
    pose_N: np.ndarray,
    identity_N: np.ndarray,
    pose_cell_N: np.ndarray,
    identity_cell_N: np.ndarray,
) -> np.ndarray:
    """Places (T, 5) int32 of anchor, pose+, pose-, id+, id-, from int32 codes in shuffled order.

    The cells are the codes of (expression, pose) and (expression, identity).
    Memory beside the codes: 13 bytes a sample (three links and a mark), 16 a cell, 4 a group and 20 a tuple.
    """
    none = len(expression_N)
    by_expression, by_pose, by_identity = _linked(expression_N), _linked(pose_N), _linked(identity_N)
    pose_positive = (by_expression[0], pose_cell_N, _no_answers(pose_cell_N))
    id_positive = (by_expression[0], identity_cell_N, _no_answers(identity_cell_N))
    pose_negative = (by_pose[0], pose_cell_N, _no_answers(pose_cell_N))
    id_negative = (by_identity[0], identity_cell_N, _no_answers(identity_cell_N))
    used_N = np.zeros(none + 1, np.bool_)
    tuples = np.empty((none // 5, 5), np.int32)
    num_tuples = 0
    for anchor in range(none):
        if used_N[anchor]:
            continue
        head = _head(by_expression, used_N, expression_N[anchor])
        pose_plus, id_plus = _pair(pose_positive, id_positive, head, head, used_N, anchor)
        if pose_plus == none:
            continue
        of_pose, of_identity = _head(by_pose, used_N, pose_N[anchor]), _head(by_identity, used_N, identity_N[anchor])
        pose_minus, id_minus = _pair(pose_negative, id_negative, of_pose, of_identity, used_N, anchor)
        if pose_minus == none:
            continue
        for column, sample in enumerate((anchor, pose_plus, pose_minus, id_plus, id_minus)):
            tuples[num_tuples, column] = sample
            used_N[sample] = True
        num_tuples += 1
    return tuples[:num_tuples]


@njit(cache=True)
def _linked(group_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next sample of each sample's group (N + 1,) and the first of each group (G,)."""
    none = len(group_N)
    heads = np.full(group_N.max() + 1, none, np.int32)
    links = np.full(none + 1, none, np.int32)
    for sample in range(none - 1, -1, -1):
        links[sample] = heads[group_N[sample]]
        heads[group_N[sample]] = sample
    return links, heads


@njit(cache=True)
def _no_answers(cell_N: np.ndarray) -> np.ndarray:
    """The two answers of each cell (C, 2) before any search."""
    return np.zeros((cell_N.max() + 1, 2), np.int32)


@njit(cache=True)
def _head(linked: tuple[np.ndarray, np.ndarray], used_N: np.ndarray, group: int) -> int:
    """The first remaining sample of a group."""
    links, heads = linked
    heads[group] = _remaining(links, used_N, heads[group])
    return heads[group]


@njit(cache=True)
def _pair(
    pose: tuple, identity: tuple, pose_head: int, identity_head: int, used_N: np.ndarray, anchor: int
) -> tuple[int, int]:
    """The first two distinct partners (pose, identity), the pose one chosen first; (N, N) where there are not.

    A question is (links of the groups, cells, answers of the cells); its head is the anchor's group's.
    """
    none = len(used_N) - 1
    first_pose, first_identity = (
        _first(pose, pose_head, used_N, anchor),
        _first(identity, identity_head, used_N, anchor),
    )
    if first_pose == none or first_identity == none:
        return none, none
    if first_pose != first_identity:
        return first_pose, first_identity
    second_identity = _second(identity, used_N, anchor, first_identity)
    if second_identity != none:
        return first_pose, second_identity
    second_pose = _second(pose, used_N, anchor, first_pose)
    return (second_pose, first_identity) if second_pose != none else (none, none)


@njit(cache=True)
def _first(question: tuple, head: int, used_N: np.ndarray, anchor: int) -> int:
    """The first remaining sample of the anchor's group outside its cell."""
    links, cell_N, answers = question
    cell = cell_N[anchor]
    answers[cell, 0] = _outside(links, used_N, cell_N, cell, max(answers[cell, 0], head))
    return answers[cell, 0]


@njit(cache=True)
def _second(question: tuple, used_N: np.ndarray, anchor: int, first: int) -> int:
    """The next one after `first`."""
    links, cell_N, answers = question
    cell = cell_N[anchor]
    answers[cell, 1] = _outside(links, used_N, cell_N, cell, max(answers[cell, 1], links[first]))
    return answers[cell, 1]


@njit(cache=True)
def _outside(links: np.ndarray, used_N: np.ndarray, cell_N: np.ndarray, cell: int, start: int) -> int:
    sample = _remaining(links, used_N, start)
    while sample < len(cell_N) and cell_N[sample] == cell:
        sample = _remaining(links, used_N, links[sample])
    return sample


@njit(cache=True)
def _remaining(links: np.ndarray, used_N: np.ndarray, sample: int) -> int:
    """The first sample not used from `sample` on, halving the path to it for later searches."""
    while used_N[sample]:
        if used_N[links[sample]]:
            links[sample] = links[links[sample]]
        sample = links[sample]
    return sample
