"""Time `multi_threshold_loss` against pytorch-metric-learning, and against the plain form that is exact.

    python -m benchmarks.losses [--threads 1 2] [--repeats 9]

Forward and backward on the CPU, seven slices of 256, eight classes. Both peers loop over the slices and differentiate
full distance matrices. Theirs come from float32 dot products, which do not find the hardest pair where samples are
close; those of the plain form come from differences. On these random unit vectors all agree, which is checked first:
values and gradients to 1e-5.

Repeats are interleaved, and the forms take turns in who is first of a round, as each leaves the caches to the next one
in its own state. Of one thread it is the processor's time, which neighbours on a shared machine change least; of more
it is the clock's. Times are medians, ratios the medians of the ratios of a round and, beside them, of the least times.
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


def milliseconds(losses: Sequence[Loss], emb_BND: Tensor, num_repeats: int) -> list[list[float]]:
    """Times of forward and backward, a list for each loss, after one round that does not count."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: list[list[float]] = [[] for _ in losses]
    for turn in range(num_repeats + 1):
        for place in range(turn, turn + len(losses)):
            start = clock()
            gradient(losses[place % len(losses)], emb_BND)
            times[place % len(losses)].append(1e3 * (clock() - start))
    return [of_loss[1:] for of_loss in times]


def ratios(times: list[float], own: list[float]) -> str:
    """The median ratio of a round, and that of the least times."""
    in_rounds = [other / mine for other, mine in zip(times, own, strict=True)]
    return f"{statistics.median(in_rounds):>8.2f}{min(times) / min(own):>7.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    columns = f"{'PML ms':>9}{'ratio':>8}{'least':>7}{'exact ms':>10}{'ratio':>8}{'least':>7}"
    print(f"{'threads':>7}{'form':>6}{'B':>5}{'ours ms':>9}{columns}")
    for num_threads in options.threads:
        torch.set_num_threads(num_threads)
        for dual in (True, False):
            for batch_size in BATCH_SIZES:
                generator = torch.Generator().manual_seed(0)
                emb_BND = torch.randn(batch_size, NUM_SLICES, SLICE_SIZE, generator=generator)
                emb_BND = torch.nn.functional.normalize(emb_BND, dim=-1).requires_grad_()
                labels_B = torch.arange(batch_size) % NUM_CLASSES
                ours = partial(multi_threshold_loss, labels_B=labels_B, margins_N=MARGINS, dual=dual)
                losses: list[Loss] = [
                    ours,
                    peer_loss(labels_B, dual),
                    partial(plain_loss, labels_B=labels_B, dual=dual),
                ]
                check_equal(losses, emb_BND)
                own, peer, exact = milliseconds(losses, emb_BND, options.repeats)
                form = "dual" if dual else "one"
                columns = f"{statistics.median(peer):>9.1f}{ratios(peer, own)}"
                columns += f"{statistics.median(exact):>10.1f}{ratios(exact, own)}"
                print(f"{num_threads:>7}{form:>6}{batch_size:>5}{statistics.median(own):>9.1f}{columns}", flush=True)


if __name__ == "__main__":
    main()
