"""A level and an evaluation by two Ray workers are those of one process."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from ray_runs import plan_of

from fer_core import levels, runs
from fer_core.assessment.base import CasePlan
from fer_core.assessment.protocols import measured
from fer_core.checkpoints import FolderStore
from fer_core.directories import Directory
from fer_core.methods import Recipe
from fer_core.options.engine import EngineOptions
from fer_core.training import train
from fer_core.world import ALONE
from infra.ray_engine import on_workers

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


@pytest.fixture(autouse=True)
def workers_compute_as_here(monkeypatch):
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, [tests.parent, tests / "infra"])))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def plan(tiny_faces):
    return plan_of(tiny_faces, recipe=Recipe(1, 24, lr=1e-3, one_cycle=True, weight_decay=0.05))


@pytest.fixture
def run(tmp_path, plan):
    folder = tmp_path / "run"
    folder.mkdir()
    runs.save_run(folder, plan, train(plan, ALONE, FolderStore(folder), lambda row: None))
    return folder


def both(world, home, run, plan):
    """A level of the run, and the evaluation with it."""
    directory = Directory(home, "level", kind="test", config={}, inputs={}, code="")
    if world.rank == 0:
        directory.start()
    mixtures = levels.make_level_of(world, directory.path, run, plan, 2, 0)
    if world.rank == 0:
        directory.finish(levels.FILES, {})
    world.joined(torch.zeros(1))  # the level is read when it is whole
    return directory.path, mixtures, measured(world, CasePlan(run, directory.path, plan, None, 0, 100, None))


def test_two_workers_measure_what_one_process_does(tmp_path, plan, run):
    alone, mixtures, evaluated = both(ALONE, tmp_path / "alone", run, plan)
    given = (tmp_path / "two", run, plan)
    together, of_workers, by_workers = on_workers(both, given, EngineOptions(workers="2"), None, print)
    np.testing.assert_array_equal(of_workers.labels_N, mixtures.labels_N)
    assert of_workers.log_likelihood == pytest.approx(mixtures.log_likelihood, rel=1e-10)
    first, second = (vars(levels.read_level(folder)) for folder in (alone, together))
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)
    assert by_workers.evaluation.metrics == evaluated.evaluation.metrics
    np.testing.assert_array_equal(by_workers.predictions.probability, evaluated.predictions.probability)
    np.testing.assert_array_equal(by_workers.label_audit.index, evaluated.label_audit.index)
