"""Candidate against champion on the same rows: the verdict, the checks, and whether to promote. N test rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import Interval, paired_difference
from fer_core.evaluation.mcnemar import mcnemar
from fer_core.files import digest_of
from fer_core.gate.classes import RESAMPLES, Compared, compare_classes, least_subjects
from fer_core.gate.decision import Cost, CostCheck, Decision, FloorCheck, Outcome, Rival, Verdict
from fer_core.gate.reasons import comparison, failures, untold
from fer_core.options.gate import GateOptions
from fer_core.options.text import suggestion


def test_rows_digest(sample_id: np.ndarray, truth: np.ndarray) -> str:
    """What freezes a test part: its ids and labels, in any order."""
    return digest_of(sorted(zip(sample_id.tolist(), truth.tolist(), strict=True)))


def decide(rows: Compared, options: GateOptions, metrics: Mapping[str, float], costs: Sequence[Cost] = ()) -> Decision:
    """Compare by a paired bootstrap that resamples subjects, and check what the options ask for.

    Args:
        metrics: the candidate's own measures, for the floors.
        costs: of both models; none where there is no champion.

    Raises:
        InputError: a floor is of a metric that the candidate does not have.
    """
    rival, rival_N = _rival(rows)
    difference, share_not_better = paired_difference(rival_N, rows.correct_N, rows.subject_N, 0, RESAMPLES)
    verdict = _verdict(rows, difference)
    classes = compare_classes(rows, options.class_margin)
    floors, checked_costs = _check_floors(options, metrics), _check_costs(options, costs)
    failed = failures(floors, classes, checked_costs, options)
    unknown = untold(rows, classes, options.class_margin)
    return Decision(
        verdict=verdict,
        promote=verdict in ("first", "improved") and not failed,
        reason="; ".join([comparison(rows, rival, rival_N, difference), *failed, *unknown]),
        rival=rival,
        accuracy=float(rows.correct_N.mean()),
        rival_accuracy=float(rival_N.mean()),
        difference=difference,
        num_rows=len(rows.truth_N),
        num_subjects=rows.num_subjects,
        share_not_better=share_not_better,
        mcnemar=mcnemar(rival_N, rows.correct_N),
        class_margin=options.class_margin,
        untold_classes=options.untold_classes,
        classes=classes,
        floors=floors,
        costs=checked_costs,
    )


def _rival(rows: Compared) -> tuple[Rival, np.ndarray]:
    """What the candidate is compared with, and whether that is right on each row (N,)."""
    if rows.champion_N is not None:
        return "the champion", rows.champion_N
    names, counts = np.unique(rows.truth_N, return_counts=True)
    return "always guessing the commonest class", rows.truth_N == names[counts.argmax()]


def _verdict(rows: Compared, difference: Interval) -> Verdict:
    if difference.high < 0:
        return "regressed"
    if rows.champion_N is None:  # it replaces nobody: it need not be proven better, and one subject proves nothing
        return "first" if difference.value > 0 or rows.num_subjects == 1 else "within noise"
    if difference.low > 0 and rows.num_subjects >= least_subjects(1):
        return "improved"
    return "same" if np.array_equal(rows.champion_N, rows.correct_N) else "within noise"


def _check_floors(options: GateOptions, metrics: Mapping[str, float]) -> tuple[FloorCheck, ...]:
    for name in options.floors:
        if name not in metrics:
            raise InputError(f"--floors {name}: the version was not measured by it; {suggestion(name, metrics)}")
    return tuple(
        FloorCheck(name, metrics[name], floor, _outcome(metrics[name] >= floor))
        for name, floor in options.floors.items()
    )


def _check_costs(options: GateOptions, costs: Sequence[Cost]) -> tuple[CostCheck, ...]:
    most = {"seconds an image": options.max_slowdown, "bytes": options.max_growth}
    return tuple(CostCheck(cost, most[cost.name], _outcome(cost.ratio.low <= most[cost.name])) for cost in costs)


def _outcome(is_passed: bool) -> Outcome:
    return "passed" if is_passed else "failed"
