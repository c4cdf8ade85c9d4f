"""The sentences that say why: what was compared, which check failed and the option that sets it, what is not known."""

import numpy as np

from fer_core.evaluation.bootstrap import Interval
from fer_core.gate.classes import Compared, has_few, least_subjects
from fer_core.gate.decision import ClassCheck, CostCheck, FloorCheck, Rival
from fer_core.options.gate import GateOptions

OPTION_OF = {"seconds an image": "--max-slowdown", "bytes": "--max-growth"}


def comparison(rows: Compared, rival: Rival, rival_N: np.ndarray, difference: Interval) -> str:
    """Both accuracies and the difference with its interval."""
    return (
        f"accuracy {rows.correct_N.mean():.3f} against {rival_N.mean():.3f} of {rival} on the same {len(rival_N)} "
        f"rows: difference {difference.value:+.3f}, 95 % interval {difference.low:+.3f} to {difference.high:+.3f} "
        f"over {rows.num_subjects} subjects"
    )


def failures(
    floors: tuple[FloorCheck, ...], classes: tuple[ClassCheck, ...], costs: tuple[CostCheck, ...], options: GateOptions
) -> list[str]:
    """One for each failed check, and one for the classes that cannot be told, where those are refused."""
    names = [check.name for check in classes if check.outcome == "untold"]
    return [
        *(_low(check) for check in floors if check.outcome == "failed"),
        *(_lost(check, options.class_margin) for check in classes if check.outcome == "failed"),
        *([_refused(names, classes)] if names and options.untold_classes == "refuse" else []),
        *(_dear(check) for check in costs if check.outcome == "failed"),
    ]


def untold(rows: Compared, classes: tuple[ClassCheck, ...], margin: float) -> list[str]:
    """What cannot be told, and why: of few subjects, and of which classes; nothing where all can."""
    if rows.champion_N is None:
        alone = "one subject says nothing of others, so a first model need not be better than guessing"
        return [alone] if rows.num_subjects == 1 else []
    least = least_subjects(1)
    sentences = [f"fewer than {least} subjects prove no gain"] if rows.num_subjects < least else []
    names_of: dict[str, list[str]] = {}
    for check in classes:
        if check.outcome == "untold":
            is_few = has_few(check, margin, len(classes))
            why = "too few rows or subjects" if is_few else "too wide an interval"
            names_of.setdefault(why, []).append(check.name)
    return sentences + [
        f"{why} of {_whose(names, classes)} to tell whether recall fell by more than {margin:g}"
        for why, names in names_of.items()
    ]


def _whose(names: list[str], classes: tuple[ClassCheck, ...]) -> str:
    return "every class" if len(names) == len(classes) else ", ".join(names)


def _refused(names: list[str], classes: tuple[ClassCheck, ...]) -> str:
    return f"recall of {_whose(names, classes)} is not shown to hold, as --untold-classes refuse asks"


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
