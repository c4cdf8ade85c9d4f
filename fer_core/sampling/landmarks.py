"""Batches of landmark rows with similarity triplets of them at the end."""

import numpy as np


class LandmarkSampler:
    """B rows of a shuffled walk, then V triplets of another: their references, their positives, their negatives.

    Args:
        num_rows: N rows to draw from.
        batch_size: B; no row is drawn again before all were.
        triplets_T3: int64 (T, 3) of rows; weights above 1 are told by repetition. No triplet: none is drawn.
        num_triplets: V of a batch.
        steps_per_epoch: batches in an epoch, however many rows there are.
        seed: of both walks.
    """

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        triplets_T3: np.ndarray,
        num_triplets: int,
        steps_per_epoch: int,
        seed: int,
    ) -> None:
        self.num_rows, self.batch_size, self.seed = num_rows, batch_size, seed
        self.triplets_T3 = triplets_T3
        self.num_triplets = num_triplets if len(triplets_T3) else 0
        self.steps_per_epoch = steps_per_epoch

    @property
    def rows_per_batch(self) -> int:
        """B + 3V."""
        return self.batch_size + 3 * self.num_triplets

    def batch(self, epoch: int, step: int, rank: int = 0, world: int = 1) -> np.ndarray:
        """Row positions of one worker's share of a batch, int64; every world-th of the global batch."""
        at = epoch * self.steps_per_epoch + step
        rows_B = self._walked(0, self.num_rows, at * self.batch_size, self.batch_size)
        if not self.num_triplets:
            return rows_B[rank::world]
        drawn_V = self._walked(1, len(self.triplets_T3), at * self.num_triplets, self.num_triplets)
        return np.concatenate([rows_B, self.triplets_T3[drawn_V].T.ravel()])[rank::world]

    def _walked(self, walk: int, size: int, start: int, count: int) -> np.ndarray:
        """Positions start..start + count of a walk that is shuffled anew whenever all `size` were taken."""
        rounds = range(start // size, (start + count - 1) // size + 1)
        orders = [np.random.default_rng([self.seed, walk, one]).permutation(size) for one in rounds]
        first = start - rounds[0] * size
        return np.concatenate(orders)[first : first + count]
