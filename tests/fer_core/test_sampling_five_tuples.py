import itertools
from collections import Counter

import numpy as np
import pytest

from fer_core.errors import InputError
from fer_core.sampling.five_tuples import FiveTupleSampler
from fer_core.targets import TrainingRows

NUM_PEOPLE, NUM_EXPRESSIONS, NUM_POSES, ANGLES = 6, 4, 3, 2
NUM_SAMPLES = NUM_PEOPLE * NUM_EXPRESSIONS * NUM_POSES


def rows_of(expression, pose, identity, sample, label=None):
    columns = [np.asarray(column, dtype=np.int64) for column in (expression, pose, identity)]
    label = columns[0] if label is None else label
    return TrainingRows(label, *columns, np.full(len(columns[0]), np.nan), np.asarray(sample))


def grid(angles=ANGLES, **changed):
    """Everybody in every expression and pose, turned by each angle; the rows of a sample lie apart."""
    cells = itertools.product(range(NUM_PEOPLE), range(NUM_EXPRESSIONS), range(NUM_POSES))
    person, expression, pose = np.tile(np.array(list(cells)).T, angles)
    known = {"expression": expression, "pose": pose, "identity": person} | changed
    return rows_of(**known, sample=np.tile(np.arange(NUM_SAMPLES), angles))


def epoch_of(sampler, epoch, **worker):
    return [sampler.batch(epoch, step, **worker) for step in range(sampler.steps_per_epoch)]


@pytest.mark.parametrize("angles", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [5, 15, 19])
def test_batches_are_five_tuples_of_five_samples(angles, batch_size):
    rows = grid(angles)
    sampler = FiveTupleSampler(rows, batch_size, seed=3)
    assert sampler.rows_per_batch == batch_size // 5 * 5
    for batch in epoch_of(sampler, 0) + epoch_of(sampler, 1):
        assert (batch.shape, batch.dtype) == ((sampler.rows_per_batch,), np.int64)
        five = batch.reshape(-1, 5)
        expression, pose, person = rows.expression_N[five], rows.pose_N[five], rows.identity_N[five]
        assert (expression[:, [1, 3]] == expression[:, :1]).all()
        assert (expression[:, [2, 4]] != expression[:, :1]).all()
        assert (pose[:, 1] != pose[:, 0]).all()
        assert (pose[:, 2] == pose[:, 0]).all()
        assert (person[:, 3] != person[:, 0]).all()
        assert (person[:, 4] == person[:, 0]).all()
        assert all(len(set(samples)) == 5 for samples in rows.sample_N[five].tolist())


def test_a_row_is_drawn_at_most_once_in_each_walk_and_a_sample_by_another_row_in_the_next():
    rows = grid()
    sampler = FiveTupleSampler(rows, 5, seed=0)
    drawn = np.concatenate(epoch_of(sampler, 0))
    times = Counter(drawn.tolist())
    num_again = sum(count - 1 for count in times.values())
    assert num_again <= 0.1 * len(drawn)  # what one more walk had to fill
    samples = Counter(rows.sample_N[drawn].tolist())
    assert max(samples.values()) <= ANGLES + 1
    assert np.mean([samples[sample] for sample in range(NUM_SAMPLES)]) > 0.75 * ANGLES


def test_each_walk_makes_tuples_of_its_own():
    rows = grid()
    sampler = FiveTupleSampler(rows, 5, seed=0)
    made = [tuple(rows.sample_N[batch].tolist()) for batch in epoch_of(sampler, 0) + epoch_of(sampler, 1)]
    assert len(set(made)) > 0.9 * len(made)


