"""This process among the workers of a run, and what they do together.

Every worker of a group makes the same calls in the same order. One process alone is a group of one, for which nothing
is sent: so what is written for many is also what one computes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fer_core.gather import all_gathered

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

    def share(self, count: int, multiple: int = 1) -> slice:
        """Which of `count` rows are this worker's: shares in the order of the ranks, as even as whole multiples allow.

        A share begins at a multiple of `multiple` and may be empty.
        """
        pieces = -(-count // multiple)
        start, stop = (min(count, pieces * rank // self.size * multiple) for rank in (self.rank, self.rank + 1))
        return slice(start, stop)

    def joined(self, own: Tensor) -> Tensor:
        """The rows of all workers in the order of their ranks, on every worker, where `own` is.

        The workers may have different numbers of rows, and none; the rest of the shape and the type are the same.
        """
        if self.size == 1:
            return own
        counts = torch.cat(all_gathered(torch.tensor([len(own)], device=self.device))).tolist()
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own
        parts = all_gathered(padded.to(self.device))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)]).to(own.device)


ALONE = World()
"""One process."""
