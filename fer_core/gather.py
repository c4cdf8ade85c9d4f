"""Gathering a batch over workers with its gradient, so that a batch loss sees the whole batch in its own order.

Every worker computes the same loss of the same gathered batch, so each already has the whole gradient of its own rows:
the backward pass only cuts them out. It is scaled by the number of workers because DistributedDataParallel averages.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def all_gathered(own: Tensor) -> list[Tensor]:
    """`own` of every worker, in the order of ranks and without gradient; all have the same shape and type."""
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    return parts


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own_BD: Tensor, num_rows: int) -> Tensor:
        world = dist.get_world_size()
        padded = own_BD.new_zeros(-(-num_rows // world), *own_BD.shape[1:])
        padded[: len(own_BD)] = own_BD
        return torch.stack(all_gathered(padded), dim=1).flatten(0, 1)[:num_rows]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        world = dist.get_world_size()
        return gradient[dist.get_rank() :: world] * world, None


def gather(own_BD: Tensor, num_rows: int) -> Tensor:
    """The whole batch, with gradient.

    Args:
        own_BD: this worker's share: every W-th row of the batch, from the one of its rank on; floating for a gradient,
            integers for labels.
        num_rows: B, of the whole batch.
    """
    return own_BD if len(own_BD) == num_rows else _Gather.apply(own_BD, num_rows)


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Put the mean over the workers in place of each gradient, as DistributedDataParallel does for what it wraps.

    For the parameters of a loss of the gathered batch. Its gradients are whole on every worker, but equal only up to
    the rounding of sums whose order a GPU leaves open: workers that each stepped by their own would drift apart.

    Args:
        parameters: the same ones on every worker; those without a gradient are passed over.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    together = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(together)
    together /= dist.get_world_size()
    for gradient, mean in zip(gradients, together.split([one.numel() for one in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
