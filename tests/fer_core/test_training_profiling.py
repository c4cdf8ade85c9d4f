"""The profile of a run: what its sections are, that it changes no number, and its table."""

import pytest
import torch
from model_fixtures import MemoryStore, faces_path, one_thread, plan_of, silent  # noqa: F401

from fer_core import runs
from fer_core.training import train
from fer_core.training.profiling import table
from fer_core.world import World

STEP = {
    "wait for pictures",
    "copy",
    "forward",
    "objective",
    "backward",
    "optimiser",
    "average of weights",
    "checkpoint",
    "validation",
    "other",
}


@pytest.fixture(scope="module")
def both(faces_path):  # noqa: F811
    """The same run with its profile and without."""
    plan = plan_of(faces_path, "cnn", epochs=2, checkpoint_steps=1, validation=True)
    return [train(plan, World(), MemoryStore(), silent, profile) for profile in (True, False)]


def test_every_part_of_a_step_is_a_section(both):
    rows = {row["section"]: row for row in both[0].profile["step"]}
    assert set(rows) == STEP
    steps = both[0].history[-1]["step"]
    once = {row["steps"] for name, row in rows.items() if name not in ("checkpoint", "validation")}
    assert (once, rows["validation"]["steps"], rows["checkpoint"]["steps"]) == ({steps}, 2, steps - 1)
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert rows["forward"]["share"] + rows["backward"]["share"] > 0.3
    assert rows["other"]["share"] < 0.2


def test_the_thread_that_feeds_has_its_own(both):
    rows = {row["section"]: row["steps"] for row in both[0].profile["feeding"]}
    assert set(rows) == {"draw", "read, decode", "cut", "other"}
    assert set(rows.values()) == {both[0].history[-1]["step"]}


def test_a_profile_changes_no_number(both):
    profiled, plain = both
    assert plain.profile is None
    assert profiled.history == plain.history
    assert all(torch.equal(profiled.state[name], plain.state[name]) for name in plain.state)


def test_a_profile_is_kept_beside_the_files_of_its_run(both, faces_path, tmp_path):  # noqa: F811
    profiled, plain = both
    runs.save_run(tmp_path, plan_of(faces_path, "cnn"), plain)
    assert runs.profile_of(tmp_path) is None
    runs.save_run(tmp_path, plan_of(faces_path, "cnn"), profiled)
    assert runs.profile_of(tmp_path) == profiled.profile
    assert {path.name for path in tmp_path.iterdir()} == {*runs.FILES, runs.PROFILE}


def test_the_table_has_a_line_a_section():
    row = {"section": "forward", "seconds": 1.234, "share": 0.5, "mean_ms": 12.345, "median_ms": 11, "steps": 100}
    lines = table({"step": [row, {**row, "section": "other"}], "feeding": []}).splitlines()
    assert [line.split()[0] for line in lines] == ["a", "forward", "other", "beside"]
    assert lines[1].split() == ["forward", "1.23", "50.0%", "12.35", "11.00", "100"]
