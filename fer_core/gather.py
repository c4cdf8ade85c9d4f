"""Gathering a batch over workers with its gradient, so that a batch loss sees the whole batch.

Every worker computes the same loss of the same gathered batch, so each already has the whole gradient of its own rows:
the backward pass only cuts them out. It is scaled by the number of workers because DistributedDataParallel averages.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own_BD: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        padded = own_BD.new_zeros(max(counts), *own_BD.shape[1:])
        padded[: len(own_BD)] = own_BD
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        before = sum(ctx.counts[: dist.get_rank()])
        own = gradient[before : before + ctx.counts[dist.get_rank()]]
        return own * len(ctx.counts), None


def gather(own_BD: Tensor, counts: list[int]) -> Tensor:
    """The rows of all workers in the order of their ranks, with gradient; `own_BD` itself for one worker.

    Args:
        own_BD: this worker's rows; floating for a gradient, integers for labels.
        counts: rows of each worker.
    """
    return own_BD if len(counts) == 1 else _Gather.apply(own_BD, counts)
