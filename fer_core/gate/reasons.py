"""The sentences that say why: what was compared, which check failed and the option that sets it, what is not known."""

import numpy as np

from fer_core.evaluation.bootstrap import Interval
from fer_core.gate.classes import Compared, least_subjects
from fer_core.gate.decision import ClassCheck, CostCheck, FloorCheck, Rival

OPTION_OF = {"seconds an image": "--max-slowdown", "bytes": "--max-growth"}


def comparison(rows: Compared, rival: Rival, rival_N: np.ndarray, difference: Interval) -> str:
    """Both accuracies and the difference with its interval."""
    return (
        f"accuracy {rows.correct_N.mean():.3f} against {rival_N.mean():.3f} of {rival} on the same {len(rival_N)} "
        f"rows: difference {difference.value:+.3f}, 95 % interval {difference.low:+.3f} to {difference.high:+.3f} "
        f"over {rows.num_subjects} subjects"
    )


def failures(
    floors: tuple[FloorCheck, ...], classes: tuple[ClassCheck, ...], costs: tuple[CostCheck, ...], margin: float
) -> list[str]:
    """One for each failed check."""
    return [
        *(_low(check) for check in floors if check.outcome == "failed"),
        *(_lost(check, margin) for check in classes if check.outcome == "failed"),
        *(_dear(check) for check in costs if check.outcome == "failed"),
    ]


def untold(classes: tuple[ClassCheck, ...], margin: float, num_subjects: int) -> list[str]:
    """What cannot be told of few subjects, and of which classes; nothing where all can, or there is no champion."""
    sentences = []
    if num_subjects < least_subjects(1) and any(check.outcome for check in classes):
        sentences.append(f"fewer than {least_subjects(1)} subjects prove no gain")
    names = [check.name for check in classes if check.outcome == "untold"]
    if names:
        whose = "every class" if len(names) == len(classes) else ", ".join(names)
        sentences.append(f"too few rows of {whose} to tell whether recall fell by more than {margin:g}")
    return sentences


def _low(check: FloorCheck) -> str:
    return f"{check.metric} {check.value:.3f} is below --floors {check.metric}={check.floor:g}"


def _lost(check: ClassCheck, margin: float) -> str:
    assert check.difference is not None
    value, low, high = check.difference.value, check.difference.low, check.difference.high
    return (
        f"recall of {check.name} {value:+.3f} ({low:+.3f} to {high:+.3f}), a loss that may exceed "
        f"--class-margin {margin:g}"
    )


def _dear(check: CostCheck) -> str:
    name, times = check.cost.name, check.cost.ratio.value
    return f"{times:.2f} times the champion's {name}, more than {OPTION_OF[name]} {check.most:g}"
