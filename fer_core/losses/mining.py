"""Which positive and which negative each anchor is compared with.

B batch, N slices, D size of a slice, R rows (anchors) of one slice.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Hardest(NamedTuple):
    """The hardest pair of every anchor: indices into the batch, and which anchors have a pair at all."""

    positive_BN: Tensor
    """Farthest of the anchor's positives; arbitrary where the anchor is not valid."""
    negative_BN: Tensor
    """Nearest of the anchor's negatives; arbitrary where the anchor is not valid."""
    valid_B: Tensor
    """True where both exist. Only the labels decide, so it is the same in every slice."""


class _Barriers(NamedTuple):
    """What is added to closeness so that samples that are no candidates come last."""

    positive_BB: Tensor
    """0 at positives, inf elsewhere: the least close is the farthest positive."""
    negative_BB: Tensor
    """0 at negatives, -inf elsewhere: the closest is the nearest negative."""


def mine_batch_hard(emb_BND: Tensor, labels_B: Tensor) -> Hardest:
    """Batch Hard: positives are the other samples of the anchor's class, negatives all of another class.

    Labels are any integers; otherwise as `mine_hardest`.
    """
    same_BB = labels_B[:, None] == labels_B
    negative_BB = ~same_BB
    return mine_hardest(emb_BND, same_BB.fill_diagonal_(False), negative_BB)


@torch.no_grad()
def mine_hardest(emb_BND: Tensor, positive_BB: Tensor, negative_BB: Tensor) -> Hardest:
    """Farthest positive and nearest negative (Euclidean) of each anchor, in every slice by itself, without a graph.

    The pairs are those that float64 finds. Float32, or the TF32 that a GPU may be set to, picks wrong ones where
    samples are close. A CPU takes float32 all the same, as it is much faster, and repeats in float64 the anchors
    where rounding could have changed the choice: about one in a hundred, but nearly all where samples are equal or
    the hardest distances are below a fiftieth of the spread of the batch, which then takes up to twice the time of
    float64 alone. Other devices take float64 throughout: to tell which anchors to repeat, the host would wait.

    Args:
        emb_BND: (B, N, D) float32 or float64.
        positive_BB: boolean, row a is true at the positives of anchor a.
        negative_BB: boolean, likewise.

    Takes O(N B^2) memory.
    """
    barriers = _Barriers(
        torch.zeros_like(positive_BB, dtype=emb_BND.dtype).masked_fill_(~positive_BB, torch.inf),
        torch.zeros_like(negative_BB, dtype=emb_BND.dtype).masked_fill_(~negative_BB, -torch.inf),
    )
    valid_B = positive_BB.any(dim=1) & negative_BB.any(dim=1)
    emb_NBD = emb_BND.transpose(0, 1)
    if _float32_is_worth_it(emb_BND):
        positive_NB, negative_NB = _mine_in_float32(emb_NBD, barriers, valid_B)
    else:
        exact_NBD = _in_float64(emb_NBD)
        positive_NB, negative_NB = _mine_rows(exact_NBD, exact_NBD, barriers)
    return Hardest(positive_NB.T, negative_NB.T, valid_B)


def _float32_is_worth_it(emb: Tensor) -> bool:
    # Where the user lets matmul round its input (bf16, TF32), the bound on rounding does not hold.
    full_matmul = torch.backends.mkldnn.matmul.fp32_precision in ("none", "ieee")  # type: ignore[attr-defined]
    return emb.dtype == torch.float32 and emb.device.type == "cpu" and full_matmul


def _mine_rows(anchor_NRD: Tensor, emb_NBD: Tensor, barriers: _Barriers) -> tuple[Tensor, Tensor]:
    """(N, R) indices of the farthest positives and the nearest negatives, in the precision of the input."""
    closeness_NRB = _closeness(anchor_NRD, emb_NBD, _sq_norms(emb_NBD))
    positive_NR = (closeness_NRB + barriers.positive_BB).argmin(dim=-1)
    return positive_NR, closeness_NRB.add_(barriers.negative_BB).argmax(dim=-1)


