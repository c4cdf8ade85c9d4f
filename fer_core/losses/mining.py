"""Which positive and which negative each anchor is compared with.

B batch, N slices, D size of a slice.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class BatchHard(NamedTuple):
    """The hardest pair of every anchor: indices into the batch, and which anchors have a pair at all."""

    positive_BN: Tensor
    """Farthest sample of the anchor's class, other than itself; arbitrary where the anchor is not valid."""
    negative_BN: Tensor
    """Nearest sample of another class; arbitrary where the anchor is not valid."""
    valid_B: Tensor
    """True where both exist. Only the labels decide, so it is the same in every slice."""


@torch.no_grad()
def mine_batch_hard(emb_BND: Tensor, labels_B: Tensor) -> BatchHard:
    """Batch Hard triplets (Euclidean), mined in every slice by itself, all slices at once, without a graph.

    Labels are any integers. Nothing here waits for the device. Takes O(N B^2) memory.
    """
    same_BB = labels_B[:, None] == labels_B
    negative_BB = ~same_BB
    positive_BB = same_BB.fill_diagonal_(False)
    closeness_NBB = _closeness(emb_BND.transpose(0, 1))
    return BatchHard(
        positive_BN=torch.where(positive_BB, closeness_NBB, torch.inf).argmin(dim=-1).T,
        negative_BN=torch.where(negative_BB, closeness_NBB, -torch.inf).argmax(dim=-1).T,
        valid_B=positive_BB.any(dim=1) & negative_BB.any(dim=1),
    )


def _closeness(emb_NBD: Tensor) -> Tensor:
    """(N, B, B) values that order each anchor's row from the farthest sample to the nearest: a.x - ||x||^2 / 2.

    That is (||a||^2 - ||a - x||^2) / 2, where ||a||^2 is the same all along the row. In float64: in float32, or the
    TF32 that a GPU may be set to, dot products cancel where samples are close, and the wrong pair is mined. Distances
    from differences would need no float64, but take four times as long.
    """
    emb_NBD = emb_NBD.double().contiguous()
    product_NBB = emb_NBD @ emb_NBD.mT
    half_sq_norm_NB = product_NBB.diagonal(dim1=-2, dim2=-1) / 2
    return product_NBB.sub_(half_sq_norm_NB[:, None])
