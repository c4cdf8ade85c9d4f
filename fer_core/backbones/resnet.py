"""ResNet18 and ResNet50 (He et al. 2016) with torchvision's parameter names, so that its published weights load."""

import torch
from torch import Tensor, nn

from fer_core.backbones.base import SMALL_PATCH, Backbone


class Shortcut(nn.Sequential):
    """A 1x1 convolution where a block changes the size, (B, in, H, W) -> (B, out, H / stride, W / stride)."""

    conv_bn_pairs = (("0", "1"),)

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Attributes:
        expansion: channels that come out / `channels`.
        conv_bn_pairs: the convolutions whose output goes to a batch norm and nowhere else, which inference folds.
    """

    expansion = 1
    conv_bn_pairs = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        changes = stride != 1 or in_channels != channels
        self.downsample = Shortcut(in_channels, channels, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, channels, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution and a shortcut; attributes as of BasicBlock.

    The stride is in the 3x3 as in torchvision, whose published weights were trained so; the paper has it in the 1x1.
    """

    expansion = 4
    conv_bn_pairs = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        changes = stride != 1 or in_channels != out_channels
        self.downsample = Shortcut(in_channels, out_channels, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, 4 channels, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + shortcut)


def first_convolution(patch: int) -> nn.Conv2d:
    """7x7 on 3 channels, stride 2, or 1 below SMALL_PATCH. The weights have the same shape either way."""
    return nn.Conv2d(3, 64, 7, 1 if patch < SMALL_PATCH else 2, 3, bias=False)


def draw_resnet_weights(network: nn.Module) -> None:
    """He et al.'s normal weights by the number of outputs, as torchvision has them, from torch's current generator."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class ResNet(Backbone):
    """Four stages of blocks behind a 7x7 convolution and a max-pool.

    Args:
        patch: side of the pictures, pixels.
        block: what the stages consist of.
        num_blocks: of each of the four stages.
    """

    conv_bn_pairs = (("conv1", "bn1"),)
    published_head = ("fc.",)

    def __init__(
        self, patch: int, block: type[BasicBlock] | type[Bottleneck], num_blocks: tuple[int, int, int, int]
    ) -> None:
        super().__init__()
        self.num_features = 512 * block.expansion
        self.conv1 = first_convolution(patch)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(block, 64, 64, num_blocks[0], 1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, num_blocks[1], 2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, num_blocks[2], 2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, num_blocks[3], 2)
        draw_resnet_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, num_features)."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return x.mean(dim=(2, 3))


def _stage(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, channels: int, num_blocks: int, stride: int
) -> nn.Sequential:
    first = block(in_channels, channels, stride)
    return nn.Sequential(first, *(block(channels * block.expansion, channels, 1) for _ in range(num_blocks - 1)))


class ResNet18(ResNet):
    """Pictures (B, 3, H, W) -> features (B, 512)."""

    def __init__(self, patch: int) -> None:
        super().__init__(patch, BasicBlock, (2, 2, 2, 2))


class ResNet50(ResNet):
    """Pictures (B, 3, H, W) -> features (B, 2048)."""

    def __init__(self, patch: int) -> None:
        super().__init__(patch, Bottleneck, (3, 4, 6, 3))
