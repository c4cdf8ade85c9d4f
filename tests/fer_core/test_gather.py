import multiprocessing
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fer_core.gather import gather
from fer_core.methods import REGISTRY
from fer_core.methods.mul_dml_variants import VARIANTS
from fer_core.targets import Counts, Targets

NUM_FEATURES, NUM_LABELS = 6, 3
COUNTS = Counts(NUM_LABELS, NUM_LABELS, 2, 4)
SLICES = {"thresholds": (0.3, 0.8), "single_threshold": 0.6, "slice_size": 3, "dropout": 0.0}
OPTIONS = {
    "sgm": {"embedding_size": 4},
    "mul_dml": SLICES,
    "cnn": {},
    "triplet": {"embedding_size": 4},
    "dml_net": {"embedding_size": 4, "branch_size": 8, "phase_one": 0, "triplets_from": 0},
    "verification": {"embedding_size": 4, "pdm": 0.3, "pdp": 0.4, "ce": 0.6, "mtl": 0.7},
    "verification fbv": {"embedding_size": 4, "base": "arcface", "scale": 8.0, "fbv": 0.5},
    "verification centroids": {"embedding_size": 4, "base": "arcface_centroid"},
} | {f"mul_dml {variant}": SLICES | {"variant": variant} for variant in VARIANTS}
"""By the name of the method, and what may follow it."""
CASES = [(name, *shape) for name in ("sgm", "mul_dml", "cnn") for shape in ((2, 12), (2, 11), (3, 12), (3, 13))]
CASES += [("triplet", 2, 9), ("triplet", 3, 12)]
CASES += [
    (f"mul_dml {variant}", *shape) for variant in VARIANTS if variant != "mul_dml" for shape in ((2, 11), (3, 13))
]
CASES += [(name, *shape) for name in OPTIONS if name[:3] in ("dml", "ver") for shape in ((2, 11), (3, 13))]
"""Methods, workers and rows of the global batch; 9, 11 and 13 are not dealt evenly."""
STILL = ("triplet", "head.embedding.bias")
"""Has no gradient but rounding: no distance changes where the whole embedding moves."""
PRELOAD = ["torch._dynamo", "torch.multiprocessing", "fer_core.methods"]
"""What takes seconds to import is imported once, by the server that the workers are forked from."""


class Linear(nn.Module):
    """A linear layer before the method's head, so that the gradient comes from below the gathered embeddings."""

    def __init__(self, method):
        super().__init__()
        self.body, self.head = nn.Linear(NUM_FEATURES, NUM_FEATURES), method.head(NUM_FEATURES, COUNTS)
        if hasattr(self.head, "dropout"):
            self.head.dropout.p = 0.0

    def forward(self, x):
        return self.head(self.body(x).tanh())


def case(name, batch):
    kind = REGISTRY[name.split()[0]]
    method = kind(kind.Options(**OPTIONS[name]))
    torch.manual_seed(7)
    model, objective = Linear(method).double(), method.objective(COUNTS).double()
    rows = torch.arange(batch)
    targets = Targets(rows % NUM_LABELS, rows % NUM_LABELS, rows // 3 % 2, rows // 2 % 4)
    return model, objective, torch.randn(batch, NUM_FEATURES).double(), targets


def gradients(*modules):
    return {
        name.removeprefix("module."): value.grad.clone()
        for module in modules
        for name, value in module.named_parameters()
    }


def alone(name, batch):
    model, objective, x, targets = case(name, batch)
    loss = sum(objective(model(x), targets, 0.0).values())
    loss.backward()
    return loss.item(), gradients(model, objective)


def share_of_worker(name, world, batch):
    model, objective, x, targets = case(name, batch)
    rank = dist.get_rank()
    model = DistributedDataParallel(model)
    outputs = model(x[rank::world]).mapped(lambda part: gather(part, batch))
    gathered = Targets.of(gather(targets.stacked()[rank::world], batch))
    assert torch.equal(gathered.stacked(), targets.stacked())
    loss = sum(objective(outputs, gathered, 0.0).values())
    loss.backward()
    return loss.item(), gradients(model, objective)


def worker(rank, folder):
    """All cases of two workers, then all of three, in the same processes: starting them is what takes the time."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    for world in (2, 3):
        if rank >= world:
            continue
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{world}", rank=rank, world_size=world)
        made = {one: share_of_worker(*one) for one in CASES if one[1] == world}
        torch.save(made, f"{folder}/{world}-{rank}.pt")
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    """(world, rank) -> case -> (loss, gradients)."""
    folder = tmp_path_factory.mktemp("workers")
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(worker, (str(folder),), nprocs=3, start_method="forkserver")
    return {
        (world, rank): torch.load(folder / f"{world}-{rank}.pt", weights_only=True)
        for world in (2, 3)
        for rank in range(world)
    }


@pytest.mark.parametrize(("name", "world", "batch"), CASES)
def test_workers_have_the_loss_and_gradient_of_one(shares, name, world, batch):
    loss, expected = alone(name, batch)
    still = expected.pop(STILL[1]) if name == STILL[0] else torch.zeros(1)
    assert still.abs().max() < 1e-12
    assert all(gradient.abs().max() > 1e-6 for gradient in expected.values())
    for rank in range(world):
        own_loss, own = shares[world, rank][name, world, batch]
        assert own_loss == pytest.approx(loss, rel=1e-12)
        assert own.keys() - expected.keys() == ({STILL[1]} if name == STILL[0] else set())
        for parameter, gradient in expected.items():
            difference = (own[parameter] - gradient).norm() / gradient.norm()
            assert difference < 1e-6, (parameter, rank)


def test_one_worker_gets_its_own_rows_back():
    emb_BD = torch.randn(3, 2, requires_grad=True)
    assert gather(emb_BD, 3) is emb_BD
