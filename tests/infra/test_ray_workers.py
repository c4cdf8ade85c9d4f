"""A function on the workers of a Ray Train group, and in this process where there are none."""

import os
import re
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import torch.distributed as dist
from ray.exceptions import RayActorError

from fer_core.options.engine import EngineOptions
from fer_core.world import World
from infra import ray_engine
from infra.ray_cluster import kept_cluster
from infra.ray_engine import on_workers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
"""Ray sets an option of its own that it has deprecated."""


@pytest.fixture(autouse=True)
def workers_find_this_file(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])]))


def total_by_rank(world: World, start_N: np.ndarray) -> tuple[int, int, list[float]]:
    """(worker's process, size, the sum over workers of start + rank), which needs all of them."""
    total_N = torch.from_numpy(start_N) + world.rank
    if world.size > 1:
        dist.all_reduce(total_N)
    return os.getpid(), world.size, total_N.tolist()


def processes_of_the_cluster(world: World) -> list[str]:
    """Those in Python, by name; not the ones that are just starting."""
    raylet = psutil.Process().parent()
    titles = [" ".join(one.cmdline()) for one in [*raylet.children(), *raylet.parent().children()]]
    return sorted(found[0] for title in titles if (found := re.findall(r"(?<=ray::)\w+|\w*monitor(?=\.py)", title)))


def kill_the_controller(world: World) -> None:
    for one in psutil.Process().parent().children():
        if "TrainController" in " ".join(one.cmdline()):
            one.kill()
    time.sleep(60)


def niceness(world: World) -> int:
    return os.nice(0)


def test_without_workers_it_is_called_here():
    process, size, total_N = on_workers(total_by_rank, (np.array([1.0, 2.0]),), EngineOptions(), None, print)
    assert (process, size, total_N) == (os.getpid(), 1, [1.0, 2.0])


@pytest.mark.integration
def test_two_workers_add_up_and_the_first_ones_value_is_returned():
    process, size, total_N = on_workers(total_by_rank, (np.array([1.0, 2.0]),), EngineOptions(workers="2"), None, print)
    assert process != os.getpid()
    assert (size, total_N) == (2, [3.0, 5.0])


@pytest.mark.integration
def test_a_cluster_of_our_own_has_no_process_without_work():
    own = ["DashboardAgent", "RuntimeEnvAgent", "monitor"]
    train = ["RayTrainWorker", "RayTrainWorker", "SynchronizationActor", "TrainController"]
    assert on_workers(processes_of_the_cluster, (), EngineOptions(workers="2"), None, print) == sorted(own + train)


@pytest.mark.integration
def test_workers_of_our_own_cluster_give_way_no_more_than_the_command_does():
    assert on_workers(niceness, (), EngineOptions(workers="1"), None, print) == os.nice(0)


@pytest.mark.integration
def test_a_killed_controller_takes_no_processor_from_what_is_run_next(monkeypatch):
    monkeypatch.setattr(ray_engine, "PATIENCE_SECONDS", 20.0)
    with kept_cluster():
        with pytest.raises(RayActorError):
            on_workers(kill_the_controller, (), EngineOptions(workers="2"), None, print)
        arguments = (np.array([1.0, 2.0]),)
        assert on_workers(total_by_rank, arguments, EngineOptions(workers="2"), None, print)[1:] == (2, [3.0, 5.0])
