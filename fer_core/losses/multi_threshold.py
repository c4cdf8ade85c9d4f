"""Multi-threshold metric learning (paper `mul_dml`): a Batch Hard triplet loss a slice, each with its own margin.

B batch, N slices, D size of a slice.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fer_core.losses.mining import mine_batch_hard
from fer_core.losses.numerics import autocast_off, check_batch, euclidean, full_precision


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
        ValueError: emb_BND not finite, shapes that do not fit, not one margin a slice.
    """
    check_batch("emb_BND", emb_BND, labels_B, num_dims=3)
    return batch_hard_loss(full_precision("emb_BND", emb_BND), labels_B, margins_N, dual)


def batch_hard_loss(emb_BND: Tensor, labels_B: Tensor, margins_N: Sequence[float] | Tensor, dual: bool) -> Tensor:
    """`multi_threshold_loss` of embeddings that are checked and of full precision already."""
    num_slices = emb_BND.shape[1]
    margin_N = torch.as_tensor(margins_N, dtype=emb_BND.dtype, device=emb_BND.device)
    if margin_N.shape != (num_slices,):
        raise ValueError(f"margins_N has shape {tuple(margin_N.shape)}, expected ({num_slices},), one a slice")
    with autocast_off(emb_BND):
        mined = mine_batch_hard(emb_BND, labels_B)
        slice_N = torch.arange(num_slices, device=emb_BND.device)
        positive_BND = emb_BND[mined.positive_BN, slice_N]
        negative_BND = emb_BND[mined.negative_BN, slice_N]

        pull_BN = euclidean(emb_BND, positive_BND) + margin_N
        hinge_BN = (pull_BN - euclidean(emb_BND, negative_BND)).relu()
        if dual:
            hinge_BN = (hinge_BN + (pull_BN - euclidean(positive_BND, negative_BND)).relu()) / 2
        # A product and not a selection by mask: the number of valid anchors never has to reach the host.
        return (hinge_BN * mined.valid_B[:, None]).sum(dim=0) / mined.valid_B.sum().clamp(min=1)
