"""`dml_net`: Dynamic Multi-channel Metric Network, for expressions whatever the pose and the person (Liu et al. 2021).

Letters: B batch, C labels, D embedding size, F features, P poses.
"""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fer_core.losses.dynamic_weights import DynamicWeights
from fer_core.losses.five_tuple import five_tuple_loss
from fer_core.losses.numerics import at_least_float32
from fer_core.methods.base import Head, Method, Objective, Outputs, Recipe
from fer_core.methods.face_channels import FaceChannels, fully_connected
from fer_core.options.base import Frozen
from fer_core.sampling.five_tuples import FiveTupleSampler
from fer_core.targets import UNKNOWN, Counts, Targets, TrainingRows

SOFTMAX_DEVIATION, LINEAR_DEVIATION = 1 / 512, 0.04
"""Of the initial weights of layers before a softmax, and of other linear layers (table 1)."""


class DmlNetOptions(Frozen):
    """What the network consists of, and the fields of its losses. Sizes and margins are not printed, so ours."""

    variant: Literal["resnet50", "mfe", "mfe_hpe", "mfe_hpe_jefl", "mfe_hpe_jefl_adw"] = Field(
        "mfe_hpe_jefl_adw",
        description="a row of table 8: the face alone; with eyes and mouth; told its pose; with an embedding and "
        "triplets; with dynamic weights of the losses",
    )
    triplets: Literal["none", "pose", "identity", "both"] = Field(
        "both", description="those of the embedding (figures 10 to 13); variants without an embedding have none"
    )
    hinge: bool = Field(
        True, description="no triplet counts less than 0; the paper prints none, which leaves the loss without bound"
    )
    pose_margin: float = Field(0.2, gt=0, description="squared distance; ours")
    identity_margin: float = Field(0.2, gt=0, description="squared distance; ours")
    unit_norm: bool = Field(
        True,
        description="whether embeddings are of unit length; the paper prints no such thing. Ours: without it triplets "
        "are at first best served by embeddings of no length",
    )
    triplet_scale: float = Field(
        1 / 15, gt=0, description="of the triplets' sums; the paper has 1, ours makes them means over its batch of 15"
    )
    triplets_from: float = Field(
        0.4,
        ge=0,
        lt=1,
        description="share of the steps before the triplets count; the paper has 0. Ours by measurement: hardest "
        "triplets of a network that knows no expression yet draw all embeddings into one point",
    )
    phase_one: float = Field(
        0.1, ge=0, lt=1, description="share of the steps in which the pose branch is frozen and its loss left out; ours"
    )
    eyes_top: float = Field(
        1 / 6,
        ge=0,
        le=2 / 3,
        description="where the eyes' third begins, of the patch from its top. The paper takes the uppermost third, 0, "
        "of crops it does not describe; ours have a margin above the brows, and 0 would cut through the eyes",
    )
    fused_size: int = Field(512, ge=2, description="f1 and f2; ours")
    embedding_size: int = Field(128, ge=2, description="D; ours")
    branch_size: int = Field(
        512,
        ge=2,
        description="features from which a branch tells expression or pose; ours: the printed deviation of a softmax "
        "layer's weights, 1/512, is by custom one over its inputs",
    )

    def has(self, part: Literal["mfe", "hpe", "jefl", "adw"]) -> bool:
        """Whether the variant has a part of table 8."""
        return part in self.variant.split("_")


class DmlNetHead(Head):
    """Features f2 -> embedding e, a linear layer (JEFL); from e a branch each to expression and pose (DWML).

    The branches see the embedding: section 3.2.4 has both tasks done "in the embedding space". A branch is a linear
    layer, ReLU (ours, else the two layers were one) and a linear layer before the softmax. Without JEFL the embedding
    is f2 itself. Branches see an embedding before it is brought to unit length.
    """

    def __init__(self, num_features: int, counts: Counts, options: DmlNetOptions) -> None:
        super().__init__()
        size = options.embedding_size if options.has("jefl") else num_features
        self.embedding = fully_connected(num_features, size, LINEAR_DEVIATION) if options.has("jefl") else nn.Identity()
        self.expression = _branch(size, options.branch_size, counts.labels)
        self.pose = _branch(size, options.branch_size, counts.poses) if options.has("hpe") else None
        self.unit_norm = options.unit_norm and options.has("jefl")

    def forward(self, features_BF: Tensor) -> Outputs:
        """(B, F) -> embedding (B, D), logits, pose logits."""
        embedding_BD = self.embedding(features_BF)
        pose_logits_BP = None if self.pose is None else self.pose(embedding_BD)
        logits_BC = self.expression(embedding_BD)
        if self.unit_norm:
            embedding_BD = normalize(at_least_float32(embedding_BD), dim=1)
        return Outputs(embedding_BD, logits_BC, pose_logits_BP)


def _branch(num_inputs: int, size: int, num_outputs: int) -> nn.Sequential:
    features = fully_connected(num_inputs, size, LINEAR_DEVIATION)
    return nn.Sequential(features, nn.ReLU(), fully_connected(size, num_outputs, SOFTMAX_DEVIATION))


