"""PreActResNet18 (He et al. 2016, "Identity mappings in deep residual networks")."""

import torch
from torch import Tensor, nn

from fer_core.backbones.base import Backbone
from fer_core.backbones.resnet import draw_resnet_weights, first_convolution


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, each behind its batch norm and ReLU, and a shortcut.

    Args:
        in_channels: C of the input.
        channels: C of the output.
        stride: of the first convolution.
        activated: whether the input is normed and rectified already, as the stem's is; then the block does neither.
    """

    conv_bn_pairs = (("conv1", "bn2"),)

    def __init__(self, in_channels: int, channels: int, stride: int = 1, activated: bool = False) -> None:
        super().__init__()
        self.bn1 = None if activated else nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.downsample = nn.Conv2d(in_channels, channels, 1, stride, bias=False) if in_channels != channels else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, channels, H / stride, W / stride)."""
        active = x if self.bn1 is None else torch.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(active)
        return self.conv2(torch.relu(self.bn2(self.conv1(active)))) + shortcut


class PreActResNet18(Backbone):
    """Pictures (B, 3, H, W) -> features (B, 512).

    As in the paper, the first block's activation comes before the shortcut leaves it, and there is one more behind the
    last block. The stem is that of ResNet18, small patches included: the paper's for ImageNet. (The code of the SGM
    authors has the paper's stem for CIFAR, 3x3 and no max-pool, and no activation behind the last block.)
    """

    num_features = 512
    conv_bn_pairs = (("conv1", "bn1"),)

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.conv1 = first_convolution(patch)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(PreActBlock(64, 64, activated=True), PreActBlock(64, 64))
        self.layer2 = nn.Sequential(PreActBlock(64, 128, 2), PreActBlock(128, 128))
        self.layer3 = nn.Sequential(PreActBlock(128, 256, 2), PreActBlock(256, 256))
        self.layer4 = nn.Sequential(PreActBlock(256, 512, 2), PreActBlock(512, 512))
        self.bn2 = nn.BatchNorm2d(512)
        draw_resnet_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 512)."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return torch.relu(self.bn2(x)).mean(dim=(2, 3))
