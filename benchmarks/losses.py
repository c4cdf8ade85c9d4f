"""Time `multi_threshold_loss` against pytorch-metric-learning, and against the plain form that is exact.

    python -m benchmarks.losses [--threads 1 2] [--repeats 9]

Forward and backward on the CPU, seven slices of 256, eight classes. Both peers loop over the slices and differentiate
full distance matrices. Theirs come from float32 dot products, which do not find the hardest pair where samples are
close; those of the plain form come from differences. On these random unit vectors all agree, which is checked first:
values and gradients to 1e-5. Repeats are interleaved; times are medians, ratios medians of the ratios of a round.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor

from fer_core.losses import multi_threshold_loss

Loss = Callable[[Tensor], Tensor]

BATCH_SIZES = (960, 480, 96)  # the largest first: as in training, malloc then keeps what a smaller one frees
NUM_SLICES, SLICE_SIZE, NUM_CLASSES = 7, 256, 8
MARGINS = [0.15 + 0.1 * i for i in range(NUM_SLICES)]


def peer_loss(labels_B: Tensor, dual: bool) -> Loss:
    """A miner and a triplet loss of the peer for each slice; the dual form takes each triplet again, as (p, a, n)."""
    distance = LpDistance(normalize_embeddings=False)
    miner = BatchHardMiner(distance=distance)
    losses = [TripletMarginLoss(margin, distance=distance, reducer=MeanReducer()) for margin in MARGINS]

    def of_slices(emb_BND: Tensor) -> Tensor:
        values = []
        for emb_BD, loss in zip(emb_BND.unbind(dim=1), losses, strict=True):
            a, p, n = miner(emb_BD, labels_B)
            triplets = (torch.cat([a, p]), torch.cat([p, a]), torch.cat([n, n])) if dual else (a, p, n)
            values.append(loss(emb_BD, labels_B, triplets))
        return torch.stack(values)

    return of_slices


def plain_loss(emb_BND: Tensor, labels_B: Tensor, dual: bool) -> Tensor:
    """The hardest picked from an exact distance matrix that is part of the graph."""
    same_BB = labels_B[:, None] == labels_B
    positive_BB = same_BB & ~torch.eye(len(labels_B), dtype=torch.bool)
    values = []
    for emb_BD, margin in zip(emb_BND.unbind(dim=1), MARGINS, strict=True):
        distance_BB = torch.cdist(emb_BD, emb_BD, compute_mode="donot_use_mm_for_euclid_dist")
        pull_B, p_B = distance_BB.masked_fill(~positive_BB, -torch.inf).max(dim=1)
        push_B, n_B = distance_BB.masked_fill(same_BB, torch.inf).min(dim=1)
        terms_B = (pull_B - push_B + margin).relu()
        if dual:
            terms_B = (terms_B + (pull_B - distance_BB[p_B, n_B] + margin).relu()) / 2
        values.append(terms_B.mean())
    return torch.stack(values)


def gradient(loss: Loss, emb_BND: Tensor) -> Tensor:
    return torch.autograd.grad(loss(emb_BND).sum(), emb_BND)[0]


def check_equal(losses: Sequence[Loss], emb_BND: Tensor) -> None:
    """Values and gradients are those of the first; a gradient near 0 is compared with the largest."""
    expected_N, expected_BND = losses[0](emb_BND), gradient(losses[0], emb_BND)
    tolerance = 1e-5 * expected_BND.abs().max().item()
    for loss in losses[1:]:
        torch.testing.assert_close(loss(emb_BND), expected_N, rtol=1e-5, atol=0)
        torch.testing.assert_close(gradient(loss, emb_BND), expected_BND, rtol=1e-5, atol=tolerance)


def rounds_of_milliseconds(losses: Sequence[Loss], emb_BND: Tensor, num_repeats: int) -> list[list[float]]:
    """Time of forward and backward of each loss, a list for each round, after one round that does not count."""
    rounds = []
    for _ in range(num_repeats + 1):
        times = []
        for loss in losses:
            start = time.perf_counter()
            gradient(loss, emb_BND)
            times.append(1e3 * (time.perf_counter() - start))
        rounds.append(times)
    return rounds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    print(f"{'threads':>7}{'form':>9}{'B':>5}{'ours ms':>9}{'PML ms':>9}{'ratio':>7}{'exact ms':>10}{'ratio':>7}")
    for num_threads in options.threads:
        torch.set_num_threads(num_threads)
        for dual in (True, False):
            for batch_size in BATCH_SIZES:
                generator = torch.Generator().manual_seed(0)
                emb_BND = torch.randn(batch_size, NUM_SLICES, SLICE_SIZE, generator=generator)
                emb_BND = torch.nn.functional.normalize(emb_BND, dim=-1).requires_grad_()
                labels_B = torch.arange(batch_size) % NUM_CLASSES
                ours = partial(multi_threshold_loss, labels_B=labels_B, margins_N=MARGINS, dual=dual)
                losses = [ours, peer_loss(labels_B, dual), partial(plain_loss, labels_B=labels_B, dual=dual)]
                check_equal(losses, emb_BND)
                rounds = rounds_of_milliseconds(losses, emb_BND, options.repeats)
                own, peer, exact = (statistics.median(times) for times in zip(*rounds, strict=True))
                to_peer, to_exact = (statistics.median(times[i] / times[0] for times in rounds) for i in (1, 2))
                form = "dual" if dual else "one"
                columns = f"{own:>9.1f}{peer:>9.1f}{to_peer:>7.2f}{exact:>10.1f}{to_exact:>7.1f}"
                print(f"{num_threads:>7}{form:>9}{batch_size:>5}{columns}", flush=True)


if __name__ == "__main__":
    main()