class DmlNetObjective(Objective):
    """l1 L_expression + l2 L_pose + l3 L_triplet (eqs. 4 to 8), those of them that the variant has.

    Without dynamic weights each l is 1. In phase one the pose's term counts 0, so its branch gets exactly no gradient,
    and so do the triplets at first (see the options); dynamic weights are found as ever. A sample whose pose or
    identity is not known takes part in the other terms.

    `trace`: loss_NAME and weight_NAME of each term, the losses without their weights (figure 15).
    """

    def __init__(self, options: DmlNetOptions) -> None:
        super().__init__()
        self.options = options
        self.has_triplets = options.has("jefl") and options.triplets != "none"
        num_losses = 1 + options.has("hpe") + self.has_triplets
        self.dynamic = DynamicWeights(num_losses) if options.has("adw") else None

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """{expression, pose, triplet}, weighted."""
        loss_of = self._losses(outputs, targets)
        weight_of = dict(zip(loss_of, self._weights(torch.stack(list(loss_of.values())).detach()), strict=True))
        self.trace = {f"loss_{name}": loss.detach() for name, loss in loss_of.items()}
        self.trace |= {f"weight_{name}": weight for name, weight in weight_of.items()}
        for name, start in (("pose", self.options.phase_one), ("triplet", self.options.triplets_from)):
            if name in weight_of and progress < start:
                weight_of[name] = torch.zeros_like(weight_of[name])
        return {name: weight_of[name] * loss for name, loss in loss_of.items()}

    def _losses(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        assert outputs.logits_BC is not None
        loss_of = {"expression": cross_entropy(outputs.logits_BC, targets.label_B)}
        if outputs.pose_logits_BP is not None:
            loss_of["pose"] = _known_cross_entropy(outputs.pose_logits_BP, targets.pose_B)
        if self.has_triplets:
            loss_of["triplet"] = self._triplet(outputs.embedding_BD, targets)
        return loss_of

    def _triplet(self, emb_BD: Tensor, targets: Targets) -> Tensor:
        options = self.options
        margins = options.pose_margin, options.identity_margin
        pose, identity = five_tuple_loss(emb_BD, *_alone_where_unknown(targets), *margins, hinge=options.hinge)
        return options.triplet_scale * {"pose": pose, "identity": identity, "both": pose + identity}[options.triplets]

    def _weights(self, loss_K: Tensor) -> Tensor:
        if self.dynamic is None:
            return torch.ones_like(loss_K)
        weight_K = self.dynamic.weights  # of this step, from those before it
        if self.training:
            self.dynamic.update(loss_K)
        return weight_K


def _alone_where_unknown(targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Expression, pose and identity (B,) each, with codes of its own for a sample of which one of them is not known.

    It then shares nothing with any other, so it is nobody's positive or negative.
    """
    factors_B3 = torch.stack([targets.expression_B, targets.pose_B, targets.identity_B], dim=1)
    known_B = factors_B3.amin(dim=1) != UNKNOWN
    own_B = UNKNOWN - torch.arange(len(known_B), device=known_B.device)
    expression_B, pose_B, identity_B = torch.where(known_B[:, None], factors_B3, own_B[:, None]).unbind(dim=1)
    return expression_B, pose_B, identity_B


def _known_cross_entropy(logits_BP: Tensor, label_B: Tensor) -> Tensor:
    """The mean over the samples whose label is known; 0, attached to the graph, where none is."""
    total = cross_entropy(logits_BP, label_B, ignore_index=UNKNOWN, reduction="sum")
    return total / (label_B != UNKNOWN).sum().clamp(min=1)


class DmlNet(Method):
    """Three channels, an embedding of five-tuples, branches for expression and pose, dynamic weights.

    Every variant draws the same batches of five-tuples, so that the ablation compares equal batches.
    """

    Options = DmlNetOptions
    backbone = "resnet50"
    flips = False
    # 0.8 is printed, and not how often: ours is every 50 epochs, down to a tenth
    paper = Recipe(epochs=500, batch_size=15, lr=0.01, lr_decay=0.8, num_decays=10, averaging=0.9999)
    # without weight decay, which would move the frozen branch
    from_scratch = Recipe(epochs=20, batch_size=15, lr=1e-3, one_cycle=True)
    options: DmlNetOptions

    @property
    def uses_identities(self) -> bool:
        """Five-tuples are of several people."""
        return True

    def body(self, new_backbone: Callable[[], nn.Module]) -> nn.Module:
        """Three channels and their fusion, or one backbone."""
        if not self.options.has("mfe"):
            return new_backbone()
        return FaceChannels(new_backbone, self.options.eyes_top, self.options.fused_size, LINEAR_DEVIATION)

    def head(self, num_features: int, counts: Counts) -> Head:
        """Embedding and branches."""
        return DmlNetHead(num_features, counts, self.options)

    def objective(self, counts: Counts) -> Objective:
        """The weighted losses."""
        return DmlNetObjective(self.options)

    def sampler(self, rows: TrainingRows, batch_size: int, seed: int) -> FiveTupleSampler:
        """Five-tuples."""
        return FiveTupleSampler(rows, batch_size, seed)
