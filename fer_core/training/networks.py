"""Networks and objectives with initial weights by seed."""

import itertools
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from fer_core.backbones.weights import build_backbone
from fer_core.methods.base import Method, Objective
from fer_core.targets import Counts

BETWEEN_BACKBONES = 2**20
"""Between the seeds of the backbones of a network that has several."""


def build_network(
    method: Method, backbone: str, patch: int, counts: Counts, seed: int, weights: Path | None = None
) -> nn.Module:
    """A network with initial weights by seed: the same backbone for every method that is compared."""
    numbers = itertools.count()

    def new_backbone() -> nn.Module:
        number = next(numbers)
        return build_backbone(backbone, patch, seed + number * BETWEEN_BACKBONES, weights, number)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        return method.network(new_backbone, counts)


def build_objective(method: Method, counts: Counts, seed: int) -> Objective:
    """The loss, its parameters by seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 2)
        return method.objective(counts)


def load_start(network: nn.Module, file: Path) -> None:
    """Go on from a network of the level before: all of it but a classifier of other labels."""
    own, start = network.state_dict(), load_file(file)
    network.load_state_dict(
        {name: start[name] if start[name].shape == part.shape else part for name, part in own.items()}
    )
