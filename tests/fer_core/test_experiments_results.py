import dataclasses
import json
import math

import experiment_fixtures as small
import numpy as np
import pytest

from fer_core.evaluation.bootstrap import Interval
from fer_core.experiments.results import (
    Cell,
    as_json,
    cost_of,
    mean_interval,
    orders,
    over_runs,
    table_lines,
    total_seconds,
)

T_2, T_3, T_4 = 4.302653, 3.182446, 2.776445
"""Student's t at 97.5 % with 2, 3 and 4 degrees of freedom, from a printed table."""


def runs(*values: float, metric: str = "accuracy", half: float = 0.0) -> tuple[dict[str, Interval], ...]:
    return tuple({metric: Interval(value, value - half, value + half)} for value in values)


def cell(row, *values, column="CK+", half=0.0, metric="accuracy", **more) -> Cell:
    return Cell(row, column, runs(*values, metric=metric, half=half), **more)


def ends(interval):
    return pytest.approx((interval.value, interval.low, interval.high), abs=1e-6)


def test_the_interval_of_a_mean_by_hand():
    found = mean_interval(np.array([0.5, 0.6, 0.7, 0.8]))
    half = T_3 * math.sqrt(0.05 / 3) / 2
    assert (0.65, 0.65 - half, 0.65 + half) == ends(found)


def test_a_single_run_keeps_its_own_interval():
    own = Interval(0.6, 0.41, 0.72)
    assert Cell("one", "CK+", ({"accuracy": own},)).metric("accuracy") == own
    assert Cell("one", "CK+", ({"accuracy": own},)).interval_by == "test subjects"


def test_folds_are_averaged_with_students_t():
    folds = cell("one", 0.6, 0.7, 0.8, 0.9, 1.0, half=0.3)
    half = T_4 * math.sqrt(0.1 / 4 / 5)
    assert (0.8, 0.8 - half, 0.8 + half) == ends(folds.metric("accuracy"))
    assert folds.interval_by == "5 folds"


def test_fewer_than_five_folds_put_together_their_own_intervals():
    two = Cell("one", "LFW", tuple({"auc": Interval(0.5, 0.5 - low, 0.6)} for low in (0.3, 0.4)))
    assert (0.5, 0.25, 0.5 + math.sqrt(2) * 0.1 / 2) == ends(two.metric("auc"))
    assert two.interval_by == "test subjects of 2 folds"
    four = cell("one", 0.6, 0.7, 0.8, 0.9, half=0.04)
    assert ends(four.metric("accuracy")) == (0.75, 0.73, 0.77)


def test_an_interval_of_two_folds_holds_the_mean_as_often_as_theirs_do():
    rng = np.random.default_rng(0)
    cells = [cell("one", *(0.6 + 0.1 * rng.standard_normal(2)), half=1.96 * 0.1) for _ in range(2000)]
    found = [one.metric("accuracy") for one in cells]
    assert np.mean([own.low <= 0.6 <= own.high for own in found]) == pytest.approx(0.95, abs=0.015)


def test_seeds_widen_the_interval_of_few_folds():
    seeds = cell("one", 0.6, 0.8, 0.7, 0.9, 0.8, 1.0, half=0.04, num_seeds=3)
    half = math.hypot(T_2 * 0.1 / math.sqrt(3), 0.04 / math.sqrt(2))
    assert (0.8, 0.8 - half, 0.8 + half) == ends(seeds.metric("accuracy"))
    assert seeds.interval_by == "test subjects of 2 folds and 3 seeds"


def test_seeds_widen_the_interval_of_the_test_subjects():
    seeds = cell("one", 0.7, 0.8, 0.9, half=0.04, num_seeds=3)
    half = math.hypot(T_2 * 0.1 / math.sqrt(3), 0.04)
    assert (0.8, 0.8 - half, 0.8 + half) == ends(seeds.metric("accuracy"))
    assert seeds.interval_by == "test subjects and 3 seeds"


def test_uneven_ends_stay_uneven_over_seeds():
    both = tuple({"accuracy": Interval(0.5, 0.5 - low, 0.6)} for low in (0.2, 0.4))
    found = Cell("one", "CK+", both, num_seeds=2).metric("accuracy")
    assert ends(found) == (0.5, 0.2, 0.6)


def test_more_seeds_of_the_same_people_are_not_more_people():
    first, second = (0.6, 0.7, 0.8, 0.9, 1.0), (0.61, 0.71, 0.81, 0.91, 1.01)
    found = cell("one", *first, *second, num_seeds=2)
    half = T_4 * math.sqrt(0.1 / 4 / 5)
    assert (0.805, 0.805 - half, 0.805 + half) == ends(found.metric("accuracy"))
    assert found.interval_by == "5 folds of each of 2 seeds"
    np.testing.assert_array_equal(found.values("accuracy"), [first, second])


