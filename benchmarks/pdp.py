"""Time and memory of `pdp_loss` against a loop over quadruples and against a matrix of all pairs of pairs.

    python -m benchmarks.pdp

Forward and backward, embeddings of 128, float32, one thread, on the CPU: people with four expressions each. The loop
goes over the quadruples that meet the conditions only, and takes the gradient a first pair at a time, or its graph
would need gigabytes; it is measured once. Each form runs in a process of its own and shows what it adds to the peak.
"""

import itertools
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from fer_core.losses.geometry import pdp_loss

BATCHES = {64: (8, 2), 256: (32, 2)}  # batch size -> people, and images of each expression of each
NUM_EXPRESSIONS, EMBEDDING_SIZE, NUM_REPEATS = 4, 128, 15

sq_distance = partial(mse_loss, reduction="sum")


def made_batch(num_people: int, num_images: int) -> tuple[Tensor, Tensor, Tensor]:
    index_B = torch.arange(num_people * NUM_EXPRESSIONS * num_images)
    emb_BD = torch.randn(len(index_B), EMBEDDING_SIZE, generator=torch.Generator().manual_seed(0))
    return emb_BD.requires_grad_(), index_B % num_people, index_B // num_people % NUM_EXPRESSIONS


def by_loop(emb_BD: Tensor, identity_B: Tensor, expression_B: Tensor) -> Tensor:
    c, e = identity_B.tolist(), expression_B.tolist()
    pairs = [(a, b) for a, b in itertools.product(range(len(c)), repeat=2) if c[a] == c[b] and e[a] != e[b]]
    alike = {(a, b): [(i, j) for i, j in pairs if (e[i], e[j]) == (e[a], e[b]) and c[i] != c[a]] for a, b in pairs}
    count, value = sum(map(len, alike.values())), torch.zeros(())
    for (a, b), others in alike.items():
        f = emb_BD.unbind()
        terms = [(sq_distance(f[a], f[b]) - sq_distance(f[i], f[j])).square() for i, j in others]
        (loss := torch.stack(terms).sum() / count).backward()
        value += loss.detach()
    return value


def by_pairs_of_pairs(emb_BD: Tensor, identity_B: Tensor, expression_B: Tensor) -> Tensor:
    pair_BB = (identity_B[:, None] == identity_B) & (expression_B[:, None] != expression_B)
    a_P, b_P = pair_BB.nonzero(as_tuple=True)
    distance_P = (emb_BD[a_P] - emb_BD[b_P]).square().sum(dim=1)
    kind_P, person_P = expression_B[a_P] * NUM_EXPRESSIONS + expression_B[b_P], identity_B[a_P]
    valid_PP = (kind_P[:, None] == kind_P) & (person_P[:, None] != person_P)
    return ((distance_P[:, None] - distance_P).square() * valid_PP).sum() / valid_PP.sum()


def measured(form: Callable[..., Tensor], size: tuple[int, int], num_repeats: int) -> tuple[float, float, float]:
    """Median milliseconds, megabytes added to the peak, and the value; a tiny batch first loads what is loaded late."""
    torch.set_num_threads(1)
    form(*made_batch(2, 1))
    batch, times = made_batch(*size), []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(num_repeats):
        start = time.perf_counter()
        loss = form(*batch)
        if loss.requires_grad:  # the loop has done it
            loss.backward()
        times.append(time.perf_counter() - start)
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return 1e3 * statistics.median(times), added / 1024, loss.item()


def main() -> None:
    print(f"{'B':>5}{'form':>18}{'ms':>12}{'ratio':>10}{'peak MB':>10}{'value':>16}")
    for batch_size, size in BATCHES.items():
        results = []
        for form, num_repeats in ((pdp_loss, NUM_REPEATS), (by_pairs_of_pairs, NUM_REPEATS), (by_loop, 1)):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                spent, added, value = pool.submit(measured, form, size, num_repeats).result()
            results.append((spent, value))
            row = f"{batch_size:>5}{form.__name__:>18}{spent:>12.1f}{spent / results[0][0]:>10.1f}"
            print(f"{row}{added:>10.1f}{value:>16.6f}")
            assert abs(value / results[0][1] - 1) < 1e-5, "the forms disagree"


if __name__ == "__main__":
    main()
