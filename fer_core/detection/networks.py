"""The networks of MTCNN (Zhang et al. 2016, figure 2), as published: P-Net proposes, R-Net refines, O-Net decides.

All take pictures as float32 (N, 3, H, W) RGB, (value - 127.5) / 128, and give
face: the probability of a face; box: the shift of left, top, right, bottom as a share of the window's side.
"""

from typing import NamedTuple, TypeVar

import torch
from torch import nn

from fer_core.detection.weights import published_weights


class Verdict(NamedTuple):
    """What a network says about each window: face (N, ...), box (N, 4, ...), landmarks (N, 10) x then y, or None."""

    face: torch.Tensor
    box: torch.Tensor
    landmarks: torch.Tensor | None = None


class PNet(nn.Module):
    """Windows of 12 pixels, stride 2, over a whole picture; its outputs are maps of such windows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.box, self.face = nn.Conv2d(32, 4, 1), nn.Conv2d(32, 2, 1)

    def forward(self, images: torch.Tensor) -> Verdict:
        """Judge every window."""
        x = self.prelu1(self.conv1(images))
        x = nn.functional.max_pool2d(x, 2, 2, ceil_mode=True)
        x = self.prelu2(self.conv2(x))
        x = self.prelu3(self.conv3(x))
        return Verdict(self.face(x).softmax(dim=1)[:, 1], self.box(x))


class RNet(nn.Module):
    """Windows resized to 24 x 24."""

    SIDE = 24

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.box, self.face = nn.Linear(128, 4), nn.Linear(128, 2)

    def forward(self, images: torch.Tensor) -> Verdict:
        """Judge every window."""
        x = nn.functional.max_pool2d(self.prelu1(self.conv1(images)), 3, 2, ceil_mode=True)
        x = nn.functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2)
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense(x.flatten(1)))
        return Verdict(self.face(x).softmax(dim=1)[:, 1], self.box(x))


class ONet(nn.Module):
    """Windows resized to 48 x 48; gives landmarks too, as a share of the window's side from its corner."""

    SIDE = 48

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.box, self.landmarks, self.face = nn.Linear(256, 4), nn.Linear(256, 10), nn.Linear(256, 2)

    def forward(self, images: torch.Tensor) -> Verdict:
        """Judge every window."""
        x = nn.functional.max_pool2d(self.prelu1(self.conv1(images)), 3, 2, ceil_mode=True)
        x = nn.functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2)
        x = nn.functional.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense(x.flatten(1)))
        return Verdict(self.face(x).softmax(dim=1)[:, 1], self.box(x), self.landmarks(x))


Network = TypeVar("Network", PNet, RNet, ONet)


def with_published_weights(network: Network) -> Network:
    """The network itself, ready for inference.

    Raises:
        InputError: the weights are not installed (see `published_weights`).
    """
    network.load_state_dict(published_weights(type(network).__name__.lower()))
    network.eval().requires_grad_(False)
    return network
