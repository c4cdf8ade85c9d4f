"""Which frame is a person's neutral face (landmark VAE, section V-A). N frames, X numbers of a vector, C candidates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

ActionUnits = Mapping[int, float] | Iterable[tuple[int, float]] | None
"""FACS unit -> 0 absent, else intensity, or the pairs that Parquet gives; None where a frame is not coded."""

_BLOCK = 1024  # candidates whose distances to all others are held at once


class Neutrals(NamedTuple):
    """The neutral frame of each frame's person.

    Attributes:
        row_N: int64 (N,), its row; -1 where the person has none, or is not known.
        num_people_left_out: people without a neutral frame.
        num_rows_left_out: frames of such people, and frames of nobody known.
    """

    row_N: np.ndarray
    num_people_left_out: int
    num_rows_left_out: int


def neutral_rows(
    x_NX: np.ndarray,
    subjects: Sequence[str | None],
    expressions: Sequence[str | None],
    action_units: Sequence[ActionUnits],
) -> Neutrals:
    """Find each person's neutral frame.

    That is the one labelled neutral; where none is, one of the frames that are coded and have every action unit
    absent. Of several the one with the least summed Euclidean distance to the others, and of equal ones the first.

    Raises:
        ValueError: columns of different lengths.
    """
    if not len(x_NX) == len(subjects) == len(expressions) == len(action_units):
        lengths = [len(x_NX), len(subjects), len(expressions), len(action_units)]
        raise ValueError(
            f"vectors, subjects, expressions and action units have lengths {lengths}; one a frame is needed"
        )
    rows_of: dict[str, list[int]] = {}
    for row, subject in enumerate(subjects):
        if subject is not None:
            rows_of.setdefault(subject, []).append(row)
    row_N = np.full(len(x_NX), -1, np.int64)
    num_people_left_out = 0
    for rows in rows_of.values():
        candidates = [row for row in rows if expressions[row] == "neutral"]
        candidates = candidates or [row for row in rows if _all_absent(action_units[row])]
        if candidates:
            row_N[rows] = candidates[most_central(x_NX[candidates])]
        num_people_left_out += not candidates
    return Neutrals(row_N, num_people_left_out, int((row_N < 0).sum()))


def most_central(x_CX: np.ndarray) -> int:
    """Index of the vector with the least summed Euclidean distance to the others; the first of equal ones."""
    table = torch.from_numpy(np.asarray(x_CX, np.float64))
    blocks = [torch.cdist(block, table, compute_mode="donot_use_mm_for_euclid_dist") for block in table.split(_BLOCK)]
    return int(torch.cat([block.sum(dim=1) for block in blocks]).argmin())


def _all_absent(units: ActionUnits) -> bool:
    intensities = dict(units or {}).values()
    return bool(intensities) and not any(intensities)
