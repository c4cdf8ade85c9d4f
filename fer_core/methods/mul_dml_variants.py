"""What the variants of mul_dml are put together from: which they are, their heads, and their objective.

B batch, C labels, F features, N slices, S numbers of a slice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from fer_core.losses.multi_threshold import multi_threshold_loss
from fer_core.losses.numerics import at_least_float32
from fer_core.methods.base import Head, Objective, Outputs
from fer_core.targets import Targets


@dataclass(frozen=True)
class Variant:
    """One row of the paper's tables III to VII.

    Attributes:
        embedding: the features as they are; one slice; one slice as large as all together; or the slices.
        metric: the loss of the embedding, beside that of the classifier.
        thresholds: whether the slices' triplet losses share one threshold or have one each.
        classifier: one of the whole embedding, or one of each slice, which vote.
    """

    embedding: Literal["features", "slice", "joined", "slices"]
    metric: Literal["triplet", "dual_triplet", "circle", "hist"] | None
    thresholds: Literal["single", "each"] | None
    classifier: Literal["one", "each"]


VARIANTS = {
    "cnn": Variant("features", None, None, "one"),
    "s_trad_triplet": Variant("slice", "triplet", "single", "one"),
    "s_dual_triplet": Variant("slice", "dual_triplet", "single", "one"),
    "s_dml": Variant("joined", "dual_triplet", "single", "one"),
    "mul_dml_same": Variant("slices", "dual_triplet", "single", "one"),
    "mul_dml": Variant("slices", "dual_triplet", "each", "one"),
    "cnn_multask": Variant("slices", None, None, "each"),
    "mul_dml_multask_same": Variant("slices", "dual_triplet", "single", "each"),
    "mul_dml_multask": Variant("slices", "dual_triplet", "each", "each"),
    "circle": Variant("slice", "circle", None, "one"),
    "hist": Variant("slice", "hist", None, "one"),
}
"""The paper's names, in small letters."""


class SliceHead(Head):
    """N slices of S, each linear without bias and L2-normalised -> concatenated -> dropout -> classifier.

    The slices' matrices are kept as one (N*S, F) matrix, in training as in use: their products are the same. It is
    drawn first, so that variants whose matrices have equal shapes start from equal ones.
    """

    def __init__(self, num_features: int, num_labels: int, num_slices: int, slice_size: int, dropout: float) -> None:
        super().__init__()
        self.num_slices = num_slices
        self.slices = nn.Linear(num_features, num_slices * slice_size, bias=False)
        self.dropout = nn.Dropout(dropout)
        self._add_classifiers(slice_size, num_labels)

    def _add_classifiers(self, slice_size: int, num_labels: int) -> None:
        self.classifier = nn.Linear(self.num_slices * slice_size, num_labels)

    def forward(self, features_BF: Tensor) -> Outputs:
        """(B, F) -> embedding (B, N*S) of unit slices, logits."""
        slices_BNS = self.slices(features_BF).unflatten(1, (self.num_slices, -1))
        return self._classified(normalize(at_least_float32(slices_BNS), dim=2))

    def _classified(self, slices_BNS: Tensor) -> Outputs:
        embedding_BD = slices_BNS.flatten(1)
        return Outputs(embedding_BD, self.classifier(self.dropout(embedding_BD)))


class VotingHead(SliceHead):
    """The slices of SliceHead, each with dropout and a classifier of its own (mul_dml, figure 10).

    The logits are those of `voted`; the slices' own, which are trained, are more["slice_logits"] (B, N, C).
    """

    def _add_classifiers(self, slice_size: int, num_labels: int) -> None:
        self.classifiers = nn.ModuleList(nn.Linear(slice_size, num_labels) for _ in range(self.num_slices))

    def _classified(self, slices_BNS: Tensor) -> Outputs:
        own = zip(self.classifiers, self.dropout(slices_BNS).unbind(dim=1), strict=True)
        logits_BNC = torch.stack([classifier(slice_BS) for classifier, slice_BS in own], dim=1)
        return Outputs(slices_BNS.flatten(1), voted(logits_BNC), more={"slice_logits": logits_BNC})


@torch.no_grad()
def voted(logits_BNC: Tensor) -> Tensor:
    """Logits (B, C) float32 of the slices' vote, without gradient: log of (votes + mean probability) / (N + 1).

    Each slice votes for its most probable class (the first of equal ones). The votes of a row sum to N and its mean
    probabilities to 1, so the shares are probabilities, and their softmax gives them back.

    The largest is the majority, and of equal votes the class with the highest summed probability (ours, the paper has
    no rule). For equal votes that is plain. For k against k' > k votes: the mean probability of the former is at most
    1 <= k' - k, and that of the latter above 0, as each of its voters gives it at least 1/C; so k + mean < k' + mean'.
    The same holds for sums over sub-classes. All of it to the rounding of float32.

    A probability that underflows to 0 counts as the smallest normal number, so every logit is finite.
    """
    probability_BNC = logits_BNC.float().softmax(dim=2)
    num_slices, num_labels = logits_BNC.shape[1:]
    votes_BC = one_hot(probability_BNC.argmax(dim=2), num_labels).sum(dim=1)
    share_BC = (votes_BC + probability_BNC.mean(dim=1)) / (num_slices + 1)
    return share_BC.clamp(min=torch.finfo(torch.float32).tiny).log()


class SliceTriplets(nn.Module):
    """Sum over the slices of their Batch Hard triplet losses, each at its own threshold (eq. 10, or eq. 2)."""

    margins_N: Tensor

    def __init__(self, thresholds: Sequence[float], dual: bool) -> None:
        super().__init__()
        self.register_buffer("margins_N", torch.tensor(thresholds), persistent=False)
        self.dual = dual

    def forward(self, slices_BNS: Tensor, label_B: Tensor) -> Tensor:
        """A scalar."""
        return multi_threshold_loss(slices_BNS, label_B, self.margins_N, self.dual).sum()


class OneSlice(nn.Module):
    """A loss of an embedding of one slice: (emb_BD, label_B) -> a scalar."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, slices_BNS: Tensor, label_B: Tensor) -> Tensor:
        """A scalar."""
        return self.loss(slices_BNS.squeeze(1), label_B)


class MulDmlObjective(Objective):
    """lambda * sum_i loss of slice i + cross-entropy (eq. 9), the latter averaged over the classifiers.

    For a classifier a slice the paper prints no total. The average gives every slice what a single one has in
    S-Dual-Triplet: lambda N = 0.5 of a triplet loss to one cross-entropy (ours).

    Args:
        metrics: none or one, by the name of its term: (slices_BNS, label_B) -> the sum over the slices.
        num_slices: N.
        weight: lambda times N.
    """

    def __init__(self, metrics: dict[str, nn.Module], num_slices: int, weight: float) -> None:
        super().__init__()
        self.metrics = nn.ModuleDict(metrics)
        self.num_slices, self.weight = num_slices, weight / num_slices

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """{name of the metric, cross_entropy}, the former weighted."""
        assert outputs.logits_BC is not None
        logits_BNC = outputs.more.get("slice_logits", outputs.logits_BC[:, None])
        slices_BNS = outputs.embedding_BD.unflatten(1, (self.num_slices, -1))
        label_B = targets.label_B
        terms = {name: self.weight * metric(slices_BNS, label_B) for name, metric in self.metrics.items()}
        label_M = label_B.repeat_interleave(logits_BNC.shape[1])
        return terms | {"cross_entropy": cross_entropy(logits_BNC.flatten(0, 1), label_M)}
