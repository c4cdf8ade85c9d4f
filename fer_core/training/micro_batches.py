"""A batch put through the network a few rows at a time, with the loss of all of them.

A metric loss compares rows with each other, so it is no sum over micro-batches. The outputs of all rows come first,
without a graph; the loss of the whole batch then says what the gradient of each output is; and with that each
micro-batch goes through the network once more, with a graph. Two forward passes pay for a memory of one micro-batch.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from fer_core.methods.base import Outputs


def num_micro_batches(num_rows: int, workers: int, micro_batch: int | None) -> int:
    """How many each worker makes, all of them the same number, of its share of `num_rows`; None: one."""
    share = -(-num_rows // workers)
    return 1 if micro_batch is None else -(-share // micro_batch)


class MicroBatches:
    """The forward and the backward pass of this worker's share in `number` parts, which are as even as they can be.

    Without batch norm both passes give what the whole share would. Batch norm takes its statistics over each
    micro-batch, over those of the same place on all workers, and counts each once in its running statistics. What
    networks draw, as dropout does, is the same in both passes.

    Args:
        model: the network, or its DistributedDataParallel, whose gradients are exchanged once, with the last part.
        number: of parts; at least one row is in each.
        forward: puts inputs through a module.
    """

    def __init__(self, model: nn.Module, number: int, forward: Callable[[nn.Module, Tensor], Outputs]) -> None:
        self.model, self.number, self._forward = model, number, forward
        self._network = model.module if isinstance(model, DistributedDataParallel) else model

    def outputs(self, inputs: Tensor) -> Outputs:
        """Those of the share, cut off from the network: `backward` takes their gradients from where they land."""
        self._parts = inputs.tensor_split(self.number)
        # drawn from the generator as it stands, which goes by the step
        self._seeds = torch.randint(2**62, (self.number,)).tolist()
        with torch.no_grad(), _uncounted(self._network):
            given = [self._of_part(self._network, part) for part in range(self.number)]
        self._cut_off = _joined(given).mapped(lambda part: part.requires_grad_(part.is_floating_point()))
        return self._cut_off

    def backward(self) -> None:
        """Add the gradients of the network's parameters, once the loss has left its own on the outputs."""
        gradients = [[] if one.grad is None else one.grad.tensor_split(self.number) for one in self._cut_off.tensors()]
        for part in range(self.number):
            with self._exchange(last=part == self.number - 1):
                given = self._of_part(self.model, part).tensors()
                taken = [(one, own[part]) for one, own in zip(given, gradients, strict=True) if own]
                torch.autograd.backward([one for one, _ in taken], [own for _, own in taken])

    def _of_part(self, module: nn.Module, part: int) -> Outputs:
        torch.manual_seed(self._seeds[part])
        return self._forward(module, self._parts[part])

    def _exchange(self, last: bool) -> AbstractContextManager[None]:
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) and not last else nullcontext()


def _joined(parts: list[Outputs]) -> Outputs:
    columns: Iterator[Tensor] = (torch.cat(column) for column in zip(*(part.tensors() for part in parts), strict=True))
    return parts[0].mapped(lambda _: next(columns))


@contextmanager
def _uncounted(network: nn.Module) -> Iterator[None]:
    """While it lasts, batch norms leave their running statistics as they are."""
    norms = [part for part in network.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
