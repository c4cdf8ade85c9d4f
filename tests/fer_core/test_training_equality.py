"""One run computes the same whatever the number of workers: 1, 2 and 4 gloo processes, and a number that changes.

Dropout is off, as each worker draws it for its own rows. The first losses differ by rounding alone, later ones by what
training makes of it: at the rate of training from random weights, a relative change of the weights by 1e-7 changes the
loss by a tenth within ten steps, in one process too. So at that rate the comparison is in float64, where roundings stay
small, and in float32 ResNet18 is trained at a fifth of the printed rate.
"""

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from model_fixtures import (  # noqa: F401
    MemoryStore,
    faces_path,
    finished,
    one_thread,
    plan_of,
    posed_rows,
    silent,
)
from torch import nn

from fer_core import backbones
from fer_core.backbones.base import Backbone
from fer_core.methods import REGISTRY, Recipe
from fer_core.shards import write_picture_shard
from fer_core.training import train
from fer_core.world import World

pytestmark = pytest.mark.slow

PRELOAD = ["torch._dynamo", "torch.multiprocessing", "fer_core.training"]
CHANGE = 25
"""The step after which a run goes on with other workers."""
AT_FIRST, AT_LAST, ANYWHERE = 1e-5, 1e-3, 1e-2
"""How far losses may differ, relatively: in each of the first five steps, in the mean of the last five, and in any step
(where two negatives are equally hard, a rounding says which is taken)."""
PRINTED = 5e-6
"""The rate of mul_dml's paper."""


class Tiny(Backbone):
    """Two convolutions with batch norm, so that three channels are trained in a moment."""

    num_features = 8

    def __init__(self, patch):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x):
        return self.second(self.first(x)).mean(dim=(2, 3))


class Store:
    """Gives the checkpoint in a file, keeps that of step CHANGE on rank 0."""

    def __init__(self, file, rank):
        self.file, self.rank, self.kept = file, rank, MemoryStore()

    def load(self):
        return self.file and torch.load(self.file, weights_only=True)

    def save(self, state, metrics):
        if state["step"] == CHANGE and self.rank == 0:
            self.kept.save(state, metrics)


def run(plan, world, checkpoint=None, dtype=torch.float32):
    """The loss of each step, from the file `checkpoint` on, what is trained and the checkpoint of step CHANGE."""
    kind, losses = REGISTRY[plan.method], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.REGISTRY, "tiny", Tiny)
        if dtype == torch.float64:  # what makes numbers of pixels asks for float32 by name
            patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(dtype)
        make = kind.objective

        def observed(method, counts):
            objective = make(method, counts)
            objective.register_forward_hook(lambda module, given, terms: losses.append(sum(terms.values()).item()))
            return objective

        patch.setattr(kind, "objective", observed)
        store = Store(checkpoint, world.rank)
        try:
            state = train(plan, world, store, silent).state
        finally:
            torch.set_default_dtype(torch.float32)
    return {"losses": losses, "state": state, "checkpoint": store.kept.load()}


def worker(rank, world, folder, runs):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    for name, given in runs.items():
        torch.save(run(given[0], World(rank, world), *given[1:]), Path(folder, f"{name}.{rank}.pt"))
    dist.destroy_process_group()


def over_workers(folder, world, runs):
    """What each run gives rank 0, all ranks having seen the same losses."""
    if world == 1:
        return {name: run(given[0], World(), *given[1:]) for name, given in runs.items()}
    folder.mkdir(parents=True, exist_ok=True)
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(worker, (world, str(folder), runs), nprocs=world, start_method="forkserver")
    found = {}
    for name in runs:
        first, *others = (torch.load(folder / f"{name}.{rank}.pt", weights_only=True) for rank in range(world))
        assert all(first["losses"] == other["losses"] for other in others)
        assert all(equal(first["state"], other["state"]) for other in others)
        found[name] = first
    return found


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def plans(tmp_path_factory, faces_path):  # noqa: F811
    """Plans of 50 steps, and of 20 with micro-batches; batches of 22 rows are not dealt evenly to four workers."""
    root = tmp_path_factory.mktemp("posed")
    posed = finished(root, "posed", lambda path: write_picture_shard(path, "part-00000.parquet", posed_rows())).path
    usual = {"patch": 16, "checkpoint_steps": CHANGE}
    options = {"thresholds": [0.2, 0.5], "slice_size": 8, "dropout": 0.0}
    mul_dml = plan_of(faces_path, "mul_dml", method_options=options, **usual)
    mul_dml = replace(mul_dml, recipe=Recipe(17, 22, lr=PRINTED / 5))
    tiny = replace(mul_dml, recipe=Recipe(10, 24, lr=1e-3, one_cycle=True), backbone="tiny")
    small = {"fused_size": 16, "embedding_size": 8, "branch_size": 16}
    from_scratch = Recipe(17, 22, lr=1e-3, one_cycle=True)
    tuples = Recipe(17, 15, lr=1e-3, one_cycle=True, averaging=0.99)
    return {
        "mul_dml": mul_dml,
        "sgm": replace(plan_of(faces_path, "sgm", **usual), recipe=from_scratch, backbone="tiny"),
        "dml_net": replace(tiny, faces=posed, method="dml_net", method_options=small, recipe=tuples),
        "micro_batches": tiny,
        "bfloat16": replace(tiny, bfloat16=True),
    }


