"""No step of any method waits for the device: nothing that it computes needs the values of a tensor on the host.

A batch on torch's meta device has no values and goes the way of a GPU's; what would wait there is forbidden on top.
"""

import pytest
import torch
import torch.distributed as dist
from objective_fixtures import COUNTS, OPTIONS, case, loss_of, method_of
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fer_core.gather import average_gradients, gather
from fer_core.losses.numerics import deferred_checks
from fer_core.targets import Targets
from fer_core.training.keeping import Means

WAITING = ("_local_scalar_dense", "item", "nonzero", "masked_select", "is_nonzero", "equal", "bincount")
"""Operations that give the host a number, or a shape that goes by values; so do all whose name has `unique` in it."""


class Waited(Exception):
    """An operation waits for the device."""


class NothingWaits(TorchDispatchMode):
    """Raises at operations that wait: those by name, selections by a mask, and copies from one device to another."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        tensors = tensors_of((args, kwargs))
        selects = name.startswith(("index", "_index_put")) and any(one.dtype == torch.bool for one in tensors[1:])
        if name in WAITING or "unique" in name or selects:
            raise Waited(name)
        made = operation(*args, **(kwargs or {}))
        if "copy" in name and len({one.device for one in [*tensors, *tensors_of(made)]}) > 1:
            raise Waited(name)
        return made


def tensors_of(tree):
    return [one for one in tree_leaves(tree) if isinstance(one, torch.Tensor)]


def step(name, batch, seen=lambda outputs, targets: (outputs, targets)):
    """What a training step computes, there and back; `seen` is what an objective sees of outputs and targets.

    Whether every parameter got a gradient.
    """
    model, objective, x, targets = case(name, batch, device="meta")
    assert model.training
    assert objective.training
    means = Means()
    with NothingWaits(), deferred_checks():
        outputs, targets = seen(model(x), targets)
        method_of(name).predicted(outputs, targets, COUNTS)
        loss = loss_of(objective, outputs, targets)
        loss.backward()
        if dist.is_initialized():
            average_gradients(objective.parameters())
        means.add({"loss": loss, **objective.trace})
    return all(parameter.grad is not None for module in (model, objective) for parameter in module.parameters())


@pytest.mark.parametrize("name", OPTIONS)
def test_a_step_waits_for_nothing_there_and_back(name):
    assert step(name, 12)


@pytest.fixture
def two_workers():
    """This process as the first of two, of which the second is made up."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("name", ["mul_dml mul_dml", "verification fbv", "landmark_vae m2"])
def test_gathering_waits_for_nothing_there_and_back(name, two_workers):
    def gathered(outputs, targets):
        return outputs.mapped(lambda part: gather(part, 11)), Targets.of(gather(targets.stacked(), 11))

    assert step(name, 6, gathered)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.masked_select(x > 0),
        lambda x: x.index_put_((x > 0,), torch.zeros((), device=x.device)),
        lambda x: x.long().unique(),
        lambda x: x.cpu(),
        lambda x: x + torch.zeros(3).to(x.device),
    ],
)
def test_waiting_would_be_seen(wait):
    with NothingWaits(), pytest.raises((Waited, NotImplementedError)):
        wait(torch.zeros(3, device="meta"))


@pytest.mark.parametrize("wait", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: torch.equal(x, x)])
def test_waiting_backwards_would_be_seen(wait):
    class Waiting(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            wait(gradient)
            return gradient

    made = Waiting.apply(torch.zeros(3, device="meta", requires_grad=True)).sum()
    with NothingWaits(), pytest.raises(Waited):
        made.backward()
