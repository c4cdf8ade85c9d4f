"""Batch normalisation whose statistics are those of the whole batch, however many workers share it.

torch.nn.SyncBatchNorm is that on GPUs, with kernels of its own, and refuses CPUs; here is the same for them. The parts
that cost time are torch's own batch norm kernels, as they are five times as fast as what sums and products come to.

Letters: B rows of this worker's share, C channels, W workers.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from fer_core.gather import all_gathered
from fer_core.losses.numerics import at_least_float32
from fer_core.world import World


def synchronised(network: nn.Module, world: World) -> nn.Module:
    """The network with batch norms whose training statistics are those of the whole batch; of one worker, as it is.

    Parameters and buffers are the network's own under their own names, so make this before an optimizer or
    DistributedDataParallel takes them. Every worker has to call the network equally often, each time with a row or
    more. In eval mode nothing changes. Running statistics come out as the same bits on all workers, so they need no
    broadcast.
    """
    if world.size == 1:
        return network
    if world.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return _replaced(network)


def _replaced(module: nn.Module) -> nn.Module:
    if isinstance(module, _BatchNorm):
        return _BatchNormOverWorkers(module)
    for name, child in module.named_children():
        module.add_module(name, _replaced(child))
    return module


class _BatchNormOverWorkers(_BatchNorm):
    """What stands in for `norm`, of two to five dimensions: (B, C, ...) -> the same shape. Shares may be uneven."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.training = norm.training
        self._parameters.update(norm._parameters)
        self._buffers.update(norm._buffers)

    def _check_input_dim(self, x: Tensor) -> None:
        pass  # of the norm that this stands in for, (B, C, ...) is known

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the statistics of the whole batch, count them in; in eval mode by the running ones."""
        if not self.training:
            return super().forward(x)
        mean_C, variance_C, count = _statistics(x.detach())
        if self.track_running_stats:
            self._track(mean_C, variance_C, count)
        return _Normalise.apply(x, self.weight, self.bias, mean_C, variance_C, count, self.eps)

    @torch.no_grad()
    def _track(self, mean_C: Tensor, variance_C: Tensor, count: Tensor) -> None:
        """As torch does: the running variance is the unbiased one."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean += share * (mean_C - self.running_mean)
        self.running_var += share * (variance_C * count / (count - 1) - self.running_var)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), biased variance (C,) and number of values a channel of the whole batch, in float32 at least.

    The workers' means and variances are put together, not their sums of squares, which would cancel.
    """
    unused_C = at_least_float32(x.new_zeros(x.shape[1]))  # its type makes that of the statistics
    own_mean_C, own_variance_C = torch.batch_norm_update_stats(x, unused_C, unused_C, 0.0)
    own_count_1 = own_mean_C.new_tensor([x.numel() // x.shape[1]])
    # in the order of ranks, so that what is added up of it has the same bits everywhere
    of_all = torch.stack(all_gathered(torch.cat([own_mean_C, own_variance_C, own_count_1])))
    mean_WC, variance_WC, count_W1 = of_all.split([x.shape[1], x.shape[1], 1], dim=1)
    count = count_W1.sum()
    mean_C = (mean_WC * count_W1).sum(dim=0) / count
    return mean_C, ((variance_WC + (mean_WC - mean_C).square()) * count_W1).sum(dim=0) / count, count


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, whose gradient runs through the statistics too.

    With dy the gradient of the output, u = (x - mean) / sqrt(variance + eps) and sums over the whole batch of n values:
    dx = weight / sqrt(variance + eps) * (dy - sum(dy) / n - u sum(dy u) / n). The first term is the gradient at fixed
    statistics; the other two are a normalisation of x again, with another weight and bias. Gradients of weight and bias
    are those of the share; DistributedDataParallel puts them together.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean_C: Tensor,
        variance_C: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean_C, variance_C, count)
        ctx.eps = eps
        return batch_norm(x, mean_C, variance_C, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean_C, variance_C, count = ctx.saved_tensors
        at_fixed, of_weight_C, of_bias_C = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean_C, variance_C, None, None, False, ctx.eps, [True, True, True]
        )
        sums_2C = torch.stack([of_weight_C, of_bias_C])
        dist.all_reduce(sums_2C)
        scale_C = (variance_C + ctx.eps).rsqrt() / -count
        scale_C = scale_C if weight is None else scale_C * weight
        of_u_C, of_one_C = scale_C * sums_2C
        by_statistics = batch_norm(x, mean_C, variance_C, of_u_C, of_one_C, training=False, eps=ctx.eps)
        through = (None, None) if weight is None else (of_weight_C, of_bias_C)
        return (at_fixed + by_statistics, *through, None, None, None, None)