def runs_of(plans, world):
    """With micro-batches of 8 rows over all workers, and mul_dml in float64 at the rate of random weights."""
    micro = replace(plans["micro_batches"], micro_batch=8 // world)
    from_scratch = replace(plans["mul_dml"], recipe=Recipe(17, 22, lr=1e-3, one_cycle=True))
    given = {name: (plan,) for name, plan in (plans | {"micro_batches": micro}).items()}
    return given | {"from_scratch": (from_scratch, None, torch.float64)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("equality")


@pytest.fixture(scope="module")
def alone(plans, folder):
    return over_workers(folder, 1, runs_of(plans, 1))


@pytest.fixture(scope="module")
def by_two(plans, folder):
    return over_workers(folder / "two", 2, runs_of(plans, 2))


@pytest.fixture(scope="module")
def by_four(plans, folder):
    return over_workers(folder / "four", 4, runs_of(plans, 4))


def assert_same(found, expected, exact=AT_FIRST, after=AT_LAST, anywhere=ANYWHERE):
    """Of losses from some step on to the last one, and of the weights that are kept."""
    own, others = (
        torch.tensor(one["losses"][-len(found["losses"]) :], dtype=torch.float64) for one in (found, expected)
    )
    distances = (own / others - 1).abs()
    assert distances[:5].max() <= exact
    assert distances.max() <= anywhere
    assert (own[-5:].mean() / others[-5:].mean() - 1).abs() <= after
    assert list(found["state"]) == list(expected["state"])
    for name, value in expected["state"].items():
        away = (found["state"][name] - value).double().norm()
        assert away <= 10 * after * value.double().norm().clamp(min=1), name


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", ["by_two", "by_four"])
@pytest.mark.parametrize("name", ["mul_dml", "sgm", "dml_net", "micro_batches"])
def test_losses_and_weights_are_those_of_one_worker(request, alone, workers, name):
    found = request.getfixturevalue(workers)[name]
    assert len(found["losses"]) >= (20 if name == "micro_batches" else 50)
    assert_same(found, alone[name])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", ["by_two", "by_four"])
def test_training_from_random_weights_is_that_of_one_worker(request, alone, workers):
    found = request.getfixturevalue(workers)["from_scratch"]
    assert len(found["losses"]) >= 50
    assert found["losses"][-1] < 0.8 * found["losses"][0]
    assert_same(found, alone["from_scratch"], exact=1e-11, after=1e-8, anywhere=1e-8)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", ["by_two", "by_four"])
def test_in_bfloat16_the_losses_are_near(request, alone, workers):
    assert_same(request.getfixturevalue(workers)["bfloat16"], alone["bfloat16"], exact=5e-3, after=5e-2, anywhere=5e-2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["mul_dml", "dml_net"])
def test_the_losses_are_those_of_training(alone, name):
    """What is compared moves by more than the tolerance."""
    losses = alone[name]["losses"]
    assert max(losses) - min(losses) > 10 * AT_LAST * losses[0]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", [1, 3])
def test_a_run_goes_on_with_other_workers(plans, alone, by_two, folder, world):
    runs = {}
    for name in ("mul_dml", "dml_net"):
        file = folder / f"{name}-{CHANGE}-{world}.pt"
        torch.save(by_two[name]["checkpoint"], file)
        runs[name] = (plans[name], file)
    found = over_workers(folder / f"then-{world}", world, runs)
    for name, changed in found.items():
        assert len(changed["losses"]) == len(alone[name]["losses"]) - CHANGE
        assert_same(changed, alone[name], exact=AT_LAST)
