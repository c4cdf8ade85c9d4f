"""The gate: is a candidate better than the champion on the same frozen test rows?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fer_core.evaluation.bootstrap import Interval, paired_difference
from fer_core.files import digest_of

Verdict = Literal["first", "improved", "same", "within noise", "regressed"]
RESAMPLES = 2000


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes:
        verdict: improved / regressed where the 95 % interval of the difference leaves 0 out; same where both models
            are right on the same rows; first where there is no champion, unless the interval says that always
            guessing the commonest class is better.
        promote: whether the candidate becomes the champion.
        reason: one sentence with the numbers.
        difference: accuracy of the candidate less the champion's (or less the commonest class's share).
        num_rows, num_subjects: what it was measured on.
    """

    verdict: Verdict
    promote: bool
    reason: str
    difference: Interval
    num_rows: int
    num_subjects: int


def test_rows_digest(sample_id: np.ndarray, truth: np.ndarray) -> str:
    """What freezes a test part: its ids and labels, in any order."""
    return digest_of(sorted(zip(sample_id.tolist(), truth.tolist(), strict=True)))


def decide(
    correct_N: np.ndarray, champion_N: np.ndarray | None, truth_N: np.ndarray, subject_N: np.ndarray
) -> Decision:
    """Compare by a paired bootstrap that resamples subjects.

    Args:
        correct_N, champion_N: bool, whether candidate and champion are right on each test row; None: no champion.
        truth_N: the labels.
        subject_N: the subject of each row.
    """
    names, counts = np.unique(truth_N, return_counts=True)
    rival_N = truth_N == names[counts.argmax()] if champion_N is None else champion_N
    rival = "always guessing the commonest class" if champion_N is None else "the champion"
    difference = paired_difference(rival_N, correct_N, subject_N, seed=0, resamples=RESAMPLES).interval
    verdict: Verdict
    if difference.high < 0:
        verdict = "regressed"
    elif champion_N is None:
        verdict = "first"
    elif difference.low > 0:
        verdict = "improved"
    else:
        verdict = "same" if np.array_equal(rival_N, correct_N) else "within noise"
    num_subjects = len(np.unique(subject_N))
    reason = (
        f"accuracy {correct_N.mean():.3f} against {rival_N.mean():.3f} of {rival} on the same {len(truth_N)} rows: "
        f"difference {difference.value:+.3f}, 95 % interval {difference.low:+.3f} to {difference.high:+.3f} "
        f"over {num_subjects} subjects"
    )
    promote = verdict in ("first", "improved")
    return Decision(verdict, promote, reason, difference, len(truth_N), num_subjects)
