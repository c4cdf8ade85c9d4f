"""Two workers over gloo: what each of them steps by itself stays the same bits, even where their sums round apart."""

import multiprocessing
import os
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from model_fixtures import MemoryStore, faces_path, one_thread, plan_of, silent  # noqa: F401

from fer_core.methods import REGISTRY
from fer_core.training import train
from fer_core.world import World

PRELOAD = ["torch._dynamo", "torch.multiprocessing", "fer_core.training"]
DRIFT = 1e-3
"""What the second worker's gradients of the objective are off by, far more than by rounding."""


def worker(rank, folder, plan):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    kind = REGISTRY[plan.method]
    make = kind.objective

    def drifting(method, counts):
        made = make(method, counts)
        for parameter in made.parameters():
            parameter.register_hook(lambda gradient: gradient + DRIFT * rank)
        return made

    kind.objective = drifting
    store = MemoryStore()
    train(plan, World(rank, 2), store, silent)
    torch.save(store.load(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, faces_path):  # noqa: F811
    """The last checkpoint of each worker, after three steps."""
    folder = tmp_path_factory.mktemp("workers")
    options = {"base": "arcface", "ce": 0.5, "scale": 16.0, "embedding_size": 8}
    plan = plan_of(faces_path, "verification", epochs=4, backbone="fmpnet", method_options=options, checkpoint_steps=1)
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(worker, (str(folder), plan), nprocs=2, start_method="forkserver")
    return plan, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("part", ["objective", "network"])
def test_workers_have_the_same_parameters_and_running_statistics(checkpoints, part):
    _, (first, second) = checkpoints
    assert len(first[part]) > 2
    assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])


def test_the_centres_have_moved(checkpoints):
    plan, (first, _) = checkpoints
    store = MemoryStore()
    still = replace(plan, recipe=replace(plan.recipe, lr=1e-30))
    train(still, World(), store, silent)
    moved = (first["objective"]["centers_ID"] - store.load()["objective"]["centers_ID"]).abs()
    assert moved.min() > 1e-6
