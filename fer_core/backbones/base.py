"""What every backbone is, and what several of them share.

Letters: B batch, F features, H and W pixels.
"""

from torch import Tensor, nn

SMALL_PATCH = 96
"""Below this the first convolution of a ResNet or AlexNet keeps the resolution. Ours: at 44 pixels the original stems
leave a ResNet a map of 2x2 and AlexNet none."""


class Backbone(nn.Module):
    """Pictures (B, 3, H, W), normalised -> features (B, num_features). The constructor takes the patch's side, pixels.

    The shapes of the parameters never depend on the patch, so weights learnt at one size load at any other.

    Attributes:
        num_features: F.
        published_head: how the names of the tensors begin that a published weights file has for its own classifier.
    """

    num_features: int
    published_head: tuple[str, ...] = ()


def grey(x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W): the mean of the normalised channels, for networks that were published for grey.

    Ours: the normalisation is not undone, so a grey picture's pixels arrive scaled and shifted, which the first
    convolution can take up.
    """
    return x.mean(dim=1, keepdim=True)


def draw_he_weights(network: nn.Module) -> None:
    """He et al.'s normal weights by the number of inputs and zero biases, from torch's current generator.

    For the networks without shortcuts. Ours for AlexNet, whose published training starts from torch's default.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
