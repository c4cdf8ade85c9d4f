"""What the gate says, with every number that it goes by."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from fer_core.evaluation.bootstrap import Interval
from fer_core.evaluation.mcnemar import McNemar

Verdict = Literal["first", "improved", "same", "within noise", "regressed"]
Rival = Literal["the champion", "always guessing the commonest class"]
Outcome = Literal["passed", "failed", "untold"]


@dataclass(frozen=True)
class ClassCheck:
    """Whether a class is still found as often as by the champion.

    Attributes:
        num_rows, num_subjects: that have it.
        recall: the share of its rows that the candidate is right on.
        champion_recall, difference, outcome: None where there is no champion. The intervals of all classes hold
            together with 95 %. See classes.compare_classes for the outcome.
    """

    name: str
    num_rows: int
    num_subjects: int
    recall: float
    champion_recall: float | None = None
    difference: Interval | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class FloorCheck:
    """Whether a measure of the candidate reaches what was asked for."""

    metric: str
    value: float
    floor: float
    outcome: Outcome


@dataclass(frozen=True)
class Cost:
    """What a use of the candidate and of the champion costs, and how many times the champion's the candidate's is."""

    name: Literal["seconds an image", "bytes"]
    candidate: float
    champion: float
    ratio: Interval


@dataclass(frozen=True)
class CostCheck:
    """Whether a cost has grown too much; the lower end of the ratio's interval decides."""

    cost: Cost
    most: float
    outcome: Outcome


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes:
        verdict: improved / regressed where the 95 % interval of the difference leaves 0 out, and of improved where
            there are classes.least_subjects subjects; same where both models are right on the same rows; first where
            there is no champion and the candidate is better than always guessing the commonest class, or there is one
            subject, who can say nothing of it; within noise otherwise.
        promote: whether the candidate becomes the champion: first or improved, no check has failed, and no class is
            untold where those are refused.
        reason: one sentence with the numbers, the failed checks and what could not be told.
        rival: what it is compared with; without a champion that is guessing.
        accuracy, rival_accuracy: of the candidate and of the rival.
        difference: of the two, with its interval by a paired bootstrap over subjects.
        num_rows, num_subjects: what it was measured on.
        share_not_better: of the resamples, those in which the candidate is not better.
        mcnemar: the exact test on the same rows; it is told and decides nothing.
        class_margin: the loss of a class's recall that is bearable.
        untold_classes: what becomes of a candidate of which that cannot be told of every class.
        classes, floors, costs: the checks; of costs none without a champion.
    """

    verdict: Verdict
    promote: bool
    reason: str
    rival: Rival
    accuracy: float
    rival_accuracy: float
    difference: Interval
    num_rows: int
    num_subjects: int
    share_not_better: float
    mcnemar: McNemar
    class_margin: float
    untold_classes: Literal["pass", "refuse"]
    classes: tuple[ClassCheck, ...]
    floors: tuple[FloorCheck, ...]
    costs: tuple[CostCheck, ...]

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        return TypeAdapter(Decision).dump_python(self, mode="json")

    def metrics(self) -> dict[str, float]:
        """The numbers by name, as MLflow takes them."""
        told = {
            "promote": float(self.promote),
            "accuracy": self.accuracy,
            "rival_accuracy": self.rival_accuracy,
            **_ends("difference", self.difference),
            "share_not_better": self.share_not_better,
            "mcnemar_p": self.mcnemar.p_value,
            "gained": self.mcnemar.num_gained,
            "lost": self.mcnemar.num_lost,
            "rows": self.num_rows,
            "subjects": self.num_subjects,
        }
        for one in self.classes:
            told |= {} if one.difference is None else _ends(f"recall_difference_{one.name}", one.difference)
        for check in self.costs:
            told |= _ends(f"{check.cost.name.split()[0]}_ratio", check.cost.ratio)
        return {f"gate_{name}": value for name, value in told.items()}


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
