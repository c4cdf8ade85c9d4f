from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from fer_core.errors import InputError
from fer_core.sampling.identities import IdentitySampler
from fer_core.targets import UNKNOWN, TrainingRows

LONG_TAIL = [1, 2, 1, 5, 3, 40, 2, 7, 1, 4, 2, 6, 9, 2, 3]
"""Samples of each person."""


def rows_of(sizes, expression_of=lambda person, at: at % 3, rotations=1, seed=0):
    """Rows of people in a random order; each sample `rotations` times."""
    known = [(person, expression_of(person, at)) for person, size in enumerate(sizes) for at in range(size)]
    table = np.repeat(np.column_stack([known, np.arange(len(known))]), rotations, axis=0)
    identity_N, expression_N, sample_N = np.random.default_rng(seed).permutation(table).T
    nothing_N = np.full(len(table), UNKNOWN)
    return TrainingRows(identity_N, expression_N, nothing_N, identity_N, nothing_N.astype(float), sample_N)


def drawn(sampler, num_rows):
    """The first rows that batches draw, in their order."""
    size = sampler.rows_per_batch
    steps = (divmod(at, sampler.steps_per_epoch) for at in range(-(-num_rows // size)))
    return np.concatenate([sampler.batch(*step) for step in steps])[:num_rows]


def laps_of(rows, sampler, num_laps):
    """For each lap the visits, in order: (person, rows)."""
    size = sampler._lap_rows
    for lap in drawn(sampler, num_laps * size).reshape(num_laps, size):
        starts = np.flatnonzero(np.diff(rows.identity_N[lap], prepend=-9))
        yield [(int(rows.identity_N[visit[0]]), visit) for visit in np.split(lap, starts[1:])]


def test_a_lap_visits_everybody_with_two_samples_once():
    rows = rows_of(LONG_TAIL)
    sampler = IdentitySampler(rows, 24, seed=3)
    orders = []
    for visits in laps_of(rows, sampler, 5):
        people = [person for person, _ in visits]
        assert sorted(people) == [person for person, size in enumerate(LONG_TAIL) if size > 1]
        assert all(len(visit) == min(4, LONG_TAIL[person]) for person, visit in visits)
        orders.append(tuple(people))
    assert len(set(orders)) == 5


@pytest.mark.parametrize("images", [2, 3, 4, 6])
def test_samples_of_a_visit_differ(images):
    rows = rows_of(LONG_TAIL, rotations=3)
    sampler = IdentitySampler(rows, 24, 0, images_per_identity=images)
    for visits in laps_of(rows, sampler, 60):
        for _, visit in visits:
            assert len(set(rows.sample_N[visit])) == len(visit)


def test_no_sample_is_drawn_again_before_all_of_the_person_were():
    rows = rows_of(LONG_TAIL, rotations=2)
    sampler = IdentitySampler(rows, 24, seed=1)
    of_person = defaultdict(list)
    for visits in laps_of(rows, sampler, 60):
        for person, visit in visits:
            of_person[person] += rows.sample_N[visit].tolist()
    for person, samples in of_person.items():
        size = LONG_TAIL[person]
        walks = [tuple(samples[at : at + size]) for at in range(0, len(samples) - size + 1, size)]
        assert len(walks) >= 6
        assert all(len(set(walk)) == size for walk in walks)
        assert size < 5 or len(set(walks)) > 1


def test_the_rotations_of_a_sample_come_in_turn():
    rows = rows_of(LONG_TAIL, rotations=3)
    sampler = IdentitySampler(rows, 24, seed=1)
    of_sample = defaultdict(list)
    for row in drawn(sampler, 60 * sampler._lap_rows).tolist():
        of_sample[rows.sample_N[row]].append(row)
    for own in of_sample.values():
        assert len(own) >= 6
        assert all(len(set(own[at : at + 3])) == 3 for at in range(len(own) - 2))
    assert len({rows_of_sample[0] % 3 for rows_of_sample in of_sample.values()}) > 1


def test_a_visit_shows_two_expressions_twice():
    """As in a laboratory set, where everybody shows everything: each term finds its pairs in every batch."""
    rows = rows_of([14] * 8, lambda person, at: at % 7)
    sampler = IdentitySampler(rows, 32, seed=0)
    num_twice = 0
    for visits in laps_of(rows, sampler, 21):
        for _, visit in visits:
            counts = Counter(rows.expression_N[visit].tolist())
            num_twice += set(counts.values()) == {2}
    assert num_twice > 0.85 * 8 * 21
    for step in range(sampler.steps_per_epoch):
        batch = sampler.batch(0, step)
        shown = Counter(zip(rows.identity_N[batch].tolist(), rows.expression_N[batch].tolist(), strict=True))
        assert len({person for person, _ in shown}) == 8
        assert max(shown.values()) == 2


def test_a_rare_expression_is_beside_others_and_spread_over_the_walk():
    rows = rows_of([24, 24], lambda person, at: 0 if at < 20 else 1)
    sampler = IdentitySampler(rows, 8, seed=0)
    places = []
    for number, visits in enumerate(laps_of(rows, sampler, 600)):
        for _, visit in visits:
            assert 0 in rows.expression_N[visit]
            places += [number % 6] * int((rows.expression_N[visit] == 1).sum())
    counts = np.bincount(places, minlength=6)
    assert counts.sum() == 2 * 100 * 4
    assert counts.min() > 0.6 * counts.mean()


def test_samples_of_unknown_expression_are_drawn_like_others():
    rows = rows_of([6] * 4, lambda person, at: UNKNOWN if at < 2 else at % 2)
    sampler = IdentitySampler(rows, 8, seed=0)
    counts = Counter(drawn(sampler, 12 * sampler._lap_rows).tolist())
    assert set(counts.values()) == {8}
    assert len(counts) == 24


def test_rows_of_nobody_and_people_of_one_sample_are_never_drawn():
    rows = rows_of(LONG_TAIL, rotations=4)
    rows.identity_N[rows.identity_N == 3] = UNKNOWN
    sampler = IdentitySampler(rows, 16, seed=0)
    people = set(rows.identity_N[drawn(sampler, 20 * sampler._lap_rows)].tolist())
    assert people == {person for person, size in enumerate(LONG_TAIL) if size > 1} - {3}
    assert sampler.steps_per_epoch == -(-4 * (sum(LONG_TAIL) - 3 - 5) // 16)


@pytest.mark.parametrize("batch_size", [8, 23, 24, 200])
def test_batches_go_by_seed_and_step_and_are_dealt_to_workers(batch_size):
    rows = rows_of(LONG_TAIL, rotations=2)
    sampler, again, other = (IdentitySampler(rows, batch_size, seed) for seed in (0, 0, 1))
    for epoch, step in ((7, 1), (0, 0), (2, sampler.steps_per_epoch - 1)):
        batch = sampler.batch(epoch, step)
        assert batch.dtype == np.int64
        assert len(batch) == batch_size == sampler.rows_per_batch
        for world in (1, 3):
            dealt = np.empty_like(batch)
            for rank in range(world):
                dealt[rank::world] = again.batch(epoch, step, rank, world)
            assert np.array_equal(dealt, batch)
        assert not np.array_equal(other.batch(epoch, step), batch)


def test_a_batch_of_few_people_has_more_of_each():
    rows = rows_of([30] * 3, rotations=2)
    sampler = IdentitySampler(rows, 24, seed=0)
    for step in range(sampler.steps_per_epoch):
        batch = sampler.batch(0, step)
        assert sorted(Counter(rows.identity_N[batch].tolist()).values()) == [8, 8, 8]
        assert len(set(rows.sample_N[batch].tolist())) == 24


def test_people_alternate_over_successive_batches():
    rows = rows_of([4] * 30)
    sampler = IdentitySampler(rows, 16, seed=0)
    people = [set(rows.identity_N[sampler.batch(0, step)].tolist()) for step in range(7)]
    assert all(len(own) == 4 for own in people)
    assert not any(first & second for first, second in pairwise(people))


@pytest.mark.parametrize(
    ("sizes", "batch_size", "said"),
    [
        ([5, 1, 1], 8, "fewer than two people are known with two pictures each"),
        ([1], 8, "fewer than two people"),
        ([3, 3], 3, "two pictures of two people"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(sizes, batch_size, said):
    with pytest.raises(InputError, match=said):
        IdentitySampler(rows_of(sizes, rotations=3), batch_size, 0)


def test_nobody_known_is_refused():
    rows = rows_of([3, 3])
    rows.identity_N[:] = UNKNOWN
    with pytest.raises(InputError, match="fewer than two people"):
        IdentitySampler(rows, 8, 0)
