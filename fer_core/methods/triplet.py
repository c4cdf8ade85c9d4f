"""`triplet`: the baseline of sgm (Marrero Fernandez et al., tables 1 and 2), a triplet loss over random triplets.

Network and decision are those of `sgm`, so that only the loss differs.
"""

from pydantic import Field
from torch import Tensor

from fer_core.losses.numerics import autocast_off, euclidean, full_precision
from fer_core.methods.base import Objective, Outputs, Recipe
from fer_core.methods.sgm import EmbeddingMethod, EmbeddingOptions
from fer_core.sampling.base import Sampler
from fer_core.sampling.triplets import RandomTripletSampler
from fer_core.targets import Counts, Targets, TrainingRows


class TripletOptions(EmbeddingOptions):
    """Fields of the loss and the embedding."""

    margin: float = Field(
        1.0,
        gt=0,
        description="by how much nearer the positive shall be. Ours, the paper prints none: what is usual for "
        "embeddings without a norm, and what the first author's public code has",
    )


class RandomTripletObjective(Objective):
    """Mean over the batch's triplets of [d(a,p) - d(a,n) + margin]_+, d Euclidean.

    The paper names the loss but prints no formula. It cites FaceNet, whose distances are squared and whose embeddings
    have norm 1; but it describes the loss by distances, and its embedding has no norm, on which squares would let the
    far triplets outweigh all others. So distances are not squared (ours).

    At distance 0 the gradient is 0, so a batch collapsed to one point stays at the value of the margin.
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """{triplet} of a batch as RandomTripletSampler draws it: T anchors, T positives, T negatives.

        Raises:
            ValueError: the embedding is not finite.
        """
        assert len(outputs.embedding_BD) % 3 == 0
        emb_BD = full_precision("embedding_BD", outputs.embedding_BD)
        with autocast_off(emb_BD):
            anchor_TD, positive_TD, negative_TD = emb_BD.chunk(3)
            excess_T = euclidean(anchor_TD, positive_TD) - euclidean(anchor_TD, negative_TD) + self.margin
            return {"triplet": excess_T.relu().mean()}


class Triplet(EmbeddingMethod):
    """Triplet loss on 128 random triplets a batch, 384 rows."""

    Options = TripletOptions
    paper = Recipe(epochs=500, batch_size=384, lr=1e-4)
    options: TripletOptions

    def objective(self, counts: Counts) -> Objective:
        """The hinge of random triplets."""
        return RandomTripletObjective(self.options.margin)

    def sampler(self, rows: TrainingRows, batch_size: int, seed: int) -> Sampler:
        """A third of the rows are anchors; `batch_size` counts rows."""
        return RandomTripletSampler(rows.label_N, rows.sample_N, batch_size, seed)
