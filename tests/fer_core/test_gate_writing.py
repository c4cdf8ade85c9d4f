"""A decision as people read it."""

import dataclasses
import re

import numpy as np
import pytest

from fer_core import gate
from fer_core.evaluation.bootstrap import Interval
from fer_core.gate.writing import picture_of, tables_of
from fer_core.options.gate import GateOptions
from fer_core.report import Link

NUM = 1000
TRUTH = np.array(["anger", "fear & awe"])[np.arange(NUM) % 2]
CHAMPION = np.random.default_rng(0).random(NUM) < 0.7
CANDIDATE = CHAMPION & (TRUTH != "anger")
COSTS = (
    gate.Cost("seconds an image", 0.012, 0.006, Interval(2.0, 1.9, 2.1)),
    gate.Cost("bytes", 48e6, 48e6, Interval(1, 1, 1)),
)
LINKS = [Link("Report of the evaluation", "../report.html"), Link('"MLflow"', "http://host/#/x?a=1&b=2")]


@pytest.fixture(scope="module")
def against():
    rows = gate.Compared(CANDIDATE, CHAMPION, TRUTH, np.arange(NUM) % 50)
    return gate.decide(rows, GateOptions(floors={"knn_accuracy": 0.5}), {"knn_accuracy": 0.4}, COSTS)


@pytest.fixture(scope="module")
def first():
    return gate.decide(gate.Compared(CHAMPION, None, TRUTH, np.arange(NUM)), GateOptions(), {})


def cells(decision):
    return {table.heading: dict(table.rows) for table in tables_of(decision)}


def test_every_number_is_in_a_table(against):
    told = cells(against)
    assert list(told) == ["On the same rows", "Recall by class", "Floors", "Speed and size"]
    assert told["On the same rows"]["accuracy of the champion"] == [f"{100 * CHAMPION.mean():.1f} %"]
    assert told["On the same rows"]["rows that only the other is right on"] == [str(against.mcnemar.num_lost)]
    assert told["On the same rows"]["subjects"] == ["50"]
    anger = told["Recall by class"]["anger"]
    assert anger[:3] == ["500", "25", "0.0 %"]
    assert anger[-1] == "failed"
    assert told["Floors"]["Accuracy, kNN"] == ["0.4000", "0.5", "failed"]
    assert told["Speed and size"]["seconds an image"] == ["0.0120", "0.0060", "2.00", "1.90 to 2.10", "1.5", "failed"]
    assert told["Speed and size"]["bytes"][:2] == ["48,000,000", "48,000,000"]
    for table in tables_of(against):
        assert {len(row) + 1 for _, row in table.rows} == {len(table.columns)}


def test_without_a_champion_there_is_nothing_to_compare(first):
    told = cells(first)
    assert list(told) == ["On the same rows", "Recall by class"]
    assert "accuracy of always guessing the commonest class" in told["On the same rows"]
    assert len(told["Recall by class"]["anger"]) == 3


def test_the_page_asks_nothing_of_the_network_and_escapes(against):
    html = gate.decision_page(gate.title_of("fer", 3, 2), against, LINKS)
    assert "<title>fer version 3 against version 2: regressed</title>" in html
    assert "The candidate is not promoted: accuracy" in html
    assert "default-src 'none'; img-src data:" in html
    assert "<script" not in html
    assert "fear &amp; awe" in html
    assert "fear & awe" not in html
    assert html.count('<tr class="failed">') == 3
    assert re.findall(r'(?:src|href)="([^"]*)"', html)[:2] == ["../report.html", "http://host/#/x?a=1&amp;b=2"]
    assert html.count("data:image/png;base64,") == 1
    assert len(re.findall(r'<img [^>]*alt="[^"]+', html)) == 1


def test_the_page_of_a_first(first):
    html = gate.decision_page(gate.title_of("fer", 1, None), first, [])
    assert "fer version 1 against no champion: first" in html
    assert "The candidate may become the champion" in html
    assert "Bonferroni" not in html
    assert "<nav" not in html


def test_the_markdown_has_the_same_tables(against):
    text = gate.markdown_of("fer version 3 against version 2", against, LINKS)
    assert text.startswith("# fer version 3 against version 2: regressed\n\n**The candidate is not promoted**\n\n")
    for table in tables_of(against):
        assert f"## {table.heading}\n\n| {' | '.join(table.columns)} |\n| --- |" in text
        for name, row in table.rows:
            assert f"| {name} | {' | '.join(row)} |\n" in text
    assert "[Report of the evaluation](../report.html)" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in lines)


def test_the_notes_say_what_the_numbers_go_by(against):
    html = gate.decision_page("x", against, [])
    assert "McNemar&#39;s test takes every row as independent" in html
    assert f"With fewer than {gate.least_rows(0.05, 2)} rows" in html
    assert "cannot be told, and blocks nothing, where" in html
    strict = dataclasses.replace(against, untold_classes="refuse")
    assert "cannot be told, and the candidate is refused, where" in gate.decision_page("x", strict, [])


def test_people_who_are_not_told_apart_are_named_as_an_assumption(against, first):
    assumed = "Every row counts as another person&#39;s"
    assert assumed in gate.decision_page("x", first, [])
    assert assumed not in gate.decision_page("x", against, [])


def test_the_picture_shows_the_classes_where_there_is_a_champion(against, first):
    assert len(picture_of(against)) > len(picture_of(first)) > 1000
