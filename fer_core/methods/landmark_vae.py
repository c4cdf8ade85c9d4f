"""`landmark_vae`: a variational autoencoder of facial landmarks that knows the neutral face (M1) and triplets (M2).

With it what the paper compares it with: the landmarks themselves, their principal components and a plain VAE.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn

from fer_core.errors import InputError
from fer_core.landmarks.networks import LATENT_SIZE, LandmarkNetwork
from fer_core.landmarks.quality import fit_pca
from fer_core.landmarks.triplets import read_triplets
from fer_core.losses.vae import annealed_beta, elbo_loss, sample_latent, topological_loss
from fer_core.methods.base import Method, Objective, Outputs, Recipe
from fer_core.options.base import Frozen
from fer_core.sampling.base import Sampler
from fer_core.sampling.landmarks import LandmarkSampler
from fer_core.targets import UNKNOWN, Counts, Targets, TrainingRows
from fer_core.tuples import label_triplets

NO_TRIPLETS = np.empty((0, 3), dtype=np.int64)


class LandmarkVaeOptions(Frozen):
    """Fields of the model and its loss; paper values, those of M2 for all."""

    model: Literal["raw", "pca", "vae", "m1", "m2"] = Field(
        "m2", description="the paper's models, and what it compares"
    )
    latent_size: int = Field(LATENT_SIZE, ge=1, description="K, of the principal components too")
    dropout: float = Field(0.1, ge=0, lt=1, description="share that is dropped; the paper's 0.9 is what is kept")
    num_samples: int = Field(3, ge=1, description="L, samples of the latent in the bound")
    variance: float = Field(0.001, gt=0, description="s squared, of the landmarks")
    annealing: float = Field(1.0, ge=0, le=1, description="share of the steps over which the prior's weight rises to 1")
    anneal: Literal["divergence", "prior"] = Field(
        "divergence",
        description="what is annealed: the divergence alone, which the paper found better, or triplets too",
    )
    gamma: float = Field(0.04, gt=0, description="topological variance; the smaller, the dearer a wrong order")
    triplets_per_step: int = Field(10, ge=1, description="V")
    topological_samples: int = Field(10, ge=1, description="M, samples of each latent in a triplet")
    triplets_per_sample: float = Field(
        4.0, gt=0, description="T / N of triplets by labels; the paper has 8,000 of 2,000 training samples"
    )
    triplet_source: Literal["labels", "human"] = Field(
        "labels", description="what is similar: by labels, or by --triplets"
    )
    triplets: Annotated[Path, AfterValidator(Path.absolute)] | None = Field(
        None, description="folder that `prepare --tuples human` made: triplets with weights"
    )
    validation_steps: int = Field(2500, ge=1, description="steps from one validation to the next; they are an epoch")

    @model_validator(mode="after")
    def _human_triplets_are_named(self) -> Self:
        if (self.triplet_source == "human") != (self.triplets is not None):
            raise ValueError("triplet_source human and triplets FOLDER go together")
        return self


class PointNetwork(nn.Module):
    """[x, y] (B, 2X) -> Outputs, of a network that encodes landmarks.

    Attributes:
        neutral_X: the training rows' mean y, for people whose neutral face is not known.
    """

    neutral_X: Tensor

    def __init__(self, coder: LandmarkNetwork) -> None:
        super().__init__()
        self.coder = coder
        self.register_buffer("neutral_X", torch.zeros_like(coder.mean_X))

    def forward(self, xy_B2X: Tensor) -> Outputs:
        """The embedding is mu; what the loss needs beside it goes with it."""
        coded = self.coder(xy_B2X)
        more = {"logvar": coded.logvar_BK, "target": coded.target_BX, "decoded": coded.decoded_BLX}
        return Outputs(coded.mu_BK, more=more)


class ProjectedPoints(nn.Module):
    """[x, y] (B, 2X) -> Outputs: x less the training mean, or its principal components; y as in PointNetwork."""

    neutral_X: Tensor
    mean_X: Tensor
    axes_XK: Tensor

    def __init__(self, numbers: int, num_components: int | None) -> None:
        super().__init__()
        self.register_buffer("neutral_X", torch.zeros(numbers))
        self.register_buffer("mean_X", torch.zeros(numbers))
        self.register_buffer("axes_XK", torch.eye(numbers)[:, :num_components])

    def forward(self, xy_B2X: Tensor) -> Outputs:
        """Project x, the first half."""
        return Outputs((xy_B2X.chunk(2, dim=1)[0] - self.mean_X) @ self.axes_XK)


class LandmarkObjective(Objective):
    """Minus the evidence lower bound of each sample (eq. 5 over N), and for M2 the triplets (eq. 11 over N).

    The rows of the triplets come last: references, positives, negatives.

    Attributes:
        triplets_per_sample: T / N of the training rows, a triplet of weight w counted w times, as it is drawn so often.
    """

    def __init__(self, options: LandmarkVaeOptions) -> None:
        super().__init__()
        self.options = options
        self.triplets_per_sample = options.triplets_per_sample

    def fit(self, sampler: Sampler) -> None:
        """Take T / N from the triplets that there are."""
        assert isinstance(sampler, LandmarkSampler)
        self.triplets_per_sample = len(sampler.triplets_T3) / sampler.num_rows

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """{elbo}, and in training of M2 {topology}; on validation rows the bound alone, with the whole prior."""
        options, mu_BK, more = self.options, outputs.embedding_BD, outputs.more
        has_triplets = options.model == "m2" and self.training
        num_rows = len(mu_BK) - 3 * options.triplets_per_step * has_triplets
        beta = annealed_beta(progress, options.annealing) if self.training else 1.0
        target, decoded, logvar = (more[name][:num_rows] for name in ("target", "decoded", "logvar"))
        bound = elbo_loss(target, decoded, mu_BK[:num_rows], logvar, options.variance, beta)
        terms = {"elbo": bound}
        if has_triplets:
            z_MVK = sample_latent(mu_BK[num_rows:], more["logvar"][num_rows:], options.topological_samples)
            weight_V = mu_BK.new_ones(options.triplets_per_step)
            reference, positive, negative = z_MVK.chunk(3, dim=1)
            weight = beta if options.anneal == "prior" else 1.0
            per_sample, gamma = self.triplets_per_sample, options.gamma
            terms["topology"] = topological_loss(reference, positive, negative, weight_V, per_sample, gamma, weight)
        return terms


class LandmarkVae(Method):
    """The VAE of landmarks and its relatives, by `model`."""

    Options = LandmarkVaeOptions
    inputs = "points"
    decides_by = "neighbours"
    protocol = "landmarks"
    paper = Recipe(epochs=40, batch_size=200, lr=1e-4)  # 100,000 steps
    # ours: a tenth of the steps at ten times the rate; measured, see docs/systems.md
    from_scratch = Recipe(epochs=4, batch_size=200, lr=1e-3, one_cycle=True)
    options: LandmarkVaeOptions

    @property
    def learns(self) -> bool:
        """Landmarks and their principal components are not learnt in steps."""
        return self.options.model not in ("raw", "pca")

    @property
    def picks_by_validation(self) -> bool:
        """The network with the greatest bound on validation people is kept."""
        return self.learns

    @property
    def needs_validation(self) -> bool:
        """All models learn from the same people, whether they need others to be picked by or not."""
        return True

    @property
    def human_triplets(self) -> Path | None:
        """Those of people, where they say what is similar; the other models are tested by them too."""
        return self.options.triplets

    def network(self, new_backbone: Callable[[], nn.Module], counts: Counts) -> nn.Module:
        """A projection, or encoder and decoder."""
        options, numbers = self.options, counts.numbers // 2
        if options.model in ("raw", "pca"):
            return ProjectedPoints(numbers, min(options.latent_size, numbers) if options.model == "pca" else None)
        return PointNetwork(
            LandmarkNetwork(
                num_points=numbers // 3,
                with_neutral=options.model != "vae",
                latent_size=options.latent_size,
                dropout=options.dropout,
                num_samples=options.num_samples,
            )
        )

    def fit(self, network: nn.Module, inputs: Tensor) -> None:
        """The training means, and the axes of the principal components."""
        assert isinstance(network, PointNetwork | ProjectedPoints)
        x_NX, y_NX = inputs.double().cpu().chunk(2, dim=1)
        network.neutral_X.copy_(y_NX.mean(dim=0))
        if isinstance(network, PointNetwork):
            network.coder.set_mean(inputs)
            return
        network.mean_X.copy_(x_NX.mean(dim=0))
        if self.options.model == "pca":
            fitted = fit_pca(x_NX.numpy(), network.axes_XK.shape[1])
            if len(fitted.components_) < network.axes_XK.shape[1]:
                raise InputError(
                    f"{len(x_NX)} training rows have no {network.axes_XK.shape[1]} principal components; use a smaller "
                    "--landmark-vae.latent-size"
                )
            network.axes_XK.copy_(torch.from_numpy(fitted.components_.T))

    def objective(self, counts: Counts) -> Objective:
        """The bound and, for M2, the triplets."""
        return LandmarkObjective(self.options)

    def sampler(self, rows: TrainingRows, batch_size: int, seed: int) -> Sampler:
        """Rows as they come and, for M2, triplets of them."""
        triplets_T3 = self._triplets(rows, seed) if self.options.model == "m2" else NO_TRIPLETS
        per_step, per_epoch = self.options.triplets_per_step, self.options.validation_steps
        return LandmarkSampler(len(rows.label_N), batch_size, triplets_T3, per_step, per_epoch, seed)

    def validation_sampler(self, rows: TrainingRows, batch_size: int, seed: int) -> Sampler:
        """Rows alone, each once; where batches cannot be of one size, less than a row a batch comes twice."""
        num_rows = len(rows.label_N)
        num_batches = -(-num_rows // batch_size)
        return LandmarkSampler(num_rows, -(-num_rows // num_batches), NO_TRIPLETS, 0, num_batches, seed)

    def _triplets(self, rows: TrainingRows, seed: int) -> np.ndarray:
        if self.options.triplets is not None:
            return _human_triplets(self.options.triplets, rows)
        known = np.flatnonzero(rows.expression_N != UNKNOWN)
        intensity = rows.intensity_N[known]
        wanted = round(self.options.triplets_per_sample * len(known))
        degrees = None if np.isnan(intensity).all() else intensity
        return known[label_triplets(rows.expression_N[known], degrees, wanted, seed, rows.neutral)]

    def predicted(self, outputs: Outputs, targets: Targets, counts: Counts) -> None:
        """Nothing is classified."""
        return


def _human_triplets(folder: Path, rows: TrainingRows) -> np.ndarray:
    """Triplets (T, 3) of these rows, each as often as its weight says: drawn evenly, they then count by it."""
    assert rows.name_N is not None
    made = read_triplets(folder, rows.name_N)
    if not len(made.weight_V):
        raise InputError(f"{folder} holds no triplet of the training rows; make them with `prepare --tuples human`")
    return np.repeat(made.triplets_V3, made.weight_V, axis=0)
