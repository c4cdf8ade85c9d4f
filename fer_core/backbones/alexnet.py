"""AlexNet in the form of Krizhevsky 2014 ("One weird trick"), with torchvision's parameter names."""

import torch
from torch import Tensor, nn

from fer_core.backbones.base import SMALL_PATCH, Backbone, draw_he_weights


class AlexNet(Backbone):
    """Pictures (B, 3, H, W) -> features (B, 4096), those of the second fully connected layer.

    Below SMALL_PATCH the first convolution has stride 1 and padding 5 instead of 4 and 2 (ours). The last map is
    averaged, or repeated where it is smaller, to 6x6, which is what 224 pixels leave.
    """

    num_features = 4096
    published_head = ("classifier.6.",)

    def __init__(self, patch: int) -> None:
        super().__init__()
        stride, padding = (1, 5) if patch < SMALL_PATCH else (4, 2)
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride, padding),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()
        )
        draw_he_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 4096)."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
