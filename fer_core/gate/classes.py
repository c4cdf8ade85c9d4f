"""Is every class still found? Whether a loss of recall is proven, and whether one is ruled out, all classes at once.

A candidate is refused where a loss is proven. That is weaker than non-inferiority, which asks of every class that a
loss of the margin be ruled out; `--untold-classes refuse` asks for that.

Legend: N test rows, K classes of the truth, R resamples.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from fer_core.evaluation.bootstrap import Interval, SubjectBootstrap
from fer_core.gate.decision import ClassCheck, Outcome

LEVEL = 0.05
"""Of all tests together; half of it is for each side."""
RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Compared:
    """What two models make of the same test rows.

    Attributes:
        correct_N, champion_N: bool, whether candidate and champion are right; None: there is no champion.
        truth_N: the labels.
        subject_N: whose each row is.
    """

    correct_N: np.ndarray
    champion_N: np.ndarray | None
    truth_N: np.ndarray
    subject_N: np.ndarray

    @property
    def num_subjects(self) -> int:
        """How many people's, or whatever is told apart, the rows are."""
        return len(np.unique(self.subject_N))


def least_subjects(num_tests: int) -> int:
    """The subjects that a proof needs: all of fewer are on one side by chance more often than a test may err.

    That is 2 ** -subjects. The bootstrap does not know it: two models that are equally good were told apart in 22 % of
    simulated trials with 2 subjects, in 12 % with 5, in 5 % with 6 to 8, in 2 to 4 % with 10 to 40.
    """
    return math.ceil(math.log2(num_tests / (LEVEL / 2)))


def least_rows(margin: float, num_tests: int) -> int:
    """The rows that a class needs: with fewer, a loss of the margin may not lose a single row.

    That has the probability (1 - margin) ** rows, and a test may err less often.
    """
    return math.ceil(math.log(LEVEL / 2 / num_tests) / math.log(1 - margin))


def has_few(check: ClassCheck, margin: float, num_classes: int) -> bool:
    """Whether a class has fewer than `least_rows` rows or fewer than `least_subjects` subjects."""
    return check.num_rows < least_rows(margin, num_classes) or check.num_subjects < least_subjects(num_classes)


def compare_classes(rows: Compared, margin: float) -> tuple[ClassCheck, ...]:
    """The recall of each class beside the champion's, in the order of the names.

    Several classes are several tests: each gets its K-th of the error (Bonferroni), so that the intervals hold
    together with 95 %, by a bootstrap over subjects. A class

    - has passed where its interval lies above -margin: a loss of the margin is ruled out;
    - has failed where the interval reaches down to -margin or below, and lies below 0: a loss is proven, and it may be
      larger than the margin;
    - cannot be told where the interval holds both, a loss of the margin and no loss; nor where the class has fewer than
      `least_rows` rows, unless the interval proves a loss or a gain; nor of fewer than `least_subjects` subjects, who
      prove nothing: the interval is -1..1.

    Args:
        margin: the loss of recall that is bearable, above 0 and below 1.
    """
    names, class_N = np.unique(rows.truth_N, return_inverse=True)
    own_NK = class_N[:, None] == np.arange(len(names))
    if rows.champion_N is None:
        return tuple(_recall(name, own_N, rows) for name, own_N in zip(names.tolist(), own_NK.T, strict=True))
    draws_RK = _draws(rows.correct_N.astype(float) - rows.champion_N, own_NK, rows.subject_N)
    checks = []
    for name, own_N, draws_R in zip(names.tolist(), own_NK.T, draws_RK.T, strict=True):
        check, champion_recall = _recall(name, own_N, rows), float(rows.champion_N[own_N].mean())
        difference = _interval(check.recall - champion_recall, draws_R, len(names), check.num_subjects)
        outcome = _outcome(difference, margin, has_few(check, margin, len(names)))
        checks.append(replace(check, champion_recall=champion_recall, difference=difference, outcome=outcome))
    return tuple(checks)


def _recall(name: str, own_N: np.ndarray, rows: Compared) -> ClassCheck:
    num_subjects = len(np.unique(rows.subject_N[own_N]))
    return ClassCheck(name, int(own_N.sum()), num_subjects, float(rows.correct_N[own_N].mean()))


def _draws(gain_N: np.ndarray, own_NK: np.ndarray, subject_N: np.ndarray) -> np.ndarray:
    """Resampled differences (R, K); NaN where nobody who was drawn has the class."""
    sums_R2K = SubjectBootstrap(subject_N, seed=0, resamples=RESAMPLES).sums(
        np.stack([gain_N[:, None] * own_NK, own_NK], axis=1)
    )
    with np.errstate(invalid="ignore"):
        return sums_R2K[:, 0] / sums_R2K[:, 1]


def _interval(value: float, draws_R: np.ndarray, num_classes: int, num_subjects: int) -> Interval:
    if num_subjects < least_subjects(num_classes):
        return Interval(value, -1.0, 1.0)
    tail = LEVEL / 2 / num_classes
    low, high = np.nanquantile(draws_R, (tail, 1 - tail))
    return Interval(value, float(min(low, value)), float(max(high, value)))


def _outcome(difference: Interval, margin: float, is_few: bool) -> Outcome:
    if difference.low <= -margin and difference.high < 0:
        return "failed"
    return "passed" if difference.low > (0 if is_few else -margin) else "untold"
