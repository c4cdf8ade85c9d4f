"""Random triplets: anchor, positive and negative of a batch drawn by label alone, without mining.

Shapes: N rows, T triplets of a batch, B = 3 T rows of the global batch.
"""

import numpy as np

from fer_core.errors import InputError


class RandomTripletSampler:
    """Batches of T anchors, then their T positives, then their T negatives (the baseline of sgm, section 4.1).

    The label of each anchor is drawn uniformly among those of two samples or more, then its row uniformly within the
    label. The positive is a row of another sample of that label, so no offline rotation of the anchor itself; the
    negative is a row of any other label, uniformly, so frequent labels are negatives more often. Labels of one sample
    are only that. Triplets are independent: with replacement, within a batch too, a row may come more than once. The
    paper says that the triplets are random and how many, the rest is ours.

    Where pictures are streamed, nearly every row lies in another block, and each is fetched whole.

    Args:
        label_N: int labels of the rows to draw from.
        sample_N: which sample each row shows.
        batch_size: rows in a global batch, over all workers; what is left over of the last three is not drawn.
        seed: of the draws.

    Raises:
        InputError: the batch is less than a triplet, or the rows hold no triplet.
    """

    def __init__(self, label_N: np.ndarray, sample_N: np.ndarray, batch_size: int, seed: int) -> None:
        if batch_size < 3:
            raise InputError(f"a triplet has three rows; give a --batch-size of 3 or more, not {batch_size}")
        self.num_triplets, self.seed, self.num_rows = batch_size // 3, seed, len(label_N)
        self._row_N = np.lexsort((sample_N, label_N))  # rows of a label side by side, in it those of a sample
        label_N, sample_N = label_N[self._row_N], sample_N[self._row_N]
        self._label_start_N, self._label_size_N = _stretches(label_N)
        self._sample_start_N, self._sample_size_N = _stretches(label_N, sample_N)
        has_positive_N = self._sample_size_N < self._label_size_N
        self._anchor_starts = np.unique(self._label_start_N[has_positive_N])
        if not len(self._anchor_starts) or self._label_size_N[0] == self.num_rows:
            raise InputError(
                "the rows hold no triplet: it needs two samples of one label and one of another; use more data"
            )

    @property
    def rows_per_batch(self) -> int:
        """Rows in a global batch: three a triplet."""
        return 3 * self.num_triplets

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which as many rows are drawn as there are, rounded up."""
        return -(-self.num_rows // self.rows_per_batch)

    def batch(self, epoch: int, step: int, rank: int = 0, world: int = 1) -> np.ndarray:
        """Row positions of one worker's share of a batch, int64; every world-th of the global batch."""
        rng = np.random.default_rng([self.seed, epoch, step])
        start_T = rng.choice(self._anchor_starts, self.num_triplets)
        size_T = self._label_size_N[start_T]
        anchor_T = start_T + rng.integers(size_T)
        positive_T = _outside(rng, start_T, size_T, self._sample_start_N[anchor_T], self._sample_size_N[anchor_T])
        everything_T = np.zeros_like(start_T), np.full_like(start_T, self.num_rows)
        negative_T = _outside(rng, *everything_T, start_T, size_T)
        return self._row_N[np.concatenate([anchor_T, positive_T, negative_T])][rank::world]


def _stretches(*columns_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and size (N,) of the stretch of equal neighbours that each place lies in."""
    changes = np.any([np.diff(column) != 0 for column in columns_N], axis=0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    sizes = np.diff(starts, append=len(columns_N[0]))
    return np.repeat(starts, sizes), np.repeat(sizes, sizes)


def _outside(
    rng: np.random.Generator, start_T: np.ndarray, size_T: np.ndarray, gap_start_T: np.ndarray, gap_size_T: np.ndarray
) -> np.ndarray:
    """A place (T,) in each stretch but not in the gap inside it, uniformly."""
    place_T = start_T + rng.integers(size_T - gap_size_T)
    return place_T + np.where(place_T >= gap_start_T, gap_size_T, 0)
