"""Weights of several losses that follow how fast each of them falls (paper `dml_net`, DWML).

K tasks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DynamicWeights(nn.Module):
    """Weights l_k = total * exp(w_k / T) / sum_i exp(w_i / T), w_k = L_k(t-1) / L_k(t-2) (dml_net, eq. 8).

    A loss that falls slowly has the larger ratio w and gets the larger weight. L_k(t-1) and L_k(t-2) are the means of
    the last two complete windows of steps, so the weights change once a window; before there are two, each is
    total / num_tasks. Its state is in buffers: checkpoints hold it, `.to` moves it. No gradient runs through it, and
    nothing in `update` waits for the device.

    A loss may reach 0: 0 after 0 counts as no change (w = 1), and a loss that comes back from 0 as the steepest rise
    there is (w = max_ratio). A loss of NaN makes the weights NaN.

    Args:
        num_tasks: K, the number of losses.
        total: what the weights sum to (the paper's K).
        temperature: T; the larger, the more equal the weights.
        window: steps averaged into one L_k.
        max_ratio: bound on |w|, ours: the paper does not say what a ratio over 0 is. So large that at the paper's
            temperature a task that reaches it alone has all the weight with or without the bound.

    Raises:
        ValueError: a number that is not positive.
    """

    weights: Tensor
    """(K,) float32, those of the next step."""
    window_sum: Tensor
    steps_in_window: Tensor
    last_mean: Tensor
    num_windows: Tensor

    def __init__(
        self,
        num_tasks: int = 3,
        total: float = 2.0,
        temperature: float = 2.0,
        window: int = 5,
        max_ratio: float = 100.0,
    ) -> None:
        super().__init__()
        if not (num_tasks > 0 and total > 0 and temperature > 0 and window > 0 and max_ratio > 0):
            raise ValueError("num_tasks, total, temperature, window and max_ratio must be positive")
        self.total, self.temperature, self.window, self.max_ratio = total, temperature, window, max_ratio
        self.register_buffer("weights", torch.full((num_tasks,), total / num_tasks))
        self.register_buffer("window_sum", torch.zeros(num_tasks))
        self.register_buffer("steps_in_window", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last_mean", torch.zeros(num_tasks))
        self.register_buffer("num_windows", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, losses: Tensor | Sequence[Tensor | float]) -> Tensor:
        """Take the K losses of one step, unweighted; return the weights of the next step, (K,) float32.

        Raises:
            ValueError: not one scalar a task.
        """
        loss_K = torch.stack([torch.as_tensor(loss).to(self.window_sum) for loss in losses])
        if loss_K.shape != self.weights.shape:
            raise ValueError(f"losses have shape {tuple(loss_K.shape)}, expected ({len(self.weights)},), one a task")
        # Selected by `where` and not by `if`: the counts stay on the device.
        sum_K, steps = self.window_sum + loss_K, self.steps_in_window + 1
        complete = steps == self.window
        mean_K = sum_K / self.window
        self.weights = torch.where(complete & (self.num_windows > 0), self._weights_after(mean_K), self.weights)
        self.last_mean = torch.where(complete, mean_K, self.last_mean)
        self.num_windows = self.num_windows + complete
        self.window_sum = torch.where(complete, 0.0, sum_K)
        self.steps_in_window = torch.where(complete, 0, steps)
        return self.weights

    def _weights_after(self, mean_K: Tensor) -> Tensor:
        ratio_K = torch.where((mean_K == 0) & (self.last_mean == 0), 1.0, mean_K / self.last_mean)
        ratio_K = ratio_K.clamp(-self.max_ratio, self.max_ratio)
        return self.total * (ratio_K / self.temperature).softmax(dim=0)
