"""DML-Net's multi-channel features (MFE, section 3.2.2, Algorithm 2): the face, its eyes and its mouth.

Letters: B batch, S side of the patch, V features of one backbone, F fused features.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


def fully_connected(num_inputs: int, num_outputs: int, deviation: float) -> nn.Linear:
    """A linear layer with weights from N(0, deviation^2) by torch's current generator; biases of 0 (ours)."""
    layer = nn.Linear(num_inputs, num_outputs)
    nn.init.normal_(layer.weight, std=deviation)
    nn.init.zeros_(layer.bias)
    return layer


class FaceChannels(nn.Module):
    """Patches (B, 3, S, S) -> fused features (B, num_features), of three backbones.

    v1 = face, v2 = eyes, v3 = mouth; f1 = ReLU(W1 [v2, v3] + b1), f2 = ReLU(W2 [v1, f1] + b2).

    Eyes and mouth are strips of a third of the patch. The paper crops them and says nothing of their size; ours
    stretches each to the patch's square, as a backbone and its published weights are made for one, so a channel costs
    as much as the face's.

    Args:
        new_backbone: draws one.
        eyes_top: where the eyes' strip begins, as a share of S.
        num_features: F, of f1 as of f2.
        deviation: of the initial weights of W1 and W2.
    """

    def __init__(
        self, new_backbone: Callable[[], nn.Module], eyes_top: float, num_features: int, deviation: float
    ) -> None:
        super().__init__()
        self.face, self.eyes, self.mouth = new_backbone(), new_backbone(), new_backbone()
        self.eyes_top, self.num_features = eyes_top, num_features
        size: int = self.face.num_features  # type: ignore[assignment]
        self.local = fully_connected(2 * size, num_features, deviation)
        self.fused = fully_connected(size + num_features, num_features, deviation)

    def forward(self, x_B3SS: Tensor) -> Tensor:
        """(B, 3, S, S) -> f2 (B, num_features)."""
        eyes, mouth = self.strips(x_B3SS)
        face_BV, eyes_BV, mouth_BV = self.face(x_B3SS), self.eyes(eyes), self.mouth(mouth)
        local = torch.relu(self.local(torch.cat([eyes_BV, mouth_BV], dim=1)))
        return torch.relu(self.fused(torch.cat([face_BV, local], dim=1)))

    def strips(self, x_B3SS: Tensor) -> tuple[Tensor, Tensor]:
        """The eyes' third and the lowest third, each stretched to (B, 3, S, S)."""
        side = x_B3SS.shape[2]
        third, top = round(side / 3), round(side * self.eyes_top)
        strips = x_B3SS[:, :, top : top + third], x_B3SS[:, :, side - third :]
        eyes, mouth = (interpolate(one, size=(side, side), mode="bilinear", align_corners=False) for one in strips)
        return eyes, mouth
