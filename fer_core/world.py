"""This process among the workers of a run, and what they do together.

Every worker of a group makes the same calls in the same order. One process alone is a group of one, for which nothing
is sent: so what is written for many is also what one computes.
"""

from dataclasses import dataclass

import torch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """This process among the workers.

    Attributes:
        rank: 0, ..., size - 1.
        size: workers of the group.
        device: what this one computes on.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
