"""Networks for inference: each batch norm that directly follows a convolution becomes part of it."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(network: nn.Module) -> nn.Module:
    """A copy of `network` in eval mode that gives the same outputs, to rounding, in fewer steps; not for training.

    A module says by `conv_bn_pairs`, a tuple of pairs of names, which of its convolutions are followed by a batch norm
    and by nothing else; the norm leaves the copy. A network without such modules is copied as it is. The given network
    is not touched. The copy's tensors are not those of a weights file, so save the network, not its copy.
    """
    inference = copy.deepcopy(network).eval().requires_grad_(False)
    for module in inference.modules():
        for convolution, norm in getattr(module, "conv_bn_pairs", ()):
            setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
            setattr(module, norm, nn.Identity().eval())
    return inference
