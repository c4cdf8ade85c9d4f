"""Time `multi_threshold_loss` against the plain form: a loop over slices that differentiates full distance matrices.

    python -m benchmarks.losses

Forward and backward, seven slices of 256, eight classes, one thread, on the CPU. The forms run in turn on the same
batch, and the exact form is checked to agree first. The matmul form is cheap in float32, but does not find the
hardest pair where samples are close.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from fer_core.losses import multi_threshold_loss

BATCH_SIZES = (96, 480, 960)
NUM_SLICES, SLICE_SIZE, NUM_CLASSES = 7, 256, 8
MARGINS = [0.15 + 0.1 * i for i in range(NUM_SLICES)]
NUM_REPEATS = 5


def plain_loss(emb_BND: Tensor, labels_B: Tensor, cdist_mode: str) -> Tensor:
    """Dual triplet loss, a slice at a time, the hardest picked from a distance matrix that is part of the graph."""
    same_BB = labels_B[:, None] == labels_B
    positive_BB = same_BB & ~torch.eye(len(labels_B), dtype=torch.bool)
    losses = []
    for emb_BD, margin in zip(emb_BND.unbind(dim=1), MARGINS, strict=True):
        distance_BB = torch.cdist(emb_BD, emb_BD, compute_mode=cdist_mode)
        pull_B, p_B = distance_BB.masked_fill(~positive_BB, -torch.inf).max(dim=1)
        push_B, n_B = distance_BB.masked_fill(same_BB, torch.inf).min(dim=1)
        terms_B = (pull_B - push_B + margin).relu() + (pull_B - distance_BB[p_B, n_B] + margin).relu()
        losses.append(terms_B.mean() / 2)
    return torch.stack(losses)


def gradient(loss: Callable[[Tensor], Tensor], emb_BND: Tensor) -> Tensor:
    return torch.autograd.grad(loss(emb_BND).sum(), emb_BND)[0]


def milliseconds(losses: Sequence[Callable[[Tensor], Tensor]], emb_BND: Tensor) -> list[float]:
    """Median time of forward and backward of each loss, their repeats interleaved."""
    times: list[list[float]] = [[] for _ in losses]
    for _ in range(NUM_REPEATS):
        for loss, spent in zip(losses, times, strict=True):
            start = time.perf_counter()
            gradient(loss, emb_BND)
            spent.append(time.perf_counter() - start)
    return [1e3 * statistics.median(spent) for spent in times]


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    print(f"{'B':>5}{'ours ms':>10}{'plain, exact ms':>17}{'ratio':>8}{'plain, matmul ms':>18}{'ratio':>8}")
    for batch_size in BATCH_SIZES:
        emb_BND = torch.randn(batch_size, NUM_SLICES, SLICE_SIZE, generator=generator)
        emb_BND = torch.nn.functional.normalize(emb_BND, dim=-1).requires_grad_()
        labels_B = torch.arange(batch_size) % NUM_CLASSES
        forms = [
            partial(multi_threshold_loss, labels_B=labels_B, margins_N=MARGINS),
            partial(plain_loss, labels_B=labels_B, cdist_mode="donot_use_mm_for_euclid_dist"),
            partial(plain_loss, labels_B=labels_B, cdist_mode="use_mm_for_euclid_dist"),
        ]
        torch.testing.assert_close(gradient(forms[0], emb_BND), gradient(forms[1], emb_BND), rtol=1e-4, atol=1e-6)
        ours, exact, matmul = milliseconds(forms, emb_BND)
        print(f"{batch_size:>5}{ours:>10.1f}{exact:>17.1f}{exact / ours:>8.1f}{matmul:>18.1f}{matmul / ours:>8.1f}")


if __name__ == "__main__":
    main()