def test_an_epoch_is_as_long_as_the_first_ones_tuples():
    one, turned = (FiveTupleSampler(grid(angles), 5, seed=2) for angles in (1, 3))
    assert turned.steps_per_epoch == 3 * one.steps_per_epoch
    assert one.steps_per_epoch >= 0.75 * NUM_SAMPLES / 5
    assert FiveTupleSampler(grid(1), 15, seed=2).steps_per_epoch == -(-one.steps_per_epoch // 3)
    first = one.batch(0, 0)
    samples = np.concatenate(epoch_of(one, 0))
    assert len(set(samples.tolist())) == len(samples)
    assert first.tolist() == samples[:5].tolist()


def test_an_epoch_that_lacks_tuples_draws_on():
    rng = np.random.default_rng(0)
    rows = rows_of(*(rng.integers(levels, size=40) for levels in (3, 2, 5)), sample=np.arange(40))
    sampler = FiveTupleSampler(rows, 5, seed=1)
    lengths = {len(np.unique(np.concatenate(epoch_of(sampler, epoch)))) for epoch in range(12)}
    assert len(lengths) > 1  # else this data would show nothing
    assert all(len(np.concatenate(epoch_of(sampler, epoch))) == 5 * sampler.steps_per_epoch for epoch in range(12))


def test_batches_go_by_seed_epoch_and_step_alone():
    rows = grid()
    sampler = FiveTupleSampler(rows, 15, seed=4)
    later = sampler.batch(7, 2)
    for epoch in (1, 0, 7):
        sampler.batch(epoch, 0)
    np.testing.assert_array_equal(sampler.batch(7, 2), later)
    np.testing.assert_array_equal(FiveTupleSampler(rows, 15, seed=4).batch(7, 2), later)
    assert not np.array_equal(sampler.batch(8, 2), later)
    assert not np.array_equal(FiveTupleSampler(rows, 15, seed=5).batch(7, 2), later)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_workers_share_the_batch_in_turn(world):
    sampler = FiveTupleSampler(grid(), 15, seed=0)
    whole = sampler.batch(1, 3)
    for rank in range(world):
        np.testing.assert_array_equal(sampler.batch(1, 3, rank, world), whole[rank::world])


def test_tuples_go_by_the_expression_and_not_by_the_label():
    rows = grid()
    divided = rows_of(
        rows.expression_N, rows.pose_N, rows.identity_N, rows.sample_N, label=rows.sample_N % (2 * NUM_EXPRESSIONS)
    )
    plain, of_level = (FiveTupleSampler(known, 15, seed=0) for known in (rows, divided))
    np.testing.assert_array_equal(plain.batch(0, 0), of_level.batch(0, 0))


@pytest.mark.parametrize("factor", ["pose", "identity"])
def test_rows_of_which_something_is_not_known_are_not_drawn(factor):
    whole = grid()
    column = np.where(whole.sample_N % 4 == 0, -1, getattr(whole, f"{factor}_N"))
    rows = grid(**{factor: column})
    drawn = np.concatenate(epoch_of(FiveTupleSampler(rows, 15, seed=0), 0))
    assert (getattr(rows, f"{factor}_N")[drawn] >= 0).all()


@pytest.mark.parametrize(
    ("changed", "batch_size", "message"),
    [
        ({}, 4, "a batch of 4 rows holds no five-tuple; use --batch-size 5 or more"),
        ({"pose": -1}, 15, "no training row's pose is known.*--landmarks mtcnn"),
        ({"identity": -1}, 15, "no training row's identity is known.*--identities estimated"),
        ({"pose": 0}, 15, "only one pose.*--synthetic.max-yaw 45"),
        ({"identity": 2}, 15, "only one identity"),
    ],
)
def test_rows_without_five_tuples_are_refused(changed, batch_size, message):
    rows = grid(**{name: np.full(ANGLES * NUM_SAMPLES, value) for name, value in changed.items()})
    with pytest.raises(InputError, match=message):
        FiveTupleSampler(rows, batch_size, seed=0)


def test_rows_that_know_one_factor_each_are_refused():
    half = np.arange(ANGLES * NUM_SAMPLES) % 2 == 0
    whole = grid()
    rows = grid(pose=np.where(half, whole.pose_N, -1), identity=np.where(half, -1, whole.identity_N))
    with pytest.raises(InputError, match="there are no samples"):
        FiveTupleSampler(rows, 15, seed=0)
