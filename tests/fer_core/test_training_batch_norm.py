"""Batch norm over two and three gloo processes against torch's on the whole batch."""

import copy
import multiprocessing
import os
from dataclasses import dataclass

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from fer_core.training.batch_norm import synchronised
from fer_core.world import World

PRELOAD = ["torch._dynamo", "torch.multiprocessing", "fer_core.training.batch_norm"]
STEPS = 2


@dataclass(frozen=True)
class Case:
    """Inputs `offset` from zero, of `shape` (B, C, ...), through the norm that `kind` and `options` make."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float64
    kind: type[nn.Module] = nn.BatchNorm2d
    options: tuple[tuple[str, object], ...] = ()
    offset: float = 0.0
    tolerance: float = 1e-12

    def norm(self):
        torch.manual_seed(1)
        norm = self.kind(self.shape[1], dtype=self.parameter_dtype, **dict(self.options))
        for value in norm.parameters():
            nn.init.normal_(value)
        return norm

    @property
    def parameter_dtype(self):
        return torch.float32 if self.dtype == torch.bfloat16 else self.dtype

    def batches(self):
        """Input and gradient of the output of each step."""
        torch.manual_seed(2)
        for _ in range(STEPS):
            x, gradient = torch.randn(2, *self.shape, dtype=torch.float64)
            yield (x * 3 + self.offset).to(self.dtype), gradient.to(self.dtype)


CASES = {
    "even": Case((12, 5, 3, 2)),
    "uneven": Case((11, 5, 3, 2)),
    "a share of one row": Case((4, 5, 1, 2)),
    "one row for each of three": Case((3, 5), kind=nn.BatchNorm1d),
    "vectors": Case((11, 5), kind=nn.BatchNorm1d),
    "sequences": Case((11, 5, 4), kind=nn.BatchNorm1d),
    "without weights": Case((11, 5, 3, 2), options=(("affine", False),)),
    "cumulative statistics": Case((11, 5, 3, 2), options=(("momentum", None), ("eps", 0.1))),
    "without running statistics": Case((11, 5, 3, 2), options=(("track_running_stats", False),)),
    "float32": Case((11, 5, 3, 2), torch.float32, tolerance=1e-6),
    # the inputs themselves are rounded to 6e-5 there; sums of squares would be off by a hundredth
    "float32 far from zero": Case((11, 5, 9, 9), torch.float32, offset=1000.0, tolerance=1e-4),
    "bfloat16": Case((11, 5, 9, 9), torch.bfloat16, tolerance=2e-2),
}


def computed(case, module, rank=0, world=1):
    """Outputs and input gradients of each step, gradients of parameters over all steps, state and what eval gives."""
    found = {}
    for step, (whole, whole_gradient) in enumerate(case.batches()):
        x = whole[rank::world].requires_grad_()
        y = module(x)
        y.backward(whole_gradient[rank::world])
        found |= {f"y{step}": y.detach(), f"dx{step}": x.grad}
    found |= {f"d{name}": value.grad for name, value in module.named_parameters()}
    found |= {f"state {name}": value for name, value in module.state_dict().items()}
    with torch.no_grad():
        found["eval"] = module.eval()(whole)
    return found


def worker(rank, world, folder):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    workers = World(rank, world)
    found = {name: computed(case, synchronised(case.norm(), workers), rank, world) for name, case in CASES.items()}
    torch.save(found, f"{folder}/{rank}.pt")
    maps = synchronised(nn.BatchNorm2d(4), workers)(torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last))
    assert maps.is_contiguous(memory_format=torch.channels_last)
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[2, 3])
def of_workers(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("norms")
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(worker, (request.param, str(folder)), nprocs=request.param, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(request.param)]


def dealt_back(parts):
    whole = torch.empty(sum(len(part) for part in parts), *parts[0].shape[1:], dtype=parts[0].dtype)
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = part
    return whole


@pytest.mark.parametrize("name", CASES)
def test_workers_compute_what_one_computes_of_the_whole_batch(of_workers, name):
    case = CASES[name]
    expected = computed(case, case.norm())
    parts = [found[name] for found in of_workers]
    assert parts[0].keys() == expected.keys()
    for key, value in expected.items():
        own = [part[key] for part in parts]
        if key[0] == "y" or key.startswith("dx"):
            together = dealt_back(own)
        elif key[0] == "d":
            together = torch.stack(own).sum(dim=0)
        else:
            assert all(torch.equal(part, own[0]) for part in own)
            together = own[0]
        scale = value.double().abs().max().clamp(min=1)
        assert together.dtype == value.dtype
        assert (together.double() - value.double()).abs().max() <= case.tolerance * scale, key


def test_one_worker_has_the_network_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert synchronised(network, World()) is network
    assert type(network[1]) is nn.BatchNorm2d


def test_parameters_and_buffers_stay_the_same_ones_under_their_names():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), nn.BatchNorm1d(4))
    network[2].requires_grad_(False)
    before, learnt = network.state_dict(keep_vars=True), [value.requires_grad for value in network.parameters()]
    made = synchronised(network.eval(), World(1, 3))
    after = made.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert [value.requires_grad for value in made.parameters()] == learnt
    assert not any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in made.modules())
    assert not any(part.training for part in made.modules())
    assert all(
        type(copied) is type(part) for copied, part in zip(copy.deepcopy(made).modules(), made.modules(), strict=True)
    )
