"""Boxes of many pictures at once: suppression, correction and squaring without a loop over candidates.

Shape letters: N boxes of all pictures together, 4 = left, top, right, bottom in pixels; B pictures, K boxes of the
fullest picture.
"""

from typing import Literal

import torch

MOST_BOXES = 1000
"""Of one picture in one suppression, best first: bounds memory on pictures full of texture."""


def square(box_N4: torch.Tensor) -> torch.Tensor:
    """The squares of the same centres whose side is the longer side of each box."""
    corner, size = box_N4[:, :2], box_N4[:, 2:] - box_N4[:, :2]
    side = size.amax(dim=1, keepdim=True)
    low = corner + (size - side) / 2
    return torch.cat([low, low + side], dim=1)


def corrected(box_N4: torch.Tensor, shift_N4: torch.Tensor) -> torch.Tensor:
    """Boxes whose sides are moved by shares of the box's width (left, right) and height (top, bottom)."""
    size = box_N4[:, 2:] - box_N4[:, :2]
    return box_N4 + shift_N4 * size.repeat(1, 2)


def overlaps(box_BK4: torch.Tensor, of: Literal["union", "smaller"]) -> torch.Tensor:
    """(B, K, K) intersections of all pairs as a share of their union or of the smaller box; 0 for empty boxes."""
    low = torch.maximum(box_BK4[:, :, None, :2], box_BK4[:, None, :, :2])
    high = torch.minimum(box_BK4[:, :, None, 2:], box_BK4[:, None, :, 2:])
    common = (high - low).clamp_(min=0).prod(dim=-1)
    area = (box_BK4[..., 2:] - box_BK4[..., :2]).clamp(min=0).prod(dim=-1)
    one, other = area[:, :, None], area[:, None, :]
    whole = torch.minimum(one, other) if of == "smaller" else one + other - common
    return common / whole.clamp_(min=1e-9)


def suppress(
    picture_N: torch.Tensor, box_N4: torch.Tensor, score_N: torch.Tensor, most: float, of: Literal["union", "smaller"]
) -> torch.Tensor:
    """Rows that no better-scored box of the same picture overlaps by more than `most`; by picture, best first.

    Of each picture the best `MOST_BOXES` are looked at, the others dropped.

    One matrix per picture, as in Fast NMS (Bolya et al. 2019, YOLACT, section 4.2): a box that is itself suppressed
    still suppresses, which the paper's sequential form does not let it do.
    """
    order = score_N.argsort(descending=True, stable=True)
    order = order[picture_N[order].argsort(stable=True)]
    if len(order) == 0:
        return order
    _, row, count = picture_N[order].unique_consecutive(return_inverse=True, return_counts=True)
    rank = torch.arange(len(order), device=order.device) - (count.cumsum(0) - count)[row]
    order, row, rank = (part[rank < MOST_BOXES] for part in (order, row, rank))
    padded_BK4 = box_N4.new_zeros(len(count), int(rank.max()) + 1, 4)
    padded_BK4[row, rank] = box_N4[order]
    beaten_BK = overlaps(padded_BK4, of).gt(most).triu(diagonal=1).any(dim=1)
    return order[~beaten_BK[row, rank]]
