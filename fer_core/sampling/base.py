"""What every sampler is: a pure function of (seed, epoch, step), dealt to the workers, so resuming is one integer."""

from typing import Protocol

import numpy as np


class Sampler(Protocol):
    """Draws the rows of batches."""

    @property
    def rows_per_batch(self) -> int:
        """Rows in a global batch, the same in every step."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    def batch(self, epoch: int, step: int, rank: int = 0, world: int = 1) -> np.ndarray:
        """Row positions of one worker's share of a batch, int64: every world-th of the global batch."""
