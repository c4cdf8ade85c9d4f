"""`sgm`: Structured Gaussian Manifold loss on a linear embedding (Marrero Fernandez et al., Algorithm 1).

Classification is by the 11 nearest training samples, as in the paper's tables 1 and 2.
"""

from pydantic import Field
from torch import Tensor, nn

from fer_core.losses.sgm import sgm_loss, sgm_posterior
from fer_core.methods.base import Head, Method, Objective, Outputs, Recipe
from fer_core.options.base import Frozen
from fer_core.targets import Counts, Targets


class EmbeddingOptions(Frozen):
    """Fields of the embedding."""

    embedding_size: int = Field(64, ge=2, description="D")


class SgmOptions(EmbeddingOptions):
    """Fields of the loss and the embedding."""

    sigma: float = Field(0.5, gt=0, description="deviation of every class's Gaussian")
    norm_weight: float = Field(
        0.05,
        ge=0,
        description="weight of the mean norm. The paper prints 1, at which the collapsed solution (all z = 0) is "
        "cheaper than the separated one; ours by measurement, see benchmarks/sgm_norm_weight.py",
    )


class EmbeddingHead(Head):
    """A linear embedding of D numbers."""

    def __init__(self, num_features: int, embedding_size: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(num_features, embedding_size)

    def forward(self, features_BF: Tensor) -> Outputs:
        """(B, F) -> embedding (B, D)."""
        return Outputs(self.embedding(features_BF))


class EmbeddingMethod(Method):
    """What the paper compares losses on: a linear embedding, in which the nearest training samples decide."""

    Options = EmbeddingOptions
    decides_by = "neighbours"
    # the batch of the others, so that methods are compared over equal numbers of steps
    from_scratch = Recipe(epochs=8, batch_size=96, lr=1e-3, one_cycle=True, weight_decay=0.05)
    options: EmbeddingOptions

    def head(self, num_features: int, counts: Counts) -> Head:
        """A linear embedding; the labels need no parameters."""
        return EmbeddingHead(num_features, self.options.embedding_size)


class SgmObjective(Objective):
    """Eq. 4 and the norm term of Algorithm 1, line 6."""

    def __init__(self, options: SgmOptions, num_labels: int) -> None:
        super().__init__()
        self.options, self.num_labels = options, num_labels

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """{sgm}."""
        sigma, norm_weight = self.options.sigma, self.options.norm_weight
        return {"sgm": sgm_loss(outputs.embedding_BD, targets.label_B, self.num_labels, sigma, norm_weight)}


class Sgm(EmbeddingMethod):
    """Squared error between the posterior of the embedded batch and the labels, plus the norm term."""

    Options = SgmOptions
    paper = Recipe(epochs=500, batch_size=256, lr=1e-4)
    options: SgmOptions

    def objective(self, counts: Counts) -> Objective:
        """Eq. 4 and the norm term."""
        return SgmObjective(self.options, counts.labels)

    def predicted(self, outputs: Outputs, targets: Targets, counts: Counts) -> Tensor:
        """The most probable class of the batch's posterior."""
        emb_BD, label_B = outputs.embedding_BD, targets.label_B
        return sgm_posterior(emb_BD, label_B, counts.labels, self.options.sigma).argmax(dim=1)
