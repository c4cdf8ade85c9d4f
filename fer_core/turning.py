"""Cutting and flipping on the device, and turning too where the offline rotations are virtual.

Shapes: B batch, S side of a face crop, W side of a stored one with its margin, P side of a patch.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fer_core.patches import places


def corners(face_size: int, patch: int, device: torch.device) -> Tensor:
    """Upper left corners (x, y) of the five patches: int64 (5, 2), pixels.

    For a GPU they are made once, as nothing may wait for it in a step and sending them would.
    """
    return torch.tensor(places(face_size, patch), device=device)


def cut_patches(images_BSSC: Tensor, view_B: Tensor, corner_52: Tensor, patch: int) -> Tensor:
    """The patches that Patches.drawn gives, bit by bit: uint8 (B, patch, patch, C). Nothing waits for the device.

    Args:
        images_BSSC: uint8 face crops.
        view_B: int64, as patches.draw_views gives.
        corner_52: as `corners` gives.
        patch: P.
    """
    corner_B2 = corner_52[view_B // 2]
    steps_P = torch.arange(patch, device=images_BSSC.device)
    across_BP = torch.where(_flipped(view_B)[:, None], patch - 1 - steps_P, steps_P)
    row_BP1 = (corner_B2[:, 1, None] + steps_P)[:, :, None]
    column_B1P = (corner_B2[:, 0, None] + across_BP)[:, None, :]
    picture_B11 = torch.arange(len(images_BSSC), device=images_BSSC.device)[:, None, None]
    return images_BSSC[picture_B11, row_BP1, column_B1P]


def turned_patches(
    wide_BWWC: Tensor, angle_B: Tensor, view_B: Tensor, corner_52: Tensor, face_size: int, patch: int
) -> Tensor:
    """The patches that offline rotation, then Patches.drawn would give: float (B, patch, patch, C), 0..255.

    Bilinear, as the offline warp is, in one sampling of the pixels; a picture that is neither turned nor shifted by
    parts of a pixel comes back as it is stored. Nothing waits for the device.

    Args:
        wide_BWWC: uint8 upright crops of side face_size + 2 * margin.
        angle_B: degrees counter-clockwise about the centre.
        view_B: int64, as patches.draw_views gives.
        corner_52: as `corners` gives.
        face_size: S.
        patch: P.
    """
    # centre of the patch, in pixels from the centre of the face
    centre_B2 = corner_52.float()[view_B // 2] + (patch - 1) / 2 - (face_size - 1) / 2
    steps = torch.arange(patch, device=wide_BWWC.device, dtype=torch.float32) - (patch - 1) / 2
    across_BP = torch.where(_flipped(view_B)[:, None], -steps, steps)
    x_BPP = (centre_B2[:, 0, None] + across_BP)[:, None, :]
    y_BPP = (centre_B2[:, 1, None] + steps)[:, :, None]
    turn = torch.deg2rad(angle_B.float())[:, None, None]
    # the warp's inverse: where in the upright crop a pixel of the turned one comes from
    source_x = turn.cos() * x_BPP - turn.sin() * y_BPP
    source_y = turn.sin() * x_BPP + turn.cos() * y_BPP
    grid_BPP2 = torch.stack([source_x, source_y], dim=-1) * (2 / wide_BWWC.shape[1])
    pixels = wide_BWWC.permute(0, 3, 1, 2).float()
    turned = F.grid_sample(pixels, grid_BPP2, mode="bilinear", padding_mode="border", align_corners=False)
    return turned.permute(0, 2, 3, 1)


def _flipped(view_B: Tensor) -> Tensor:
    return (view_B % 2).bool()
