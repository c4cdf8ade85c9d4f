"""Batch Hard triplet losses of one embedding: the one-slice case of `multi_threshold_loss`.

B batch, D embedding size.
"""

import math

from torch import Tensor

from fer_core.losses.multi_threshold import batch_hard_loss
from fer_core.losses.numerics import check_batch, full_precision


def triplet_loss(emb_BD: Tensor, labels_B: Tensor, margin: float) -> Tensor:
    """Traditional triplet loss with Batch Hard mining: mean over valid anchors of [d(a,p) - d(a,n) + margin]_+.

    p is the farthest sample of the anchor's class, n the nearest of another, d Euclidean; an anchor is valid if it has
    both. Labels are any integers.

    Returns:
        Scalar, float32 (float64 for float64 embeddings); 0 attached to the graph if no anchor is valid.

    Raises:
        ValueError: emb_BD or the margin not finite, or shapes that do not fit.
    """
    return _one_slice(emb_BD, labels_B, margin, dual=False)


def dual_triplet_loss(emb_BD: Tensor, labels_B: Tensor, margin: float) -> Tensor:
    """Dual triplet loss (mul_dml, eq. 10): the positive, too, is kept away from the anchor's negative.

    1/(2K) * sum over the K valid anchors of [d(a,p) - d(a,n) + margin]_+ + [d(a,p) - d(p,n) + margin]_+, otherwise as
    `triplet_loss`.
    """
    return _one_slice(emb_BD, labels_B, margin, dual=True)


def _one_slice(emb_BD: Tensor, labels_B: Tensor, margin: float, dual: bool) -> Tensor:
    check_batch("emb_BD", emb_BD, labels_B)
    if not math.isfinite(margin):
        raise ValueError(f"margin is {margin}, expected a finite number")
    emb_B1D = full_precision("emb_BD", emb_BD).unsqueeze(1)
    return batch_hard_loss(emb_B1D, labels_B, emb_B1D.new_full((1,), margin), dual).squeeze(0)
