"""Pictures on the device, their pyramid, and square windows cut out of all of them at once.

Shape letters: B pictures of one size (H, W), N windows, S side of a resized window, 4 = left, top, right, bottom.
Coordinates are pixels of the picture, with pixel centres at integers.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch

PYRAMID_FACTOR = 0.709
"""From one level to the next (Zhang et al. 2016 print none; their code has this: about half the area)."""
P_NET_WINDOW = 12
"""Pixels. No picture or level smaller than this can hold a face."""


class Batch(NamedTuple):
    """Pictures of one size: the number of the first within the call, and uint8 (B, H, W, 3) RGB on the device."""

    first: int
    pixels_BHWC: torch.Tensor


def normalised(batch: Batch) -> torch.Tensor:
    """float32 (B, 3, H, W) of mean grey 0, as the networks were trained: (value - 127.5) / 128."""
    pixels_BCHW = batch.pixels_BHWC.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return pixels_BCHW.sub_(127.5).div_(128)


def pyramid(images_BCHW: torch.Tensor, least_face: float) -> Iterator[torch.Tensor]:
    """Each level of normalised pictures, largest first: the first one makes faces of `least_face` pixels 12 wide.

    The last is the smallest that still holds a window of 12 pixels. Nothing for pictures smaller than `least_face`.
    """
    height, width = images_BCHW.shape[2:]
    scale = P_NET_WINDOW / least_face
    while min(height, width) * scale >= P_NET_WINDOW:
        size = [int(height * scale + 1e-6), int(width * scale + 1e-6)]
        level = torch.nn.functional.interpolate(images_BCHW, size, mode="bilinear", antialias=True)
        yield level.contiguous(memory_format=torch.channels_last)
        scale *= PYRAMID_FACTOR


def windows(batches: list[Batch], picture_N: torch.Tensor, box_N4: torch.Tensor, side: int) -> torch.Tensor:
    """Cut boxes out of their pictures: float32 (N, 3, side, side), mean grey where a box leaves its picture.

    Bilinear samples, the outermost on the box's edge. `picture_N` is ascending, as are the batches.
    """
    cuts = [_cut(batch, *_of(batch, picture_N, box_N4), side) for batch in batches]
    return torch.cat(cuts).contiguous(memory_format=torch.channels_last)


def _of(batch: Batch, picture_N: torch.Tensor, box_N4: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = (picture_N >= batch.first) & (picture_N < batch.first + len(batch.pixels_BHWC))
    return picture_N[rows] - batch.first, box_N4[rows]


def _cut(batch: Batch, picture_N: torch.Tensor, box_N4: torch.Tensor, side: int) -> torch.Tensor:
    """One grid for each picture holds all of its windows, below each other; the other rows of the grid stay unread."""
    if len(picture_N) == 0:
        return box_N4.new_empty(0, 3, side, side)
    images_BCHW = normalised(batch)
    num_pictures, _, height, width = images_BCHW.shape
    count = picture_N.bincount(minlength=num_pictures)
    rank_N = torch.arange(len(picture_N), device=picture_N.device) - (count.cumsum(0) - count)[picture_N]
    most = int(count.max())
    grid = images_BCHW.new_full((num_pictures, most, side, side, 2), 2.0)  # 2 is outside of every picture
    grid[picture_N, rank_N] = _samples(box_N4, height, width, side)
    cut = torch.nn.functional.grid_sample(
        images_BCHW, grid.reshape(num_pictures, most * side, side, 2), padding_mode="zeros", align_corners=True
    )
    return cut.reshape(num_pictures, 3, most, side, side)[picture_N, :, rank_N]


def _samples(box_N4: torch.Tensor, height: int, width: int, side: int) -> torch.Tensor:
    """(N, S, S, 2) positions x, y; -1 and 1 are the centres of the picture's outermost pixels."""
    share_S = torch.linspace(0, 1, side, device=box_N4.device)
    low_N2, size_N2 = box_N4[:, :2], box_N4[:, 2:] - box_N4[:, :2]
    position_NS2 = low_N2[:, None] + share_S[None, :, None] * size_N2[:, None]
    position_NS2 = position_NS2 * (2 / box_N4.new_tensor([width - 1, height - 1])) - 1
    x_NSS = position_NS2[:, None, :, 0].expand(-1, side, -1)
    y_NSS = position_NS2[:, :, None, 1].expand(-1, -1, side)
    return torch.stack([x_NSS, y_NSS], dim=-1)
