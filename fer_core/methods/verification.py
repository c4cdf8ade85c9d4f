"""`verification`: who somebody is, in an embedding that emotion labels order (Ramakrishnan, Pham and Whitehill).

A loss on identities, to which terms on pairs of one person's expressions can be added. The version that was read ends
before the experiments, so weights, margins, recipe and batches are ours.

B batch, D embedding size, E expressions, F features, I identities, P pairs.
"""

from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from fer_core.errors import InputError
from fer_core.losses.arcface import arcface_loss, centroid_arcface_loss
from fer_core.losses.compositional import ce_loss
from fer_core.losses.geometry import fbv_loss, pdm_loss, pdp_loss, squared_triplet_loss
from fer_core.losses.numerics import at_least_float32, full_precision
from fer_core.methods.base import Head, Method, Objective, Outputs, Recipe
from fer_core.options.base import Frozen
from fer_core.sampling.base import Sampler
from fer_core.sampling.identities import IdentitySampler
from fer_core.targets import UNKNOWN, Counts, Targets, TrainingRows

COMPOSER_WIDTH = 100
"""Of each layer of CE's g."""
NEEDED = {
    "pdm": "somebody twice with one expression",
    "pdp": "two people who both show the same two expressions",
    "fbv": "somebody with two expressions",
    "ce": "somebody with two expressions",
    "mtl": "two expressions",
}
"""What each term has to find among the rows."""


class VerificationOptions(Frozen):
    """The loss on identities, the weights of the terms, and the embedding."""

    base: Literal["triplet", "arcface", "arcface_centroid", "none"] = Field(
        "triplet",
        description="triplet: all triplets of the batch; arcface: softmax with an additive angular margin; "
        "arcface_centroid: angles to the batch's centroids, as the paper prints it",
    )
    margin: float = Field(0.2, ge=0, description="of triplet, in squared distance; ours (FaceNet's), none is printed")
    angular_margin: float = Field(
        0.5, ge=0, lt=np.pi, description="of both forms of arcface, radians; ours (Deng et al.), none is printed"
    )
    scale: float = Field(64.0, gt=0, description="of arcface's cosines; that of Deng et al.")
    pdm: float = Field(0.0, ge=0, description="weight of pairwise distance minimisation")
    pdp: float = Field(0.0, ge=0, description="weight of pairwise distance preservation")
    fbv: float = Field(0.0, ge=0, description="weight of fixed basis vectors; with it embeddings are not normalised")
    ce: float = Field(0.0, ge=0, description="weight of compositional embedding")
    mtl: float = Field(0.0, ge=0, description="weight of multi-task learning: cross-entropy of the expressions")
    embedding_size: int = Field(100, ge=2, description="D; what the last layer of the paper's g gives")
    images_per_identity: int = Field(4, ge=2, description="of a person in a batch; ours, none is printed")
    images_per_expression: int = Field(2, ge=1, description="of these with one expression; ours, none is printed")

    @model_validator(mode="after")
    def _something_is_learnt(self) -> Self:
        if self.base == "none" and not any(getattr(self, name) for name in NEEDED):
            raise ValueError(f"base is none: give a weight to one of {', '.join(NEEDED)}")
        return self


class VerificationHead(Head):
    """A linear embedding, of unit norm except with FBV; with MTL an expression classifier on it."""

    def __init__(self, num_features: int, options: VerificationOptions, num_expressions: int) -> None:
        super().__init__()
        self.has_unit_norm = not options.fbv
        # drawn first, so that the initial embedding is the same whatever terms are compared
        self.embedding = nn.Linear(num_features, options.embedding_size)
        self.classifier = nn.Linear(options.embedding_size, num_expressions) if options.mtl else None

    def forward(self, features_BF: Tensor) -> Outputs:
        """(B, F) -> embedding (B, D); more["expression_logits"] (B, E) where there is a classifier."""
        emb_BD = self.embedding(features_BF)
        emb_BD = normalize(at_least_float32(emb_BD), dim=1) if self.has_unit_norm else emb_BD
        more = {} if self.classifier is None else {"expression_logits": self.classifier(emb_BD)}
        return Outputs(emb_BD, more=more)


class Composer(nn.Module):
    """CE's g (III-F): from an embedding with one expression to that with another, three linear layers.

    Args:
        embedding_size: D.
        num_expressions: E; the two expressions enter as one-hot vectors beside the embedding.
    """

    def __init__(self, embedding_size: int, num_expressions: int) -> None:
        super().__init__()
        self.num_expressions = num_expressions
        self.layers = nn.Sequential(
            nn.Linear(embedding_size + 2 * num_expressions, COMPOSER_WIDTH),
            nn.ReLU(),
            nn.Linear(COMPOSER_WIDTH, COMPOSER_WIDTH),
            nn.ReLU(),
            nn.Linear(COMPOSER_WIDTH, embedding_size),
        )

    def forward(self, emb_PD: Tensor, own_P: Tensor, wanted_P: Tensor) -> Tensor:
        """Embeddings (P, D), their expressions (P,), the wanted expressions (P,) -> embeddings (P, D)."""
        shown_PE = [one_hot(expression_P, self.num_expressions).to(emb_PD) for expression_P in (own_P, wanted_P)]
        return self.layers(torch.cat([emb_PD, *shown_PE], dim=1))


