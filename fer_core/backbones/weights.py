"""Initial weights: drawn by a seed, or read from a file with torchvision's names."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from fer_core.backbones import REGISTRY
from fer_core.errors import InputError


def build_backbone(name: str, patch: int, seed: int, weights: Path | None = None) -> nn.Module:
    """A backbone with initial weights that depend on the seed alone, or those of a file (torchvision's names).

    Raises:
        InputError: the file is not a state dict, or its tensors do not fit; the message names the first that does not.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = REGISTRY[name](patch)
    if weights is not None:
        load_published_weights(backbone, weights)
    return backbone


def load_published_weights(backbone: nn.Module, file: Path) -> None:
    """Load a .safetensors file or one of torch.save that holds tensors only; a classifier `fc.*` in it is left out."""
    state = {name: value for name, value in _read(file).items() if not name.startswith("fc.")}
    # with a fixed momentum nothing reads the batch counters, and published files have none
    own = {name: value for name, value in backbone.state_dict().items() if not name.endswith("num_batches_tracked")}
    for name, value in own.items():
        if name not in state:
            raise InputError(f"--weights {file} has no tensor {name}; is it a {type(backbone).__name__}?")
        if state[name].shape != value.shape:
            raise InputError(f"--weights {file}: {name} is {tuple(state[name].shape)}, expected {tuple(value.shape)}")
    backbone.load_state_dict({name: state[name] for name in own})


def _read(file: Path) -> dict[str, torch.Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"--weights {file} does not exist") from None
    except Exception as error:  # each reader has errors of its own
        raise InputError(f"--weights {file} cannot be read as a state dict: {error}") from error
    if not isinstance(state, dict):
        raise InputError(f"--weights {file} holds a {type(state).__name__}, not a state dict")
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
