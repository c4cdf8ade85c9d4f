"""Sections of steps and their times, by a clock that only moves when it is told to."""

import time

import pytest
import torch

from fer_core import sections as module
from fer_core.sections import UNTIMED, TimedSections


@pytest.fixture
def passes(monkeypatch):
    """Call it with seconds, and they have passed."""
    now = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])

    def pass_by(seconds):
        now[0] += seconds

    return pass_by


def step(sections, passes, **seconds):
    for name, took in seconds.items():
        with sections(name):
            passes(took)


def test_seconds_shares_means_and_medians(passes):
    sections = TimedSections()
    for forward, other in ((8.0, 0.0), (2.0, 1.0), (2.0, 2.0)):
        step(sections, passes, wait=1.0, forward=forward)
        passes(other)
        sections.step_ends()
        passes(1000.0)  # between two steps: not theirs
    rows = {row.pop("section"): row for row in sections.rows()}
    assert list(rows) == ["forward", "wait", "other"]
    assert rows["forward"] == pytest.approx(
        {"seconds": 12, "share": 12 / 18, "mean_ms": 4000, "median_ms": 2000, "steps": 3}
    )
    assert rows["wait"] == pytest.approx(
        {"seconds": 3, "share": 3 / 18, "mean_ms": 1000, "median_ms": 1000, "steps": 3}
    )
    assert rows["other"]["seconds"] == pytest.approx(3)
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)


def test_a_section_of_some_steps_has_its_median_over_these_and_its_mean_over_all(passes):
    sections = TimedSections()
    for number in range(4):
        step(sections, passes, forward=1.0, **({"checkpoint": 6.0} if number == 3 else {}))
        sections.step_ends()
    row = next(row for row in sections.rows() if row["section"] == "checkpoint")
    assert row == pytest.approx(
        {"section": "checkpoint", "seconds": 6, "share": 0.6, "mean_ms": 1500, "median_ms": 6000, "steps": 1}
    )


def test_a_section_that_a_step_has_twice_counts_as_one(passes):
    sections = TimedSections()
    step(sections, passes, forward=1.0)
    step(sections, passes, forward=2.0)
    sections.step_ends()
    assert [(row["section"], row["seconds"], row["steps"]) for row in sections.rows()] == [
        ("forward", 3.0, 1),
        ("other", 0.0, 1),
    ]


def test_a_step_that_was_broken_off_is_not_counted(passes):
    sections = TimedSections()
    step(sections, passes, forward=1.0)
    sections.step_ends()
    with pytest.raises(RuntimeError), sections("forward"):
        raise RuntimeError
    assert [row["steps"] for row in sections.rows()] == [1, 1]


def test_untimed_sections_tell_nothing_and_never_look_at_the_clock(passes, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", None)
    with UNTIMED("forward"):
        UNTIMED.step_ends()
    assert UNTIMED.rows() == []


@pytest.mark.gpu
def test_a_section_lasts_until_the_device_is_ready():
    device = torch.device("cuda", 0)
    sections, one = TimedSections(device), torch.randn(8192, 8192, device=device)
    with sections("product"):
        for _ in range(20):
            one @ one
    with sections("nothing"):
        pass
    sections.step_ends()
    seconds = {row["section"]: row["seconds"] for row in sections.rows()}
    assert seconds["product"] > 20 * seconds["nothing"]
