"""Class-balanced batches as a pure function of (seed, epoch, step, rank, world): resuming is one integer.

Shapes: B rows of the global batch, C labels.
"""

from functools import lru_cache

import numpy as np

LEAST_OF_A_LABEL = 2
"""A label drawn once is its own centre and has no positive: it would teach nothing."""
BLOCKS_AT_ONCE = 4
"""Of a label, while rows are drawn block by block: enough that neighbours in a shard are rarely in one batch."""


class BalancedSampler:
    """Batches with as equal a number of each label as the batch size allows, at least two of each label drawn.

    Each label's rows are walked in an order shuffled anew on every pass, so no row of a label is drawn again before
    all of its rows were. Where a batch cannot hold two of every label, successive batches take successive labels, two
    rows of each (so an odd batch size counts one less).

    Args:
        label_N: int labels of the rows to draw from.
        batch_size: rows in a global batch, over all workers.
        seed: of the order.
        block_N: where pictures are streamed, the number of the block that each row's picture lies in, ascending within
            a label: a label's blocks are taken in a shuffled order, a few at once, and the rows of these are shuffled.
            None: all rows are.

    Raises:
        ValueError: the batch holds fewer than two labels twice, or there are fewer than two labels.
    """

    def __init__(self, label_N: np.ndarray, batch_size: int, seed: int, block_N: np.ndarray | None = None) -> None:
        self.labels = np.unique(label_N)
        if len(self.labels) < 2 or batch_size < 2 * LEAST_OF_A_LABEL:
            raise ValueError(f"{len(self.labels)} labels in batches of {batch_size}: two of two labels are needed")
        self.batch_size, self.seed, self.num_rows = batch_size, seed, len(label_N)
        self._rows = [np.flatnonzero(label_N == label) for label in self.labels]
        self._drawn = min(len(self.labels), batch_size // LEAST_OF_A_LABEL)
        self._block_N = block_N
        self._walk = lru_cache(maxsize=2 * len(self.labels))(self._shuffled)

    @property
    def rows_per_batch(self) -> int:
        """Rows in a global batch."""
        return self.batch_size if self._drawn == len(self.labels) else self._drawn * LEAST_OF_A_LABEL

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which as many rows are drawn as there are, rounded up."""
        return -(-self.num_rows // self.rows_per_batch)

    def batch(self, epoch: int, step: int, rank: int = 0, world: int = 1) -> np.ndarray:
        """Row positions of one worker's share of a batch, int64; every world-th of the global batch."""
        at = epoch * self.steps_per_epoch + step
        rows = [self._rows_of(place, *self._span(place, at)) for place in self._places(at)]
        return np.concatenate(rows)[rank::world]

    def _places(self, at: int) -> list[int]:
        """Which labels batch number `at` draws, as positions in `labels`."""
        return [(at * self._drawn + turn) % len(self.labels) for turn in range(self._drawn)]

    def _span(self, place: int, at: int) -> tuple[int, int]:
        """From and up to which draw of its label's walk batch `at` goes, for the label at `place`.

        Where all labels are drawn each time, the odd rows of a batch go to the labels in turn.
        """
        num_labels = len(self.labels)
        if self._drawn < num_labels:
            start = _visits(at * self._drawn, place, num_labels) * LEAST_OF_A_LABEL
            return start, start + LEAST_OF_A_LABEL
        base, odd = divmod(self.batch_size, num_labels)
        start, stop = (turn * base + _visits(turn * odd, place, num_labels) for turn in (at, at + 1))
        return start, stop

    def _rows_of(self, place: int, start: int, stop: int) -> np.ndarray:
        size = len(self._rows[place])
        draws = np.arange(start, stop)
        walks = {walk: self._walk(place, walk) for walk in range(start // size, (stop - 1) // size + 1)}
        return np.array([walks[draw // size][draw % size] for draw in draws.tolist()], dtype=np.int64)

    def _shuffled(self, place: int, walk: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, int(self.labels[place]) + 1, walk])
        rows = self._rows[place]
        if self._block_N is None:
            return rng.permutation(rows)
        blocks = np.split(rows, np.flatnonzero(np.diff(self._block_N[rows])) + 1)
        order = rng.permutation(len(blocks)).tolist()
        groups = (order[at : at + BLOCKS_AT_ONCE] for at in range(0, len(order), BLOCKS_AT_ONCE))
        return np.concatenate([rng.permutation(np.concatenate([blocks[one] for one in group])) for group in groups])


def _visits(turns: int, place: int, num_labels: int) -> int:
    """How often `place` comes up in the first `turns` turns of 0, 1, ..., num_labels-1, 0, 1, ..."""
    return (turns - place - 1) // num_labels + 1 if turns > place else 0