def _closeness(anchor_NRD: Tensor, emb_NBD: Tensor, sq_norm_NB: Tensor) -> Tensor:
    """(N, R, B) values that order each anchor's row from the farthest sample to the nearest: a.x - ||x||^2 / 2.

    That is (||a||^2 - ||a - x||^2) / 2, where ||a||^2 is the same all along the row.
    """
    return (anchor_NRD @ emb_NBD.mT).sub_(sq_norm_NB[:, None] / 2)


def _in_float64(emb_NBD: Tensor) -> Tensor:
    return emb_NBD.to(torch.float64, memory_format=torch.contiguous_format)  # one copy, `.double().contiguous()` two


def _sq_norms(emb_NBD: Tensor) -> Tensor:
    return torch.linalg.vector_norm(emb_NBD, dim=-1).square()  # one pass, where the sum of squares takes two


def _mine_in_float32(emb_NBD: Tensor, barriers: _Barriers, valid_B: Tensor) -> tuple[Tensor, Tensor]:
    """`_mine_rows` of all anchors: in float32, and in float64 where rounding leaves the choice open."""
    # Distances stay as they are, but rounding then goes with the spread of the batch, not with its distance from 0.
    centered_NBD = emb_NBD - emb_NBD.mean(dim=1, keepdim=True)
    sq_norm_NB = _sq_norms(centered_NBD)
    closeness_NBB = _closeness(centered_NBD, centered_NBD, sq_norm_NB)
    negative_NB, nearest_lead_NB = _highest(closeness_NBB + barriers.negative_BB)
    positive_NB, farthest_lead_NB = _highest(closeness_NBB.neg_().sub_(barriers.positive_BB))

    bound_N = _rounding_bound(sq_norm_NB, emb_NBD.shape[-1])
    # Not `lead <= bound`: where float32 overflows the lead is NaN, and the choice is open.
    open_NB = ~(torch.minimum(nearest_lead_NB, farthest_lead_NB) > bound_N[:, None]) & valid_B
    num_rows = int(open_NB.sum(dim=1).max())
    if num_rows == 0:
        return positive_NB, negative_NB
    exact_NBD = _in_float64(emb_NBD)
    if num_rows > len(valid_B) // 2:
        return _mine_rows(exact_NBD, exact_NBD, barriers)
    # As many rows in each slice as the slice with the most has open: to repeat a row that is not does no harm.
    row_NR = open_NB.byte().topk(num_rows).indices
    anchor_NRD = exact_NBD.take_along_dim(row_NR[..., None], dim=1)
    row_barriers = _Barriers(barriers.positive_BB[row_NR], barriers.negative_BB[row_NR])
    exact_positive_NR, exact_negative_NR = _mine_rows(anchor_NRD, exact_NBD, row_barriers)
    return positive_NB.scatter_(1, row_NR, exact_positive_NR), negative_NB.scatter_(1, row_NR, exact_negative_NR)


def _highest(score_NBB: Tensor) -> tuple[Tensor, Tensor]:
    """(N, B) index of the highest score of each row and by how much it leads the second; overwrites the scores."""
    best_NB, index_NB = score_NBB.max(dim=-1)
    second_NB = score_NBB.scatter_(-1, index_NB[..., None], -torch.inf).amax(dim=-1)
    return index_NB, best_NB - second_NB


def _rounding_bound(sq_norm_NB: Tensor, num_dims: int) -> Tensor:
    """(N,) by how much rounding can change the difference of two float32 closeness values of one anchor.

    A dot product of D terms is off by at most D u ||a|| ||x|| in any order of summation, u the unit roundoff, so two
    closeness values together by 3 D u R^2, R the largest norm. The rest pays for the rounding of the centred values,
    of the last subtractions and of R itself, and the smallest normal number for underflow.
    """
    float32 = torch.finfo(torch.float32)
    return 4 * (num_dims + 4) * (float32.eps / 2 * sq_norm_NB.amax(dim=-1) + float32.tiny)