def test_an_interval_over_folds_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [
        found.low <= 0.6 <= found.high
        for found in (over_runs(0.6 + 0.1 * rng.standard_normal((1, 5))) for _ in range(2000))
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_a_metric_that_a_run_lacks_is_unknown():
    assert Cell("one", "CK+", (*runs(0.5), {})).metric("accuracy") is None
    assert Cell("one", "CK+", missing="ck_plus").metric("accuracy") is None
    assert cell("one", 0.5).metric("nmi") is None


PUBLISHED = {"one": {"CK+": 90}, "two": {"CK+": 80.5}, "Others": {"CK+": 85}}


def verdicts(*cells, **changed):
    found = orders(small.experiment(published=PUBLISHED, **changed), cells)
    return [(order.better, order.worse, order.verdict) for order in found]


def test_orders_over_the_same_folds_are_paired():
    better, worse = cell("one", 0.4, 0.5, 0.7, 0.8, 0.9), cell("two", 0.35, 0.45, 0.66, 0.76, 0.86)
    (order,) = orders(small.experiment(published=PUBLISHED), [worse, better])
    assert order.verdict == "holds"
    differences = np.array([0.05, 0.05, 0.04, 0.04, 0.04])
    half = T_4 * differences.std(ddof=1) / math.sqrt(5)
    assert (differences.mean(), differences.mean() - half, differences.mean() + half) == ends(order.difference)
    assert verdicts(dataclasses.replace(worse, row="one"), dataclasses.replace(better, row="two")) == [
        ("one", "two", "reversed")
    ]
    mixed = cell("one", 0.5, 0.5, 0.5, 0.9, 0.6), cell("two", 0.4, 0.6, 0.4, 0.9, 0.7)
    assert verdicts(*mixed) == [("one", "two", "cannot be told apart")]


def test_orders_of_fewer_than_five_folds_go_by_both_intervals():
    one, two = cell("one", 0.8, 0.8, half=0.03), cell("two", 0.7, 0.7, half=0.04)
    (order,) = orders(small.experiment(published=PUBLISHED), [one, two])
    half = 0.05 / math.sqrt(2)
    assert ends(order.difference) == (0.1, 0.1 - half, 0.1 + half)
    assert order.verdict == "holds"


def test_orders_of_single_runs_go_by_both_intervals():
    one, two = cell("one", 0.8, half=0.03), cell("two", 0.7, half=0.04)
    (order,) = orders(small.experiment(published=PUBLISHED), [one, two])
    assert ends(order.difference) == (0.1, 0.05, 0.15)
    assert order.verdict == "holds"
    assert verdicts(one, cell("two", 0.77, half=0.04)) == [("one", "two", "cannot be told apart")]
    assert verdicts(cell("one", 0.7, half=0.04), cell("two", 0.8, half=0.03)) == [("one", "two", "reversed")]


def test_orders_over_seeds_of_the_same_people_go_by_both_intervals():
    one, two = (
        cell("one", 0.61, 0.62, 0.61, half=0.15, num_seeds=3),
        cell("two", 0.6, 0.61, 0.6, half=0.15, num_seeds=3),
    )
    assert verdicts(one, two) == [("one", "two", "cannot be told apart")]


def test_uneven_intervals_are_joined_end_by_end():
    one = Cell("one", "CK+", ({"accuracy": Interval(0.8, 0.77, 0.86)},))
    two = Cell("two", "CK+", ({"accuracy": Interval(0.7, 0.62, 0.74)},))
    (order,) = orders(small.experiment(published=PUBLISHED), [one, two])
    assert ends(order.difference) == (0.1, 0.05, 0.2)


def test_equal_results_cannot_be_told_apart():
    assert verdicts(cell("one", 0.8), cell("two", 0.8)) == [("one", "two", "cannot be told apart")]


def test_of_an_error_rate_less_is_better():
    changed = {"metrics": ["eer"], "published": {"one": {"CK+": 10}, "two": {"CK+": 5}}}
    cells = [cell("one", 0.2, metric="eer"), cell("two", 0.1, metric="eer")]
    (order,) = orders(small.experiment(**changed), cells)
    assert (order.better, order.worse, order.verdict) == ("two", "one", "holds")
    assert order.difference.value == pytest.approx(-0.1)


def test_rows_that_were_not_run_or_not_published_have_no_order():
    assert verdicts(cell("one", 0.8)) == []
    assert verdicts(cell("one", 0.8), Cell("two", "CK+", missing="ck_plus")) == []
    assert verdicts(cell("one", 0.8, column="drawn"), cell("two", 0.7, column="drawn")) == []


def test_text_has_ours_with_interval_and_the_published_number_in_brackets():
    cells = [cell("one", 0.8, half=0.03), Cell("two", "CK+", missing="ck_plus"), cell("two", 0.5, column="drawn")]
    assert table_lines(small.experiment(published=PUBLISHED), cells) == [
        "        drawn  CK+",
        "one     -      80.00 (77.00 to 83.00) [90]",
        "two     50.00  - [80.5]",
        "Others  -       [85]",
    ]


def test_a_failed_cell_is_named_so_and_has_its_error_in_json():
    cells = [Cell("one", "CK+", failed="no faces"), cell("two", 0.5)]
    read = small.experiment(published=PUBLISHED)
    assert table_lines(read, cells)[1].split("  ")[-1] == "failed [90]"
    (first, *_) = as_json(read, cells, cost_per_hour=1.0)
    assert (first["failed"], first["ours"], first["runs"], first["seconds"]) == ("no faces", {}, 0, None)


def test_text_of_fractions_and_counts():
    changed = {
        "metrics": ["accuracy", "images_per_second"],
        "columns": {"CK+": {"data": "ck_plus"}},
        "rows": {"one": {}},
        "published": {"one": {"CK+": {"accuracy": 0.9, "images_per_second": 64}}},
        "smoke": None,
    }
    both = Cell("one", "CK+", ({**runs(0.8125)[0], "images_per_second": Interval(123.4, 100.2, 140.6)},))
    fraction = table_lines(small.experiment(**changed, unit="fraction"), [both])
    assert fraction[0] == "     CK+ accuracy  CK+ images_per_second"
    assert fraction[1] == "one  0.812 [0.9]   123 (100 to 141) [64]"
    percent = table_lines(small.experiment(**changed, unit="percent"), [both])
    assert percent[1] == "one  81.25 [0.9]   123 (100 to 141) [64]"


def test_json_is_in_shares_whatever_the_unit():
    changed = {"metrics": ["accuracy", "images_per_second"], "published": {}}
    number = {"accuracy": 90, "images_per_second": 64}
    made = {"trained": {"run": 90.0}, "evaluations": {"cnn-1": "abc"}, "settings": {"epochs": 3}}
    one = Cell("one", "CK+", runs(0.8), **made)
    for unit, share in (("percent", 0.9), ("fraction", 90.0)):
        read = small.experiment(**changed | {"published": {"one": {"CK+": number}}}, unit=unit)
        (first, second) = as_json(read, [one, Cell("two", "CK+", missing="ck_plus")], cost_per_hour=4.0)
        assert first == {
            "row": "one",
            "column": "CK+",
            "published": {"accuracy": share, "images_per_second": 64},
            "ours": {"accuracy": {"value": 0.8, "low": 0.8, "high": 0.8}},
            "missing": None,
            "failed": None,
            "settings": {"epochs": 3},
            "seconds": 90.0,
            "cost": pytest.approx(0.1),
            "runs": 1,
            "interval_by": "test subjects",
            "evaluations": ["cnn-1"],
        }
        assert (second["missing"], second["ours"], second["runs"]) == ("ck_plus", {}, 0)
        assert (second["seconds"], second["cost"], second["interval_by"]) == (None, None, None)
    json.dumps([first, second], allow_nan=False)


def test_json_has_the_rows_of_others_as_cited():
    (*_, last) = as_json(small.experiment(), [cell("one", 0.5)], cost_per_hour=None)
    assert last == {"row": "Others", "column": "CK+", "published": {"accuracy": 0.7}, "ours": {}, "cited": True}


def test_time_is_counted_once_for_a_network_that_several_cells_share():
    shared = [
        Cell("one", "CK+", runs(0.5), trained={"a": 60.0}),
        Cell("one", "drawn", runs(0.5), trained={"a": 60.0}),
        Cell("two", "CK+", runs(0.5, 0.6), trained={"b": 30.0, "c": 10.0}),
        Cell("two", "drawn", missing="ck_plus"),
    ]
    assert [one.seconds for one in shared] == [60, 60, 40, 0]
    assert total_seconds(shared) == 100
    assert cost_of(total_seconds(shared), 36.0) == pytest.approx(1.0)


def test_what_is_not_known_of_one_network_is_not_known_of_all():
    unknown = Cell("one", "CK+", runs(0.5, 0.6), trained={"a": 60.0, "b": None})
    assert unknown.seconds is None
    assert total_seconds([unknown]) is None
    assert cost_of(None, 2.0) is None
    assert cost_of(3600, None) is None
