"""FMPNet: the network of Yu and Zhang 2015 for SFEW, with its stochastic pooling (Zeiler and Fergus 2013)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.backbones.base import Backbone, draw_he_weights, grey

WINDOW, STRIDE = 3, 2


class StochasticPool(nn.Module):
    """Maps (B, C, H, W) of values >= 0 -> (B, C, ceil((H - 1) / 2), the same of W), from windows of 3x3, stride 2.

    In training each window gives one of its values a_i, drawn with probability a_i / sum a from torch's current
    generator of the device; the gradient goes to the value that was drawn. In eval mode it gives what is expected,
    sum a^2 / sum a. A window of zeros gives 0. Windows that reach over the border have only the values inside. H and W
    are at least 2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W')."""
        return _drawn(x) if self.training else _expected(x)


def _expected(x: Tensor) -> Tensor:
    values = x.float()
    mass = functional.avg_pool2d(values, WINDOW, STRIDE, ceil_mode=True)
    weighted = functional.avg_pool2d(values.square(), WINDOW, STRIDE, ceil_mode=True)
    return (weighted / mass.clamp_min(torch.finfo(torch.float32).tiny)).to(x.dtype)


def _drawn(x: Tensor) -> Tensor:
    # a zero is never drawn, so it can fill the border
    x = functional.pad(x, (0, _overhang(x.shape[3]), 0, _overhang(x.shape[2])))
    with torch.no_grad():
        windows = x.unfold(2, WINDOW, STRIDE).unfold(3, WINDOW, STRIDE).flatten(-2)
        mass = windows.float().cumsum(dim=-1)
        level = torch.rand(mass.shape[:-1], device=x.device) * mass[..., -1]
        drawn = (mass <= level[..., None]).sum(dim=-1).clamp_max(WINDOW**2 - 1)  # a window of zeros has none above
        row = STRIDE * torch.arange(drawn.shape[2], device=x.device)[:, None] + drawn // WINDOW
        column = STRIDE * torch.arange(drawn.shape[3], device=x.device) + drawn % WINDOW
        index = row * x.shape[3] + column
    return x.flatten(2).gather(2, index.flatten(2)).view(index.shape)


def _overhang(side: int) -> int:
    """How far the last window reaches over the border, pixels."""
    return (WINDOW - side) % STRIDE


class FMPNet(Backbone):
    """Pictures (B, 3, H, W) -> features (B, 1024), those of the second fully connected layer.

    Of the paper: 48x48 grey pictures; five convolutions of stride 1 and three stochastic pooling layers of 3x3, stride
    2, each of which halves the map: one convolution, pool, two, pool, two, pool; three fully connected layers, of which
    the last is the classifier, with dropout; ReLU behind all but that.

    Of the SGM authors' code: 5x5 for the first convolution and 3x3 for the others, of 64, 64, 64, 128 and 128 channels;
    1024 units; dropout 0.5 before each of the two layers; a batch norm behind each pooling. (They pool by fractional
    maxima, from which the name; here it is the paper's pooling.)

    Ours: other patches, whose last map is averaged, or repeated where it is smaller, to the 6x6 that 48 pixels leave;
    He's initial weights.
    """

    num_features = 1024

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 64, 5, padding=2), nn.ReLU(), StochasticPool(), nn.BatchNorm2d(64)),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
            *(StochasticPool(), nn.BatchNorm2d(64)),
            *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU()),
            *(StochasticPool(), nn.BatchNorm2d(128)),
        )
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(128 * 6 * 6, 1024), nn.ReLU(), nn.Dropout(), nn.Linear(1024, 1024), nn.ReLU()
        )
        draw_he_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1024)."""
        return self.classifier(torch.flatten(self.pool(self.features(grey(x))), 1))
