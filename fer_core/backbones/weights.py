"""Initial weights: drawn by a seed, or read from a file with torchvision's names or of a run of ours."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from fer_core.backbones import REGISTRY
from fer_core.backbones.base import Backbone
from fer_core.errors import InputError

RUN_PREFIX = "backbone."
CHANNELS = ("face", "eyes", "mouth")
"""The backbones of a network that has three, by name, in the order in which they are built."""


def build_backbone(name: str, patch: int, seed: int, weights: Path | None = None, channel: int = 0) -> Backbone:
    """A backbone with initial weights that depend on the seed alone, or those of a file.

    Args:
        channel: which of CHANNELS it is taken from, where the file is of a run with three.

    Raises:
        InputError: see load_published_weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = REGISTRY[name](patch)
    if weights is not None:
        load_published_weights(backbone, weights, channel)
    return backbone


def load_published_weights(backbone: Backbone, file: Path, channel: int = 0) -> None:
    """Load torchvision's weights, or the backbone of the network file of a run, at any patch.

    The file is .safetensors or one of torch.save that holds tensors only. A published classifier in it is left out, and
    so is everything but the backbone of a run. Of a run with three backbones it is the one of `channel`.

    Raises:
        InputError: the file is not a state dict, or its tensors are not those of the backbone; the message names the
            first that is missing, misfits or is too many. Nothing is loaded then.
    """
    state = _of_backbone(_read(file), backbone, CHANNELS[channel])
    own = _without_counters(backbone.state_dict())
    kind = type(backbone).__name__
    for name, value in own.items():
        if name not in state:
            raise InputError(f"--weights {file} has no tensor {name}; is it a {kind}?")
        if state[name].shape != value.shape:
            raise InputError(f"--weights {file}: {name} is {tuple(state[name].shape)}, expected {tuple(value.shape)}")
    for name in state:
        if name not in own:
            raise InputError(f"--weights {file} has a tensor {name}, which a {kind} has not; use a file of a {kind}")
    backbone.load_state_dict(state)


def _of_backbone(state: dict[str, torch.Tensor], backbone: Backbone, channel: str) -> dict[str, torch.Tensor]:
    state = _without_counters(state)
    of_run = _below(RUN_PREFIX, state)
    of_file = {name: state[name] for name in state if not name.startswith(backbone.published_head)}
    return _below(f"{channel}.", of_run) or of_run or of_file


def _below(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}


def _without_counters(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # with a fixed momentum nothing reads the batch counters, and published files have none
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


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
