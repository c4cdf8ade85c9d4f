"""`mul_dml`: dual triplet losses with a threshold of its own for each slice of the embedding, and a classifier."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fer_core.losses.multi_threshold import multi_threshold_loss
from fer_core.methods.base import Head, Method, Objective, Outputs, Recipe
from fer_core.options import Frozen
from fer_core.targets import Counts, Targets

Threshold = Annotated[float, Field(gt=0, lt=2)]  # the distance of two unit vectors is at most 2


class MulDmlOptions(Frozen):
    """Fields of the slices and the loss; paper values."""

    thresholds: tuple[Threshold, ...] = Field(
        (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75), min_length=1, description="one a slice"
    )
    slice_size: int = Field(256, ge=2, description="numbers in a slice")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier")
    triplet_weight: float = Field(0.5, ge=0, description="lambda times the number of slices")


class MulDmlHead(Head):
    """N slices of S, each linear without bias and L2-normalised -> concatenated -> dropout -> classifier.

    The slices' matrices are kept as one (N*S, F) matrix, in training as in use: their products are the same.
    """

    def __init__(self, num_features: int, num_labels: int, options: MulDmlOptions) -> None:
        super().__init__()
        self.num_slices = len(options.thresholds)
        size = self.num_slices * options.slice_size
        self.slices = nn.Linear(num_features, size, bias=False)
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(size, num_labels)

    def forward(self, features_BF: Tensor) -> Outputs:
        """(B, F) -> embedding (B, N*S) of unit slices, logits."""
        slices_BNS = self.slices(features_BF).unflatten(1, (self.num_slices, -1))
        embedding_BD = normalize(slices_BNS, dim=2).flatten(1)
        return Outputs(embedding_BD, self.classifier(self.dropout(embedding_BD)))


class MulDmlObjective(Objective):
    """lambda * sum_i dual triplet loss of slice i at threshold i, and the cross-entropy."""

    margins_N: Tensor

    def __init__(self, options: MulDmlOptions) -> None:
        super().__init__()
        self.register_buffer("margins_N", torch.tensor(options.thresholds), persistent=False)
        self.weight = options.triplet_weight / len(options.thresholds)

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """{dual_triplet, cross_entropy}, the former weighted."""
        assert outputs.logits_BC is not None
        slices_BNS = outputs.embedding_BD.unflatten(1, (len(self.margins_N), -1))
        triplet = multi_threshold_loss(slices_BNS, targets.label_B, self.margins_N).sum()
        return {
            "dual_triplet": self.weight * triplet,
            "cross_entropy": cross_entropy(outputs.logits_BC, targets.label_B),
        }


class MulDml(Method):
    """lambda * sum_i dual triplet loss of slice i at threshold i + softmax cross-entropy (eqs. 6, 9, 10)."""

    Options = MulDmlOptions
    paper = Recipe(epochs=70, batch_size=96, lr=5e-6)
    from_scratch = Recipe(epochs=8, batch_size=96, lr=1e-3, one_cycle=True, weight_decay=0.05)
    options: MulDmlOptions

    def head(self, num_features: int, counts: Counts) -> Head:
        """Slices and classifier."""
        return MulDmlHead(num_features, counts.labels, self.options)

    def objective(self, counts: Counts) -> Objective:
        """The sum over the slices, weighted, and the cross-entropy."""
        return MulDmlObjective(self.options)
