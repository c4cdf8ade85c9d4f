"""CVGG13: the VGG13 that Barsoum et al. 2016 made for FER+."""

import torch
from torch import Tensor, nn

from fer_core.backbones.base import Backbone, draw_he_weights, grey


class CVGG13(Backbone):
    """Pictures (B, 3, H, W) -> features (B, 1024), those of the second fully connected layer.

    Of the paper and its authors' code: 64x64 grey pictures; 3x3 convolutions with ReLU, 64 and 64, 128 and 128, three
    of 256, three of 256; a 2x2 max-pool and dropout 0.25 behind each group; two layers of 1024 with ReLU and dropout
    0.5; no batch norm.

    Ours: other patches, whose last map is averaged, or repeated where it is smaller, to the 4x4 that 64 pixels leave;
    He's initial weights, as the SGM authors have for the convolutions, instead of Glorot's uniform ones.
    """

    num_features = 1024

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_group(1, 64, 64), *_group(64, 128, 128), *_group(128, 256, 256, 256), *_group(256, 256, 256, 256)
        )
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.classifier = nn.Sequential(
            nn.Linear(256 * 4 * 4, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(0.5)
        )
        draw_he_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1024)."""
        return self.classifier(torch.flatten(self.pool(self.features(grey(x))), 1))


def _group(in_channels: int, *channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in zip((in_channels, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return [*layers, nn.MaxPool2d(2), nn.Dropout(0.25)]