class VerificationObjective(Objective):
    """The loss on identities (eq. 1 or ArcFace) and the weighted terms (eqs. 2 to 5 and III-G).

    ArcFace's centres and CE's g are learnt here; they are not needed once the network is trained. Samples of unknown
    expression take part in the loss on identities alone. FBV's origin is the neutral expression; of a set without it
    the first of its expressions, as the paper asks for any one.
    """

    def __init__(self, options: VerificationOptions, counts: Counts) -> None:
        super().__init__()
        self.options = options
        self.origin = 0 if counts.neutral == UNKNOWN else counts.neutral
        if options.base == "arcface":
            centers_ID = torch.randn(counts.identities, options.embedding_size)
            # of about unit length, as only directions count and the optimiser's steps are not relative
            self.centers_ID = nn.Parameter(centers_ID / options.embedding_size**0.5)
        if options.ce:
            self.composer = Composer(options.embedding_size, counts.expressions)

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """{triplet or arcface; pdm, pdp, fbv, ce, mtl where their weights are not 0}, weighted.

        Raises:
            ValueError: the embedding is not finite.
        """
        emb_BD, identity_B, expression_B = outputs.embedding_BD, targets.identity_B, targets.expression_B
        terms = {
            "pdm": lambda: pdm_loss(emb_BD, identity_B, expression_B),
            "pdp": lambda: pdp_loss(emb_BD, identity_B, expression_B),
            "fbv": lambda: fbv_loss(emb_BD, identity_B, expression_B, self.origin),
            "ce": lambda: ce_loss(emb_BD, identity_B, expression_B, self.composer, self.composer.num_expressions),
            "mtl": lambda: _expression_loss(outputs.more["expression_logits"], expression_B),
        }
        weights = {name: getattr(self.options, name) for name in terms}
        added = {name: weight * terms[name]() for name, weight in weights.items() if weight}
        return self._on_identities(emb_BD, identity_B) | added

    def _on_identities(self, emb_BD: Tensor, identity_B: Tensor) -> dict[str, Tensor]:
        options = self.options
        if options.base == "triplet":
            return {"triplet": squared_triplet_loss(emb_BD, identity_B, options.margin)}
        if options.base == "arcface":
            return {"arcface": arcface_loss(emb_BD, identity_B, self.centers_ID, options.angular_margin, options.scale)}
        if options.base == "arcface_centroid":
            return {"arcface": centroid_arcface_loss(emb_BD, identity_B, options.angular_margin)}
        return {}


def _expression_loss(logits_BE: Tensor, expression_B: Tensor) -> Tensor:
    """Mean cross-entropy of the samples of known expression; 0 attached to the graph without one."""
    logits_BE = full_precision("expression_logits", logits_BE)
    total = cross_entropy(logits_BE, expression_B, ignore_index=UNKNOWN, reduction="sum")
    return total / (expression_B != UNKNOWN).sum().clamp(min=1)


class Verification(Method):
    """Triplet or ArcFace on identities, with PDM, PDP, FBV, CE and MTL on expressions."""

    Options = VerificationOptions
    label = "identity"
    decides_by = "distance"
    protocol = "pairs"
    paper = Recipe(epochs=20, batch_size=96, lr=1e-4)  # ours, none is printed
    from_scratch = Recipe(epochs=8, batch_size=96, lr=1e-3, one_cycle=True, weight_decay=0.05)
    options: VerificationOptions

    def head(self, num_features: int, counts: Counts) -> Head:
        """The embedding, and the expression classifier of MTL."""
        return VerificationHead(num_features, self.options, counts.expressions)

    def objective(self, counts: Counts) -> Objective:
        """The base and the terms."""
        return VerificationObjective(self.options, counts)

    def sampler(self, rows: TrainingRows, batch_size: int, seed: int) -> Sampler:
        """People with several images of several expressions each, the same batches for all terms.

        Raises:
            InputError: as IdentitySampler; or a term has nothing to learn from, or FBV too few dimensions.
        """
        self._require_terms(rows)
        options = self.options
        return IdentitySampler(rows, batch_size, seed, options.images_per_identity, options.images_per_expression)

    def _require_terms(self, rows: TrainingRows) -> None:
        num_IE = _num_samples(rows)
        shown_IE = (num_IE > 0).astype(np.float64)
        sharing_EE = shown_IE.T @ shown_IE  # how many people show both
        np.fill_diagonal(sharing_EE, 0)
        most = sharing_EE.max(initial=0)
        found = {
            "pdm": (num_IE > 1).any(),
            "pdp": most > 1,
            "fbv": most > 0,
            "ce": most > 0,
            "mtl": len(sharing_EE) > 1,
        }
        for name, needed in NEEDED.items():
            if getattr(self.options, name) and not found[name]:
                raise InputError(
                    f"--verification.{name} needs {needed} among the training rows, and there is no such: leave it out"
                )
        num_vectors = len(sharing_EE) - 1
        if self.options.fbv and self.options.embedding_size < num_vectors:
            raise InputError(
                f"--verification.embedding-size {self.options.embedding_size} is less than the "
                f"{num_vectors} basis vectors of the expressions: give as many or more"
            )


def _num_samples(rows: TrainingRows) -> np.ndarray:
    """(I, E) samples of each person with each expression; offline rotations of one count once."""
    first = np.unique(rows.sample_N, return_index=True)[1]
    identity, expression = rows.identity_N[first], rows.expression_N[first]
    known = (identity != UNKNOWN) & (expression != UNKNOWN)
    counts = rows.counts()
    num_IE = np.zeros((counts.identities, counts.expressions), dtype=np.int64)
    np.add.at(num_IE, (identity[known], expression[known]), 1)
    return num_IE
