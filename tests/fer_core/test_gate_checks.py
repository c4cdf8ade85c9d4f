"""What blocks a candidate although it is better, and how it is said."""

import json

import numpy as np
import pytest

from fer_core import gate
from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import Interval
from fer_core.options.gate import GateOptions

NUM = 400
SUBJECTS = np.arange(NUM) % 40
TRUTH = np.where(np.arange(NUM) < 300, "happiness", "fear")
CHAMPION = np.random.default_rng(0).random(NUM) < 0.6
BETTER = CHAMPION | (np.random.default_rng(1).random(NUM) < 0.5)
METRICS = {"accuracy": 0.8, "knn_accuracy": 0.7}


def cost(name, low, value, high):
    return gate.Cost(name, value, 1.0, Interval(value, low, high))


def decide(correct=BETTER, champion=CHAMPION, costs=(), **options):
    return gate.decide(gate.Compared(correct, champion, TRUTH, SUBJECTS), GateOptions(**options), METRICS, costs)


def test_what_is_better_and_passes_everything_is_promoted():
    costs = [cost("seconds an image", 0.9, 1.0, 1.2), cost("bytes", 1, 1, 1)]
    decision = decide(costs=costs, floors={"accuracy": 0.8, "knn_accuracy": 0.6})
    assert (decision.verdict, decision.promote) == ("improved", True)
    assert {check.outcome for check in (*decision.floors, *decision.costs, *decision.classes)} == {"passed"}
    assert ";" not in decision.reason


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"floors": {"accuracy": 0.81}}, "accuracy 0.800 is below --floors accuracy=0.81"),
        (
            {"costs": [cost("seconds an image", 1.6, 2.1, 2.4)]},
            "2.10 times the champion's seconds an image, more than --max-slowdown 1.5",
        ),
        ({"costs": [cost("bytes", 3, 3, 3)]}, "3.00 times the champion's bytes, more than --max-growth 2"),
    ],
)
def test_a_failed_check_blocks_and_names_its_option(given, sentence):
    decision = decide(**given)
    assert (decision.verdict, decision.promote) == ("improved", False)
    assert decision.reason.endswith(f"; {sentence}")


def test_a_class_that_collapses_blocks_though_accuracy_rises():
    collapsed = (TRUTH == "happiness") & (BETTER | (SUBJECTS < 30))
    decision = decide(collapsed)
    assert (decision.verdict, decision.promote) == ("improved", False)
    fear, happiness = decision.classes
    assert (fear.outcome, happiness.outcome) == ("failed", "passed")
    assert f"; recall of fear {fear.difference.value:+.3f} (" in decision.reason
    assert decision.reason.endswith(", a loss that may exceed --class-margin 0.05")


def test_every_failed_check_is_named():
    reason = decide(floors={"accuracy": 1.0, "knn_accuracy": 1.0}, costs=[cost("bytes", 3, 3, 3)]).reason
    for option in ("--floors accuracy=1", "--floors knn_accuracy=1", "--max-growth 2"):
        assert option in reason


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({"costs": [cost("seconds an image", 1.5, 1.9, 2.4)]}, "passed"),
        ({"costs": [cost("seconds an image", 1.6, 1.9, 2.4)], "max_slowdown": 1.6}, "passed"),
        ({"costs": [cost("bytes", 1.01, 1.01, 1.01)], "max_growth": 1}, "failed"),
    ],
)
def test_the_lower_end_of_a_cost_decides(given, outcome):
    decision = decide(**given)
    assert (decision.costs[0].outcome, decision.promote) == (outcome, outcome == "passed")


def test_a_floor_is_reached_by_equality_and_holds_for_the_first_too():
    assert decide(champion=None, floors={"accuracy": 0.8}).promote
    decision = decide(champion=None, floors={"accuracy": 0.9})
    assert (decision.verdict, decision.promote) == ("first", False)


def test_a_floor_of_nothing_that_was_measured_is_named_with_the_choices():
    with pytest.raises(InputError, match=r"--floors acuracy: .* not measured by it; did you mean accuracy"):
        decide(floors={"acuracy": 0.5})


def test_classes_that_cannot_be_told_are_named_and_block_nothing():
    decision = decide(np.where(TRUTH == "fear", CHAMPION, BETTER), class_margin=0.01)
    assert decision.promote
    assert [one.outcome for one in decision.classes] == ["untold", "passed"]
    few = "; too few rows or subjects of fear to tell whether recall fell by more than 0.01"
    assert decision.reason.endswith(few)
    same = decide(CHAMPION, class_margin=0.01)
    assert same.verdict == "same"
    assert "too few rows or subjects of every class to tell" in same.reason


def test_a_class_with_rows_enough_has_too_wide_an_interval():
    """Of 100 faces of fear the candidate loses 10 and gains 11."""
    fear = np.flatnonzero(TRUTH == "fear")
    champion, candidate = CHAMPION.copy(), BETTER.copy()
    champion[fear], candidate[fear] = np.arange(100) < 60, (np.arange(100) >= 10) & (np.arange(100) < 71)
    decision = decide(candidate, champion, class_margin=0.08)
    fears, _ = decision.classes
    assert fears.num_rows >= gate.least_rows(0.08, 2)
    assert fears.difference.low <= -0.08 < 0 <= fears.difference.high
    assert decision.promote
    assert decision.reason.endswith("; too wide an interval of fear to tell whether recall fell by more than 0.08")


def test_classes_that_cannot_be_told_are_refused_where_that_is_asked_for():
    rows = np.where(TRUTH == "fear", CHAMPION, BETTER)
    decision = decide(rows, class_margin=0.01, untold_classes="refuse")
    assert (decision.verdict, decision.promote) == ("improved", False)
    assert "; recall of fear is not shown to hold, as --untold-classes refuse asks; too few" in decision.reason
    assert decide(class_margin=0.05, untold_classes="refuse").promote
    assert decide(champion=None, untold_classes="refuse").promote, "there is nothing to hold"


def test_json_holds_every_number_and_reads_back_the_same():
    decision = decide(costs=[cost("bytes", 1, 1, 1)], floors={"accuracy": 0.5})
    told = decision.as_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["difference"] == vars(decision.difference)
    assert told["mcnemar"] == vars(decision.mcnemar)
    assert [one["name"] for one in told["classes"]] == ["fear", "happiness"]
    assert told["classes"][0]["difference"]["low"] == decision.classes[0].difference.low
    assert told["floors"] == [{"metric": "accuracy", "value": 0.8, "floor": 0.5, "outcome": "passed"}]
    assert told["costs"][0]["cost"]["ratio"] == {"value": 1, "low": 1, "high": 1}


def test_metrics_are_numbers_under_one_prefix():
    costs = [cost("seconds an image", 0.9, 1.0, 1.2), cost("bytes", 1, 1, 1)]
    metrics = decide(costs=costs).metrics()
    assert all(name.startswith("gate_") and np.isfinite(value) for name, value in metrics.items())
    assert metrics["gate_difference"] == pytest.approx(metrics["gate_accuracy"] - metrics["gate_rival_accuracy"])
    assert (metrics["gate_rows"], metrics["gate_subjects"], metrics["gate_promote"]) == (NUM, 40, 1)
    assert metrics["gate_recall_difference_fear_low"] <= metrics["gate_recall_difference_fear"]
    assert (metrics["gate_seconds_ratio_high"], metrics["gate_bytes_ratio"]) == (1.2, 1)
    assert "gate_recall_difference_fear" not in decide(champion=None).metrics()
