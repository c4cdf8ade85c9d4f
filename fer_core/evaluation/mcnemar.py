"""The exact McNemar test: do two models err on the same rows equally often?

Legend: N rows.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class McNemar:
    """The rows that tell two models apart.

    Attributes:
        num_gained, num_lost: rows that only the second, and only the first, is right on.
        p_value: two-sided, of a split at least as uneven where either is equally likely; 1 where there is no such row.
    """

    num_gained: int
    num_lost: int
    p_value: float


def mcnemar(correct_a_N: np.ndarray, correct_b_N: np.ndarray) -> McNemar:
    """The binomial test of McNemar's discordant rows (McNemar, Psychometrika 12, 1947), exact at any number.

    It takes rows as independent. Rows of one person are not: where people have several, the p value is too small.

    Args:
        correct_a_N, correct_b_N: bool, whether the first and the second model are right on each row.

    Raises ValueError for unequal lengths.
    """
    if len(correct_a_N) != len(correct_b_N):
        raise ValueError("correct_a and correct_b must speak of the same rows.")
    gained, lost = int((correct_b_N & ~correct_a_N).sum()), int((correct_a_N & ~correct_b_N).sum())
    p_value = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return McNemar(gained, lost, float(p_value))
