"""Batches of DML-Net's five-tuples as a pure function of (seed, epoch, step, rank, world).

Legend: N rows, S samples of which expression, pose and identity are known, T tuples of a walk.
"""

from functools import lru_cache

import numpy as np

from fer_core.errors import InputError
from fer_core.targets import UNKNOWN, TrainingRows
from fer_core.tuples.five import build_five_tuples

SIZE = 5
"""Rows of a tuple, one after the other in a batch: anchor, pose+, pose-, id+, id-."""
_WAY_OUT = {
    "expression": "the data set has to be labelled",
    "pose": "pictures with landmarks get an estimate: prepare them with --landmarks mtcnn",
    "identity": "prepare them with --identities estimated",
}


class FiveTupleSampler:
    """Batches of five-tuples, made anew before every epoch (DML-Net, section 3.1).

    A walk over the samples makes tuples in which no sample is twice (see build_five_tuples); samples that are left
    over, or of which something is not known, wait for the next epoch. Where samples have several rows, turned by
    different angles, an epoch has as many walks, and each takes another row of a sample: walking over the rows instead
    could put one sample into a tuple as both negatives.

    The number of tuples differs a little from walk to walk, but the steps of an epoch must not: it has as many as the
    first walk's tuples fill, times the rows of a sample, rounded up. An epoch that lacks tuples draws on in one more
    walk of its own, and one that has too many leaves some out. Rows are drawn from everywhere, so streamed pictures
    are fetched one block for each.

    Args:
        rows: to draw from; the sub-classes of a level play no part.
        batch_size: rows in a global batch, over all workers; rounded down to whole tuples.
        seed: of the walks.

    Raises:
        InputError: a batch holds no tuple, pose or identity of no row is known, or no tuple can be made.
    """

    def __init__(self, rows: TrainingRows, batch_size: int, seed: int) -> None:
        if batch_size < SIZE:
            raise InputError(f"a batch of {batch_size} rows holds no five-tuple; use --batch-size {SIZE} or more")
        self.tuples_per_batch, self.seed = batch_size // SIZE, seed
        known_N = _known(rows)
        self._row_N = known_N[np.argsort(rows.sample_N[known_N], kind="stable")]
        _, self._start_S, self._count_S = np.unique(rows.sample_N[self._row_N], return_index=True, return_counts=True)
        first_S = self._row_N[self._start_S]
        self._labels = rows.expression_N[first_S], rows.pose_N[first_S], rows.identity_N[first_S]
        self._tuples_per_epoch = len(self._walk(0, 0)) * len(known_N) // len(first_S)
        self._epoch_rows = lru_cache(maxsize=2)(self._drawn)

    @property
    def rows_per_batch(self) -> int:
        """Rows in a global batch."""
        return SIZE * self.tuples_per_batch

    @property
    def steps_per_epoch(self) -> int:
        """Batches that the tuples of the first epoch fill, rounded up."""
        return -(-self._tuples_per_epoch // self.tuples_per_batch)

    def batch(self, epoch: int, step: int, rank: int = 0, world: int = 1) -> np.ndarray:
        """Row positions of one worker's share of a batch, int64; every world-th of the global batch."""
        size = self.rows_per_batch
        return self._epoch_rows(epoch)[step * size : (step + 1) * size][rank::world]

    def _drawn(self, epoch: int) -> np.ndarray:
        """The rows of an epoch, tuple after tuple."""
        wanted = self.steps_per_epoch * self.rows_per_batch
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < wanted:
            parts.append(self._walk(epoch, len(parts)).ravel())
        return np.concatenate(parts)[:wanted]

    def _walk(self, epoch: int, number: int) -> np.ndarray:
        """Tuples of rows (T, 5) of one walk over the samples."""
        seed = int(np.random.SeedSequence([self.seed, epoch, number]).generate_state(1)[0])
        try:
            tuples_T5 = build_five_tuples(*self._labels, seed=seed)
        except InputError as error:
            several = "pictures of several expressions, poses and people (--synthetic.max-yaw 45 draws three poses)"
            raise InputError(f"{error}. Five-tuples are made of {several}") from error
        turn_S = np.random.default_rng([self.seed, epoch]).integers(0, self._count_S)
        return self._row_N[self._start_S + (turn_S + number) % self._count_S][tuples_T5]


def _known(rows: TrainingRows) -> np.ndarray:
    """Positions of the rows of which all three factors are known."""
    factors = {"expression": rows.expression_N, "pose": rows.pose_N, "identity": rows.identity_N}
    for name, label_N in factors.items():
        if (label_N == UNKNOWN).all():
            raise InputError(f"no training row's {name} is known, so no five-tuple can be made; {_WAY_OUT[name]}")
    return np.flatnonzero(np.all([label_N != UNKNOWN for label_N in factors.values()], axis=0))
