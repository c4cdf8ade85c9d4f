"""`mul_dml`: dual triplet losses with a threshold of its own for each slice of the embedding, and a classifier.

With it the ten that the paper compares it with (tables III to VII), as its variants: VARIANTS is what they are.
"""

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from fer_core.losses.circle import circle_loss
from fer_core.losses.hist import Hist
from fer_core.methods.base import Head, Method, Objective, Recipe
from fer_core.methods.cnn import CnnHead
from fer_core.methods.mul_dml_variants import (
    VARIANTS,
    MulDmlObjective,
    OneSlice,
    SliceHead,
    SliceTriplets,
    Variant,
    VotingHead,
)
from fer_core.options.base import Frozen
from fer_core.targets import Counts

Threshold = Annotated[float, Field(gt=0, lt=2)]  # the distance of two unit vectors is at most 2


class MulDmlOptions(Frozen):
    """Fields of the variant, the slices and the loss; paper values."""

    variant: Literal[
        "cnn",
        "s_trad_triplet",
        "s_dual_triplet",
        "s_dml",
        "mul_dml_same",
        "mul_dml",
        "cnn_multask",
        "mul_dml_multask_same",
        "mul_dml_multask",
        "circle",
        "hist",
    ] = Field("mul_dml", description="which model of the paper's tables III to VII")
    thresholds: tuple[Threshold, ...] = Field(
        (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75),
        min_length=1,
        description="one a slice; where a variant has slices without thresholds of their own, how many slices",
    )
    single_threshold: Threshold = Field(
        0.45,
        description="of the variants with one threshold. The paper takes each data set's best by its table II: CK+ and "
        "MMI 0.45, SFEW 0.75, RAF-DB 0.65; 0.45 is ours for all others, as the best of two and the middle of the range",
    )
    slice_size: int = Field(256, ge=2, description="numbers in a slice")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier")
    triplet_weight: float = Field(
        0.5, ge=0, description="lambda times the number of slices; of the Circle or HIST loss in its place too"
    )
    # the paper does not say with which it ran Circle loss and HIST: ours are those of their own papers
    circle_margin: float = Field(0.25, gt=0, lt=1, description="m of the Circle loss")
    circle_gamma: float = Field(256, gt=0, description="scale of the Circle loss")
    hist_tau: float = Field(32, gt=0, description="scale of HIST's distances")
    hist_alpha: float = Field(0.9, gt=0, description="how fast HIST's incidence falls with distance")

    @model_validator(mode="after")
    def _thresholds_are_used(self) -> Self:
        if len(self.thresholds) == 1 and self.kind.thresholds != "each":
            raise ValueError(f"thresholds are one a slice; what variant {self.variant} takes is single_threshold")
        return self

    @property
    def kind(self) -> Variant:
        """What the variant consists of."""
        return VARIANTS[self.variant]

    @property
    def slices(self) -> tuple[int, int]:
        """How many slices, and how many numbers each has; of the variants that have slices."""
        number, size = len(self.thresholds), self.slice_size
        return {"slices": (number, size), "joined": (1, number * size)}.get(self.kind.embedding, (1, size))

    @property
    def margins(self) -> tuple[float, ...]:
        """The threshold of each slice."""
        return self.thresholds if self.kind.thresholds == "each" else (self.single_threshold,) * self.slices[0]


class MulDml(Method):
    """lambda * sum_i dual triplet loss of slice i at threshold i + softmax cross-entropy (eqs. 6, 9, 10).

    The embedding of s_dml is normalised as a whole, not by slices: the paper calls it S-Dual-Triplet with a larger
    embedding, and gives it that one's threshold, which was found on vectors of norm 1 (ours, the paper does not say).
    Its lambda is 0.5, as there is one loss. circle and hist put their loss where S-Dual-Triplet has its own: one slice
    of norm 1, beside the classifier, with the same lambda.
    """

    Options = MulDmlOptions
    paper = Recipe(epochs=70, batch_size=96, lr=5e-6)
    from_scratch = Recipe(epochs=8, batch_size=96, lr=1e-3, one_cycle=True, weight_decay=0.05)
    options: MulDmlOptions

    @property
    def slice_names(self) -> list[str]:
        """The threshold of each slice, of the variants that have several."""
        if self.options.kind.embedding != "slices":
            return []
        return [f"{margin:g}" for margin in self.options.margins]

    @property
    def unused(self) -> frozenset[str]:
        """What of slices, thresholds and losses the variant does without."""
        kind = self.options.kind
        used = {
            "thresholds": kind.embedding in ("joined", "slices"),
            "single_threshold": kind.thresholds == "single",
            "slice_size": kind.embedding != "features",
            "triplet_weight": kind.metric is not None,
            "circle_margin": kind.metric == "circle",
            "circle_gamma": kind.metric == "circle",
            "hist_tau": kind.metric == "hist",
            "hist_alpha": kind.metric == "hist",
        }
        return frozenset(name for name, is_used in used.items() if not is_used)

    def head(self, num_features: int, counts: Counts) -> Head:
        """Slices and classifier, or the classifier alone."""
        kind, dropout = self.options.kind, self.options.dropout
        if kind.embedding == "features":
            return CnnHead(num_features, counts.labels, dropout)
        head = VotingHead if kind.classifier == "each" else SliceHead
        return head(num_features, counts.labels, *self.options.slices, dropout)

    def objective(self, counts: Counts) -> Objective:
        """The metric loss, weighted, and the cross-entropy."""
        return MulDmlObjective(self._metrics(counts), self.options.slices[0], self.options.triplet_weight)

    def _metrics(self, counts: Counts) -> dict[str, nn.Module]:
        options = self.options
        match options.kind.metric:
            case "triplet" | "dual_triplet" as name:
                return {name: SliceTriplets(options.margins, dual=name == "dual_triplet")}
            case "circle":
                loss = partial(circle_loss, margin=options.circle_margin, gamma=options.circle_gamma)
                return {"circle": OneSlice(loss)}
            case "hist":
                gaussians = Hist(counts.labels, options.slice_size, tau=options.hist_tau, alpha=options.hist_alpha)
                return {"hist": OneSlice(gaussians)}
            case None:
                return {}
