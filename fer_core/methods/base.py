"""What a method is: a network, an objective over the whole batch, how batches are drawn, and how it decides.

Letters: B batch, C labels (classes, sub-classes after subdivision, or identities), D embedding size, F features,
N rows to train on, P poses, X numbers of an input that is no picture.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fer_core.options.base import Frozen
from fer_core.sampling.balanced import BalancedSampler
from fer_core.sampling.base import Sampler
from fer_core.targets import Counts, Targets, TrainingRows


@dataclass(frozen=True)
class Outputs:
    """What a network gives for a batch.

    Attributes:
        embedding_BD: what distances are measured in.
        logits_BC: one a label, or None where the method has no classifier.
        pose_logits_BP: one a pose, or None where the method does not estimate it.
        more: what else the objective needs, each (B, ...), gathered over the workers like the rest.
    """

    embedding_BD: Tensor
    logits_BC: Tensor | None = None
    pose_logits_BP: Tensor | None = None
    more: dict[str, Tensor] = field(default_factory=dict)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Outputs":
        """These outputs with `change` made to every tensor."""
        logits, pose_logits = (part if part is None else change(part) for part in (self.logits_BC, self.pose_logits_BP))
        more = {name: change(part) for name, part in self.more.items()}
        return Outputs(change(self.embedding_BD), logits, pose_logits, more)

    def tensors(self) -> list[Tensor]:
        """Those that there are, in the order in which `mapped` changes them."""
        found: list[Tensor] = []

        def find(part: Tensor) -> Tensor:
            found.append(part)
            return part

        self.mapped(find)
        return found


@dataclass(frozen=True)
class Recipe:
    """How a method is trained. `epochs`, `batch_size` and `lr` of the command line go before these.

    Attributes:
        one_cycle: the rate rises over the first tenth of the steps and falls to zero by a cosine, with decoupled
            weight decay; otherwise it is constant and there is none, as the papers print.
        lr_decay: what the constant rate is multiplied by `num_decays` times, evenly over the run.
        averaging: decay of the exponential moving average of the weights that is kept as the result; 0 keeps the
            last weights. While few steps are done it averages over a tenth of them.
    """

    epochs: int
    batch_size: int
    lr: float
    one_cycle: bool = False
    weight_decay: float = 0.0
    lr_decay: float = 1.0
    num_decays: int = 0
    averaging: float = 0.0

    def replaced(self, **given: Any) -> "Recipe":
        """This recipe with other values."""
        return replace(self, **given)

    def rate(self, step: int, num_steps: int) -> float:
        """The learning rate of a step, a pure function."""
        if not self.one_cycle:
            return self.lr * self.lr_decay ** (step * (self.num_decays + 1) // num_steps)
        rising = max(1, num_steps // 10)
        return self.lr * min((step + 1) / rising, (1 + math.cos(math.pi * step / num_steps)) / 2)


class Head(nn.Module):
    """Features (B, F) -> Outputs."""

    def forward(self, features_BF: Tensor) -> Outputs:
        """Embed and, where the method classifies, classify."""
        raise AssertionError("each method has its own")


class Objective(nn.Module):
    """Outputs and targets of a whole batch, gathered over the workers -> the terms whose sum is minimised.

    A module, as some losses have parameters, which are trained with the network's, or state, which is kept with its
    checkpoints; neither is needed once the network is trained. Every worker computes it of the same batch.

    Attributes:
        trace: scalars of the last call without gradient, kept of each of a run's first steps; empty: none are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trace: dict[str, Tensor] = {}

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """The terms, scalars by name.

        Args:
            outputs, targets: of the batch, in the order in which the sampler drew it.
            progress: share of the steps that are done, from 0 up to but not including 1.
        """
        raise AssertionError("each method has its own")

    def fit(self, sampler: Sampler) -> None:
        """Take what the terms need to know of how batches are drawn, before the first step."""


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


