"""What a person reads of an experiment."""

from typing import Any

from flows import matrix, summary

REPORT: dict[str, Any] = {
    "title": "Small",
    "table": ["     CK+", "one  80.00"],
    "orders": [{"column": "CK+", "metric": "accuracy", "better": "one", "worse": "two", "verdict": "holds"}],
    "cells": [{"missing": None}, {"missing": "kdef"}, {"cited": True}],
    "failed": [],
    "undrawn": [],
    "seeds": [0, 1],
    "given": {"arguments": []},
    "settings": [],
    "deviations": [],
    "training_seconds": None,
    "cost": None,
    "report": "report.html",
}


def test_the_table_comes_with_its_orders_and_what_is_lacking() -> None:
    assert matrix.lines(REPORT) == [
        "Small",
        "",
        "     CK+",
        "one  80.00",
        "",
        "ours (95 % interval) [published]",
        "CK+, accuracy: one over two holds",
        "left empty: no --data kdef=FOLDER",
        "",
        "seeds: 0,1",
        "",
        "report  report.html",
    ]


def test_failures_and_figures_that_were_not_drawn_are_told() -> None:
    failed = {"row": "one", "column": "CK+", "error": "no faces"}
    told = matrix.lines({**REPORT, "failed": [failed], "undrawn": [{"figure": "roc", "reason": "no pairs"}]})
    assert told[8:11] == [
        "failed: one, CK+: no faces",
        "the same command again tries what failed again",
        "not drawn: roc, no pairs",
    ]


def test_how_it_was_run_is_told() -> None:
    settings = [{"of": "all", "settings": {"epochs": 3, "lr": 0.001}}, {"of": "row one", "settings": {"k": [1.0, 2]}}]
    given = {"arguments": ["--smoke", "--set epochs=3"]}
    told = matrix.lines({**REPORT, "given": given, "settings": settings, "deviations": ["Word " * 30]})
    assert told[9:18] == [
        "seeds: 0,1",
        "given: --smoke --set epochs=3",
        "all:",
        "  epochs 3, lr 0.001",
        "row one:",
        "  k 1,2",
        "deviations from the paper:",
        "- " + " ".join(["Word"] * 23),
        "  " + " ".join(["Word"] * 7),
    ]


def test_time_and_cost() -> None:
    assert "trained for 1.5 minutes" in matrix.lines({**REPORT, "training_seconds": 90})
    assert "trained for 1.5 minutes, cost 2.00" in matrix.lines({**REPORT, "training_seconds": 90, "cost": 2})


def test_a_dry_run_has_the_options_of_each_cell_as_one_writes_them() -> None:
    options = {"dataset": "kdef", "epochs": 8, "mul_dml": {"thresholds": [0.2, 0.4]}, "per_class": 2000}
    many = {f"option_{number}": number for number in range(20)}
    values = {
        "dry_run": True,
        "cells": [
            {"row": "one", "column": "CK+", "missing": "ck_plus", "tested": None, "options": {}},
            {"row": "one", "column": "KDEF", "missing": None, "tested": "jaffe", "options": options},
            {"row": "two", "column": "KDEF", "missing": None, "tested": None, "options": many},
        ],
    }
    first, second, third, fourth, *rest = summary.table(values).splitlines()
    assert first == "one, CK+: left empty, no --data ck_plus=FOLDER"
    assert second == "one, KDEF: tested on jaffe"
    assert third == "  --dataset kdef --epochs 8 --mul-dml.thresholds 0.2,0.4 --per-class 2000"
    assert fourth == "two, KDEF"
    assert len(rest) == 3
    assert all(line.startswith("  --option-") and len(line) <= matrix.WIDTH for line in rest)
