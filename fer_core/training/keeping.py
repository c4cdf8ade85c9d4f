"""What is kept of training: which weights (the last, their moving average, the best), and what the steps were like.

K values that are traced, N steps.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
MOST_STEPS = 1000
"""That are traced: those of DML-Net's figure 15."""


class Average:
    """The exponential moving average of a network's weights; of a decay of 0 the network itself.

    The decay rises to its value (ours), as else the initial weights would be most of the average of a short run.
    Buffers, such as the statistics of batch norm, are those of the network. Nothing here waits for the device.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self._decay, self._num_updates = network, decay, 0
        self._averaged = copy.deepcopy(network).requires_grad_(False) if decay else None

    @property
    def network(self) -> nn.Module:
        """The network with the averaged weights."""
        return self._network if self._averaged is None else self._averaged

    @torch.no_grad()
    def update(self) -> None:
        """Count the present weights in; the first ones are taken as they are."""
        if self._averaged is None:
            return
        rising = (1 + self._num_updates) / (10 + self._num_updates) if self._num_updates else 0.0
        kept: list[Tensor] = list(self._averaged.parameters())
        own: list[Tensor] = list(self._network.parameters())
        torch._foreach_lerp_(kept, own, 1 - min(self._decay, rising))
        for buffer, value in zip(self._averaged.buffers(), self._network.buffers(), strict=True):
            buffer.copy_(value)
        self._num_updates += 1

    def state_dict(self) -> dict[str, Any] | None:
        """What a checkpoint keeps of it beside the network."""
        if self._averaged is None:
            return None
        return {"network": self._averaged.state_dict(), "num_updates": self._num_updates}

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """The inverse of `state_dict`."""
        if self._averaged is not None:
            assert state is not None
            self._averaged.load_state_dict(state["network"])
            self._num_updates = state["num_updates"]


class Best:
    """The state with the least validation loss so far."""

    def __init__(self) -> None:
        self.loss, self.state = float("inf"), None  # type: float, State | None

    def offer(self, loss: float, state: State) -> None:
        """Keep a copy of `state` if it is better."""
        if loss < self.loss:
            self.loss, self.state = loss, {name: value.clone() for name, value in state.items()}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"loss": self.loss, "state": self.state}

    def load_state_dict(self, kept: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.loss, self.state = kept["loss"], kept["state"]


class Means:
    """Means of values over steps. Sums stay on the device, so that a step does not wait for them."""

    def __init__(self, sums: dict[str, Tensor] | None = None, count: int = 0) -> None:
        self.sums, self.count = sums or {}, count

    def add(self, values: dict[str, Tensor]) -> None:
        """Count one step's values in."""
        self.count += 1
        self.sums = {name: self.sums.get(name, 0) + value.detach().double() for name, value in values.items()}

    def values(self) -> dict[str, float]:
        """The means so far."""
        return {name: float(total) / self.count for name, total in self.sums.items()}


class Steps:
    """Values of each of the first MOST_STEPS steps. They stay on the device, so that a step does not wait for them."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._values_NK: list[Tensor] = []

    def add(self, values: dict[str, Tensor]) -> None:
        """Count one step's values in: the same names in every step, or never any."""
        if values and len(self._values_NK) < MOST_STEPS:
            self._names = list(values)
            self._values_NK.append(torch.stack(list(values.values())))

    def values(self) -> dict[str, list[float]]:
        """Name -> one number a step."""
        return dict(zip(self._names, self._stacked().T.tolist(), strict=True)) if self._names else {}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"names": self._names, "values": self._stacked() if self._names else None}

    def load_state_dict(self, kept: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._names = kept["names"]
        self._values_NK = list(kept["values"].unbind()) if self._names else []

    def _stacked(self) -> Tensor:
        # those of a checkpoint are on the host, those since on the device
        return torch.stack([values_K.cpu() for values_K in self._values_NK])
