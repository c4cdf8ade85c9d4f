"""Multi-threshold metric learning (paper `mul_dml`): a Batch Hard triplet loss a slice, each with its own margin.

B batch, N slices, D size of a slice, M slices of all samples.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fer_core.losses.mining import mine_batch_hard
from fer_core.losses.numerics import autocast_off, check_batch, full_precision, values_are_checked


def multi_threshold_loss(
    emb_BND: Tensor, labels_B: Tensor, margins_N: Sequence[float] | Tensor, dual: bool = True
) -> Tensor:
    """Dual (or traditional) triplet loss of every slice, on the hardest triplets of that slice.

    With p the farthest sample of the anchor's class, n the nearest of another, d Euclidean, tau the slice's margin and
    K the number of anchors that have both p and n:

        dual         1/(2K) sum_a [d(a,p) - d(a,n) + tau]_+ + [d(a,p) - d(p,n) + tau]_+      (mul_dml, eq. 10)
        traditional  1/K    sum_a [d(a,p) - d(a,n) + tau]_+

    The triplets are mined without a graph, all slices at once, and only the chosen pairs are differentiated: the value
    and the gradient of the full B x B form, for the memory of three pairs an anchor.

    Args:
        emb_BND: (B, N, D) embeddings, normalised by the caller if at all.
        labels_B: (B,) any integers.
        margins_N: one margin a slice. A tensor on the device of emb_BND spares a copy to it.
        dual: whether d(p,n) is pushed apart as well.

    Returns:
        (N,) float32 (float64 for float64 embeddings). With no valid anchor (one class, or no class of two samples) it
        is 0, attached to the graph with gradient 0. At distance 0 the gradient is 0, so a batch collapsed to one point
        stays at the value of its margins.

    Raises:
        ValueError: emb_BND or a margin not finite, shapes that do not fit, not one margin a slice.
    """
    check_batch("emb_BND", emb_BND, labels_B, num_dims=3)
    margin_N = torch.as_tensor(margins_N)
    if values_are_checked(margin_N) and not margin_N.isfinite().all():
        raise ValueError(f"margins_N is {margin_N.tolist()}, expected finite numbers")
    return batch_hard_loss(full_precision("emb_BND", emb_BND), labels_B, margins_N, dual)


def batch_hard_loss(emb_BND: Tensor, labels_B: Tensor, margins_N: Sequence[float] | Tensor, dual: bool) -> Tensor:
    """`multi_threshold_loss` of embeddings that are checked and of full precision already."""
    num_slices = emb_BND.shape[1]
    margin_N = torch.as_tensor(margins_N, dtype=emb_BND.dtype, device=emb_BND.device)
    if margin_N.shape != (num_slices,):
        raise ValueError(f"margins_N has shape {tuple(margin_N.shape)}, expected ({num_slices},), one a slice")
    with autocast_off(emb_BND):
        mined = mine_batch_hard(emb_BND, labels_B)
        # The slices of all samples as rows, M = B * N.
        slice_N = torch.arange(num_slices, device=emb_BND.device)
        positive_M = (mined.positive_BN * num_slices + slice_N).flatten()
        negative_M = (mined.negative_BN * num_slices + slice_N).flatten()
        distances = _TripletDistances.apply(emb_BND.flatten(0, 1), positive_M, negative_M, dual)

        pull_BN, *push_BN = (distance_M.view(-1, num_slices) for distance_M in distances)
        hinge_BN = sum((pull_BN + margin_N - distance_BN).relu() for distance_BN in push_BN) / len(push_BN)
        # A product and not a selection by mask: the number of valid anchors never has to reach the host.
        return (hinge_BN * mined.valid_B[:, None]).sum(dim=0) / mined.valid_B.sum().clamp(min=1)


class _TripletDistances(torch.autograd.Function):
    """Euclidean distances d(a,p), d(a,n) and, if dual, d(p,n) of every row a of (M, D); gradient 0 at distance 0.

    As `euclidean` of rows taken by index, in half the passes over memory, which are what the loss costs beside mining.
    """

    @staticmethod
    def forward(ctx: Any, emb_MD: Tensor, positive_M: Tensor, negative_M: Tensor, dual: bool) -> tuple[Tensor, ...]:
        p_MD, n_MD = emb_MD.index_select(0, positive_M), emb_MD.index_select(0, negative_M)
        between = (p_MD - n_MD,) if dual else ()
        differences = (p_MD.sub_(emb_MD), n_MD.sub_(emb_MD), *between)
        distances = tuple(torch.linalg.vector_norm(difference_MD, dim=1) for difference_MD in differences)
        ctx.save_for_backward(positive_M, negative_M, *differences, *distances)
        return distances

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        positive_M, negative_M, *saved = ctx.saved_tensors
        differences, distances = saved[: len(gradients)], saved[len(gradients) :]
        # At distance 0 the quotient is NaN or inf.
        slopes = [(g_M / d_M).masked_fill_(d_M == 0, 0)[:, None] for g_M, d_M in zip(gradients, distances, strict=True)]
        at_p_MD, at_n_MD = (differences[i] * slopes[i] for i in (0, 1))
        emb_MD = (at_p_MD + at_n_MD).neg_()
        if len(gradients) > 2:
            between_MD = differences[2] * slopes[2]
            at_p_MD += between_MD
            at_n_MD -= between_MD
        emb_MD.index_add_(0, positive_M, at_p_MD).index_add_(0, negative_M, at_n_MD)
        return emb_MD, None, None, None