class Method:
    """One way to learn an embedding. Subclasses are pure: options in, modules and samplers out."""

    Options: type[Frozen] = Frozen
    label: Literal["expression", "identity"] = "expression"
    """What the labels are, and so which rows can be trained on."""
    inputs: Literal["pictures", "points"] = "pictures"
    """What the network sees: patches of face crops, or landmarks beside those of the person's neutral face."""
    decides_by: Literal["classifier", "neighbours", "distance"] = "classifier"
    """The most probable class, the commonest of 11 neighbours, or whether two faces lie near enough to be one person's.
    """
    protocol: Literal["expressions", "pairs", "landmarks"] = "expressions"
    """How it is tested, see assessment.protocols."""
    backbone = "resnet18"
    """Where none is named."""
    flips = True
    """Whether half of the training pictures are mirrored; not where the targets tell left from right, as poses do."""
    paper: Recipe
    """As printed: for a backbone that is pre-trained."""
    from_scratch: Recipe
    """Ours: the printed rates are for fine-tuning and far too small for initial weights drawn at random."""

    def __init__(self, options: Frozen) -> None:
        self.options = options

    @property
    def learns(self) -> bool:
        """Whether there are steps to make; what is only fitted, as principal components are, has none."""
        return True

    @property
    def picks_by_validation(self) -> bool:
        """Whether the network that is kept is the one with the least loss on validation rows, not the last one."""
        return False

    @property
    def needs_validation(self) -> bool:
        """Whether validation people are kept out of the training rows even where nobody asked for it."""
        return self.picks_by_validation

    @property
    def slice_names(self) -> list[str]:
        """What the slices are called that the embedding consists of; empty where it is one."""
        return []

    @property
    def unused(self) -> frozenset[str]:
        """Names of the options that its variant does not look at, so that they tell nothing about it."""
        return frozenset()

    @property
    def uses_identities(self) -> bool:
        """Whether who somebody is takes part in learning expressions."""
        return False

    @property
    def human_triplets(self) -> Path | None:
        """The directory of people's triplets that its options name; None where there is none.

        Where there is one, rows of no class are learnt from too: people compare any faces.
        """
        return None

    def body(self, new_backbone: Callable[[], nn.Module]) -> nn.Module:
        """What makes features of pictures; it has `num_features`. Each backbone that is taken is drawn anew."""
        return new_backbone()

    def head(self, num_features: int, counts: Counts) -> Head:
        """The head, freshly initialised from torch's current generator."""
        raise AssertionError("each method has its own")

    def network(self, new_backbone: Callable[[], nn.Module], counts: Counts) -> nn.Module:
        """The whole network: inputs -> Outputs."""
        body = self.body(new_backbone)
        return Network(body, self.head(body.num_features, counts))  # type: ignore[arg-type]

    def fit(self, network: nn.Module, inputs: Tensor) -> None:
        """Set what the network takes from its training inputs as a whole, before the first step.

        Args:
            inputs: float32 (N, X), of a method that does not see pictures.
        """

    def objective(self, counts: Counts) -> Objective:
        """The loss, freshly initialised from torch's current generator."""
        raise AssertionError("each method has its own")

    def sampler(self, rows: TrainingRows, batch_size: int, seed: int) -> Sampler:
        """How batches are drawn: with equal numbers of each label."""
        return BalancedSampler(rows.label_N, batch_size, seed, rows.block_N)

    def validation_sampler(self, rows: TrainingRows, batch_size: int, seed: int) -> Sampler:
        """How batches of validation rows are drawn."""
        return self.sampler(rows, batch_size, seed)

    def predicted(self, outputs: Outputs, targets: Targets, counts: Counts) -> Tensor | None:
        """The label each sample of a training batch would get, int64 (B,), for the progress display; None: no such."""
        return None if outputs.logits_BC is None else outputs.logits_BC.argmax(dim=1)
