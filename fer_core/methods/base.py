"""What a method is: a head on a backbone, a loss over the whole batch, and how it decides.

Letters: B batch, C labels (classes, or sub-classes after subdivision), D embedding size, F features, N slices.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fer_core.options import Frozen


@dataclass(frozen=True)
class Outputs:
    """What a network gives for a batch.

    Attributes:
        embedding_BD: what distances are measured in.
        logits_BC: one a label, or None where the method has no classifier.
    """

    embedding_BD: Tensor
    logits_BC: Tensor | None = None


@dataclass(frozen=True)
class Recipe:
    """How a method is trained. `epochs`, `batch_size` and `lr` of the command line go before these.

    Attributes:
        one_cycle: the rate rises over the first tenth of the steps and falls to zero by a cosine, with decoupled
            weight decay; otherwise it is constant and there is none, as the papers print.
    """

    epochs: int
    batch_size: int
    lr: float
    one_cycle: bool = False
    weight_decay: float = 0.0

    def replaced(self, **given: Any) -> "Recipe":
        """This recipe with other values."""
        return replace(self, **given)

    def rate(self, step: int, num_steps: int) -> float:
        """The learning rate of a step, a pure function."""
        if not self.one_cycle:
            return self.lr
        rising = max(1, num_steps // 10)
        return self.lr * min((step + 1) / rising, (1 + math.cos(math.pi * step / num_steps)) / 2)


class Head(nn.Module):
    """Features (B, F) -> Outputs."""

    def forward(self, features_BF: Tensor) -> Outputs:
        """Embed and, where the method classifies, classify."""
        raise AssertionError("each method has its own")


class Method:
    """One way to learn an embedding. Subclasses are pure: options in, modules and scalars out."""

    Options: type[Frozen] = Frozen
    decides_by: Literal["classifier", "neighbours"] = "classifier"
    paper: Recipe
    """As printed: for a backbone that is pre-trained."""
    from_scratch: Recipe
    """Ours: the printed rates are for fine-tuning and far too small for initial weights drawn at random."""

    def __init__(self, options: Frozen) -> None:
        self.options = options

    def head(self, num_features: int, num_labels: int) -> Head:
        """The head, freshly initialised from torch's current generator."""
        raise AssertionError("each method has its own")

    def predicted(self, outputs: Outputs, labels_B: Tensor, num_labels: int) -> Tensor:
        """The label each sample of a training batch would get, int64 (B,): for the progress display."""
        assert outputs.logits_BC is not None
        return outputs.logits_BC.argmax(dim=1)

    def losses(self, outputs: Outputs, labels_B: Tensor, num_labels: int) -> dict[str, Tensor]:
        """The terms of the loss over a whole batch, gathered over the workers; their sum is minimised.

        Args:
            outputs: of the batch.
            labels_B: int64, 0..num_labels-1.
            num_labels: C.
        """
        raise AssertionError("each method has its own")


class Network(nn.Module):
    """uint8 pictures (B, H, W, 3) -> Outputs; normalisation is part of the network."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        # ImageNet's statistics, which published weights expect
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images_BHWC: Tensor) -> Outputs:
        """Convert on the device (bytes travel, not floats), then features and head."""
        pixels = images_BHWC.permute(0, 3, 1, 2).float().sub(self.mean).div(self.deviation)
        return self.head(self.backbone(pixels).float())
