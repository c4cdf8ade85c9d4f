"""Batches of people, each with several images of several expressions: a pure function of (seed, epoch, step).

Shapes: N rows, B rows of the global batch, S samples of a person, M images of a person in a batch, W walks over them.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fer_core.errors import InputError
from fer_core.targets import UNKNOWN, TrainingRows

_PEOPLE, _IMAGES, _ROTATIONS = 1, 2, 3  # streams of the seed


@dataclass(frozen=True)
class _Person:
    """Rows sorted by sample, where each sample's begin, and the samples' expressions."""

    rows: np.ndarray
    begin_S: np.ndarray
    expression_S: np.ndarray


class IdentitySampler:
    """People in turn, each with as many of its samples as `images_per_identity`, all of them where it has fewer.

    People are visited lap by lap, in an order shuffled anew in each; a batch is a stretch of that endless row of
    visits, so a person at its edge may be cut in two. People of one sample have no positive and are not drawn. At a
    visit all samples differ: offline rotations of one picture are too easy a positive pair, and the walks take them in
    turn. No sample of a person is drawn again before all were; a person of few samples has them rearranged where a
    visit spans two walks.

    A walk goes through an expression's samples `images_per_expression` at a time, with the expressions mixed evenly, so
    a visit shows several, each more than once; samples of unknown expression are mixed in as if that were one. The
    paper says nothing on its batches: all of it is ours. Where pictures are streamed, nearly every row lies in another
    block.

    Args:
        rows: to draw from; those of unknown identity are left out.
        batch_size: rows in a global batch, over all workers.
        seed: of the order.
        images_per_identity: M, at least 2; more where there are too few people to fill a batch.
        images_per_expression: of these side by side in a walk.

    Raises:
        InputError: fewer than two people have two samples, or a batch does not hold two of two people.
    """

    def __init__(
        self,
        rows: TrainingRows,
        batch_size: int,
        seed: int,
        images_per_identity: int = 4,
        images_per_expression: int = 2,
    ) -> None:
        self._people = _people(rows)
        if len(self._people) < 2:
            raise InputError("fewer than two people are known with two pictures each: use a data set that has them")
        if batch_size < 4:
            raise InputError(f"a batch holds two pictures of two people: give a --batch-size of 4, not {batch_size}")
        self.batch_size, self.seed, self._run = batch_size, seed, images_per_expression
        self.num_rows = sum(len(person.rows) for person in self._people)
        most = max(images_per_identity, -(-batch_size // len(self._people)))
        self._images = np.array([min(most, len(person.begin_S)) for person in self._people])
        self._lap_rows = int(self._images.sum())
        self._lap = lru_cache(maxsize=4)(self._shuffled_people)
        self._visits = lru_cache(maxsize=len(self._people))(self._visits_of)

    @property
    def rows_per_batch(self) -> int:
        """Rows in a global batch."""
        return self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which as many rows are drawn as the people that are drawn have, rounded up."""
        return -(-self.num_rows // self.batch_size)

    def batch(self, epoch: int, step: int, rank: int = 0, world: int = 1) -> np.ndarray:
        """Row positions of one worker's share of a batch, int64; every world-th of the global batch."""
        start = (epoch * self.steps_per_epoch + step) * self.batch_size
        stop, size = start + self.batch_size, self._lap_rows
        laps = range(start // size, (stop - 1) // size + 1)
        parts = [self._part(lap, max(start - lap * size, 0), min(stop - lap * size, size)) for lap in laps]
        return np.concatenate(parts)[rank::world]

    def _part(self, lap: int, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop` of a lap."""
        order, ends = self._lap(lap)
        first, last = np.searchsorted(ends, [start, stop - 1], side="right")
        visits = [self._visit(place, lap) for place in order[first : last + 1].tolist()]
        skipped = start - (ends[first] - self._images[order[first]])
        return np.concatenate(visits)[skipped : skipped + stop - start]

    def _shuffled_people(self, lap: int) -> tuple[np.ndarray, np.ndarray]:
        """(people in the order of a lap, how many of its rows are drawn once each was visited)."""
        order = np.random.default_rng([self.seed, _PEOPLE, lap]).permutation(len(self._people))
        return order, self._images[order].cumsum()

    def _visit(self, place: int, lap: int) -> np.ndarray:
        turn, at = divmod(lap, len(self._people[place].begin_S))
        return self._visits(place, turn)[at]

    def _visits_of(self, place: int, turn: int) -> np.ndarray:
        """Rows (S, M) of the visits number turn * S to turn * S + S - 1, which are M whole walks over the samples."""
        person, num_images = self._people[place], int(self._images[place])
        num_samples = len(person.begin_S)
        rng = np.random.default_rng([self.seed, _IMAGES, place, turn])
        walk_WS = np.empty((num_images, num_samples), dtype=np.int64)
        for walk in range(num_images):
            # the visit that the walk before has begun
            begun = walk * num_samples % num_images
            before_S = walk_WS[walk - 1, num_samples - begun :]
            walk_WS[walk] = _later(_walk(person.expression_S, self._run, rng), before_S, num_images - begun)
        num_rotations_S = np.diff(person.begin_S, append=len(person.rows))
        first_S = np.random.default_rng([self.seed, _ROTATIONS, place]).integers(num_rotations_S)
        number_W1 = turn * num_images + np.arange(num_images)[:, None]
        rotation_WS = (first_S[walk_WS] + number_W1) % num_rotations_S[walk_WS]
        return person.rows[person.begin_S[walk_WS] + rotation_WS].reshape(num_samples, num_images)


def _people(rows: TrainingRows) -> list[_Person]:
    """Those of two samples and more, by their numbers."""
    order = np.lexsort((rows.sample_N, rows.identity_N))
    order = order[rows.identity_N[order] != UNKNOWN]
    if not len(order):
        return []
    own = np.split(order, np.flatnonzero(np.diff(rows.identity_N[order])) + 1)
    begins = [np.flatnonzero(np.diff(rows.sample_N[of], prepend=UNKNOWN)) for of in own]
    pairs = ((of, begin) for of, begin in zip(own, begins, strict=True) if len(begin) > 1)
    return [_Person(of, begin, rows.expression_N[of[begin]]) for of, begin in pairs]


def _walk(expression_S: np.ndarray, run: int, rng: np.random.Generator) -> np.ndarray:
    """An order of the samples: `run` of an expression side by side, each expression spread evenly over the walk."""
    shuffled = rng.permutation(len(expression_S))
    shuffled = shuffled[np.argsort(expression_S[shuffled], kind="stable")]
    _, begins, sizes = np.unique(expression_S[shuffled], return_index=True, return_counts=True)
    begin_S, size_S = np.repeat(begins, sizes), np.repeat(sizes, sizes)
    run_S = (np.arange(len(shuffled)) - begin_S) // run
    jitter_S = rng.random(len(shuffled))[begin_S + run_S * run]
    place_S = (run_S + jitter_S) / -(-size_S // run)
    return shuffled[np.argsort(place_S, kind="stable")]


def _later(walk_S: np.ndarray, before: np.ndarray, room: int) -> np.ndarray:
    """The walk with none of `before` among its first `room`, otherwise in its order."""
    first = np.flatnonzero(~np.isin(walk_S, before))[:room]
    return np.concatenate([walk_S[first], np.delete(walk_S, first)])
