"""Every method and variant with a small network on random batches, for tests that go over all objectives."""

from unittest import mock

import torch
from torch import nn

from fer_core.methods import REGISTRY
from fer_core.methods.mul_dml_variants import VARIANTS
from fer_core.targets import Counts, Targets

NUM_FEATURES, NUM_LABELS = 6, 3
COUNTS = Counts(NUM_LABELS, NUM_LABELS, 2, 4, numbers=2 * 15)
SLICES = {"thresholds": (0.3, 0.8), "single_threshold": 0.6, "slice_size": 3, "dropout": 0.0}
TUPLES = {"embedding_size": 4, "branch_size": 8, "phase_one": 0, "triplets_from": 0}
POINTS = {"latent_size": 4, "dropout": 0.0, "triplets_per_step": 2, "topological_samples": 3}
OPTIONS = {
    "cnn": {},
    "triplet": {"embedding_size": 4},
    "sgm": {"embedding_size": 4},
    "dml_net": TUPLES,
    "verification": {"embedding_size": 4, "pdm": 0.3, "pdp": 0.4, "ce": 0.6, "mtl": 0.7},
    "verification fbv": {"embedding_size": 4, "base": "arcface", "scale": 8.0, "fbv": 0.5},
    "verification centroids": {"embedding_size": 4, "base": "arcface_centroid"},
    "verification ce": {"embedding_size": 4, "base": "none", "ce": 1.0},
}
"""By the name of the method, and what may follow it."""
OPTIONS |= {f"mul_dml {variant}": SLICES | {"variant": variant} for variant in VARIANTS}
OPTIONS |= {
    f"dml_net {variant}": TUPLES | {"variant": variant} for variant in ("resnet50", "mfe", "mfe_hpe", "mfe_hpe_jefl")
}
OPTIONS |= {f"landmark_vae {model}": POINTS | {"model": model} for model in ("vae", "m1", "m2")}


class Linear(nn.Module):
    """A linear layer before the method's head, so that the gradient comes from below the gathered embeddings."""

    def __init__(self, method):
        super().__init__()
        self.body, self.head = nn.Linear(NUM_FEATURES, NUM_FEATURES), method.head(NUM_FEATURES, COUNTS)
        if hasattr(self.head, "dropout"):
            self.head.dropout.p = 0.0

    def forward(self, x):
        return self.head(self.body(x).tanh())


def method_of(name):
    kind = REGISTRY[name.split()[0]]
    return kind(kind.Options(**OPTIONS[name]))


def case(name, batch, dtype=torch.float32, device="cpu"):
    """Network, objective, inputs and targets; the same numbers wherever they are made."""
    method = method_of(name)
    torch.manual_seed(7)
    has_points = method.inputs == "points"
    model, objective = method.network(None, COUNTS) if has_points else Linear(method), method.objective(COUNTS)
    x = torch.randn(batch, COUNTS.numbers if has_points else NUM_FEATURES)
    rows = torch.arange(batch)
    targets = Targets(rows % NUM_LABELS, rows % NUM_LABELS, rows // 3 % 2, rows // 2 % 4)
    targets = Targets.of(targets.stacked().to(device))
    return model.to(device, dtype), objective.to(device, dtype), x.to(device, dtype), targets


def noise_of_networks_is_that_of_any_row():
    """Context in which what a network draws does not go by the rows it sees, so shares of a batch draw as the whole."""

    def sample(mu_BK, logvar_BK, num_samples, generator=None):
        noise_L1K = torch.linspace(-1, 1, num_samples * mu_BK.shape[1]).to(mu_BK).view(num_samples, 1, -1)
        return mu_BK + (logvar_BK / 2).exp() * noise_L1K

    return mock.patch("fer_core.landmarks.networks.sample_latent", sample)


def loss_of(objective, outputs, targets):
    """The sum of the terms; what the objective draws is drawn alike wherever it is computed, as in training."""
    torch.manual_seed(11)
    return torch.stack(list(objective(outputs, targets, 0.0).values())).sum()
