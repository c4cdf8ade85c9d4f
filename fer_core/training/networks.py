"""Networks and objectives with initial weights by seed."""

import itertools
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from fer_core.backbones.weights import build_backbone
from fer_core.errors import InputError
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


def compile_forward(network: nn.Module) -> None:
    """Have torch.compile put the network together, when it is first called. In place: parameters keep their names.

    Raises:
        InputError: there is no C++ compiler, which it writes for.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise InputError(
            f"--compiled needs a C++ compiler and {compiler} is not found: install it, name another one in CXX, or "
            "train without --compiled"
        )
    network.compile()
