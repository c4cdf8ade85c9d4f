import multiprocessing
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from objective_fixtures import OPTIONS, case, loss_of, noise_of_networks_is_that_of_any_row
from torch.nn.parallel import DistributedDataParallel

from fer_core.gather import average_gradients, gather
from fer_core.targets import Targets

SHAPES = {"cnn": ((2, 12), (2, 11), (3, 12), (3, 13)), "triplet": ((2, 9), (3, 12))}
SHAPES |= {"sgm": SHAPES["cnn"], "mul_dml mul_dml": SHAPES["cnn"]}
CASES = [(name, *shape, torch.float64) for name in OPTIONS for shape in SHAPES.get(name, ((2, 11), (3, 13)))]
CASES += [(name, *SHAPES.get(name, ((3, 13),))[-1], torch.float32) for name in OPTIONS]
"""Methods, workers, rows of the global batch, and precision; 9, 11 and 13 are not dealt evenly."""
STILL = ("triplet", "head.embedding.bias")
"""Has no gradient but rounding: no distance changes where the whole embedding moves."""
PRELOAD = ["torch._dynamo", "torch.multiprocessing", "fer_core.methods"]
"""What takes seconds to import is imported once, by the server that the workers are forked from."""


def gradients(*modules):
    return {
        name.removeprefix("module."): value.grad.clone()
        for module in modules
        for name, value in module.named_parameters()
    }


def alone(name, batch, dtype):
    model, objective, x, targets = case(name, batch, dtype)
    with noise_of_networks_is_that_of_any_row():
        outputs = model(x)
    loss = loss_of(objective, outputs, targets)
    loss.backward()
    return loss.item(), gradients(model, objective)


def share_of_worker(name, world, batch, dtype):
    model, objective, x, targets = case(name, batch, dtype)
    rank = dist.get_rank()
    model = DistributedDataParallel(model)
    with noise_of_networks_is_that_of_any_row():
        outputs = model(x[rank::world]).mapped(lambda part: gather(part, batch))
    gathered = Targets.of(gather(targets.stacked()[rank::world], batch))
    assert torch.equal(gathered.stacked(), targets.stacked())
    loss = loss_of(objective, outputs, gathered)
    loss.backward()
    average_gradients(objective.parameters())
    return loss.item(), gradients(model, objective)


def mean_of_workers():
    """A gradient that differs by worker, and one that no worker has."""
    drifting, still = torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(1))
    drifting.grad = torch.arange(6.0).view(2, 3) * (1 + dist.get_rank())
    average_gradients([still, drifting])
    return drifting.grad


def worker(rank, folder):
    """All cases of two workers, then all of three, in the same processes: starting them is what takes the time."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    for world in (2, 3):
        if rank >= world:
            continue
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{world}", rank=rank, world_size=world)
        made = {one: share_of_worker(*one) for one in CASES if one[1] == world}
        made["mean"] = mean_of_workers()
        torch.save(made, f"{folder}/{world}-{rank}.pt")
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    """(world, rank) -> case -> (loss, gradients), and "mean" -> what came of gradients that differed."""
    folder = tmp_path_factory.mktemp("workers")
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(worker, (str(folder),), nprocs=3, start_method="forkserver")
    return {
        (world, rank): torch.load(folder / f"{world}-{rank}.pt", weights_only=True)
        for world in (2, 3)
        for rank in range(world)
    }


@pytest.mark.parametrize(("name", "world", "batch", "dtype"), CASES)
def test_workers_have_the_loss_and_gradient_of_one(shares, name, world, batch, dtype):
    loss, expected = alone(name, batch, dtype)
    still = expected.pop(STILL[1]) if name == STILL[0] else torch.zeros(1)
    assert still.abs().max() < 100 * torch.finfo(dtype).eps
    assert all(gradient.abs().max() > 1e-6 for gradient in expected.values())
    whole = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    for rank in range(world):
        own_loss, own = shares[world, rank][name, world, batch, dtype]
        assert own_loss == pytest.approx(loss, rel=1e-12 if dtype == torch.float64 else 1e-6)
        assert own.keys() - expected.keys() == ({STILL[1]} if name == STILL[0] else set())
        for parameter, gradient in expected.items():
            # to single parameters in float64 alone: where terms cancel, float32 leaves them fewer digits
            scale = gradient.norm() if dtype == torch.float64 else whole
            assert (own[parameter] - gradient).norm() < 1e-6 * scale, (parameter, rank)


@pytest.mark.parametrize("world", [2, 3])
def test_gradients_of_workers_that_differ_are_averaged(shares, world):
    for rank in range(world):
        torch.testing.assert_close(shares[world, rank]["mean"], torch.arange(6.0).view(2, 3) * (1 + world) / 2)


def test_one_worker_gets_its_own_rows_back():
    emb_BD = torch.randn(3, 2, requires_grad=True)
    assert gather(emb_BD, 3) is emb_BD
