"""The virtual form of the offline rotations: turned, cut and flipped on the device, in one sampling of the pixels.

Shapes: B batch, W side of a stored crop with its margin, S side of a face crop, P side of a patch.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fer_core.patches import places


def turned_patches(wide_BWWC: Tensor, angle_B: Tensor, view_B: Tensor, face_size: int, patch: int) -> Tensor:
    """The patches that offline rotation, then Patches.drawn would give: float (B, patch, patch, C), 0..255.

    Bilinear, as the offline warp is; a picture that is neither turned nor shifted by parts of a pixel comes back as it
    is stored.

    Args:
        wide_BWWC: uint8 upright crops of side face_size + 2 * margin.
        angle_B: degrees counter-clockwise about the centre.
        view_B: int64, as patches.draw_views gives.
        face_size: S.
        patch: P.
    """
    corner = torch.tensor(places(face_size, patch), dtype=torch.float32, device=wide_BWWC.device)
    flipped = (view_B % 2).bool()
    # centre of the patch, in pixels from the centre of the face
    centre_B2 = corner[view_B // 2] + (patch - 1) / 2 - (face_size - 1) / 2
    steps = torch.arange(patch, device=wide_BWWC.device, dtype=torch.float32) - (patch - 1) / 2
    across_BP = torch.where(flipped[:, None], -steps, steps)
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
