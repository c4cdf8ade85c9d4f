import numpy as np
import pytest

from fer_core.sampling.landmarks import LandmarkSampler

TRIPLETS = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [1, 0, 9]])
NONE = np.empty((0, 3), dtype=np.int64)


def sampler_of(num_rows=10, batch_size=4, triplets_T3=TRIPLETS, num_triplets=2, steps_per_epoch=5, seed=3):
    return LandmarkSampler(num_rows, batch_size, triplets_T3, num_triplets, steps_per_epoch, seed)


def walked(sampler, num_steps):
    """All batches of so many steps, over the ends of epochs."""
    return [sampler.batch(*divmod(step, sampler.steps_per_epoch)) for step in range(num_steps)]


def test_a_batch_is_rows_then_references_positives_negatives():
    sampler = sampler_of()
    assert sampler.rows_per_batch == 4 + 3 * 2
    for batch in walked(sampler, 12):
        assert batch.dtype == np.int64
        assert len(batch) == sampler.rows_per_batch
        reference, positive, negative = batch[4:].reshape(3, 2)
        drawn = np.stack([reference, positive, negative], axis=1).tolist()
        assert all(triplet in TRIPLETS.tolist() for triplet in drawn)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(10, 4), (10, 10), (7, 16), (16, 5)])
def test_no_row_is_drawn_again_before_all_were(num_rows, batch_size):
    sampler = sampler_of(num_rows, batch_size, NONE)
    rows = np.concatenate(walked(sampler, 20))
    for start in range(0, len(rows) - num_rows + 1, num_rows):
        assert sorted(rows[start : start + num_rows].tolist()) == list(range(num_rows))


@pytest.mark.parametrize("num_triplets", [1, 2, 3, 9])
def test_no_triplet_is_drawn_again_before_all_were(num_triplets):
    sampler = sampler_of(num_triplets=num_triplets)
    drawn = np.concatenate([batch[4:].reshape(3, num_triplets).T for batch in walked(sampler, 12)])
    for start in range(0, len(drawn) - len(TRIPLETS) + 1, len(TRIPLETS)):
        assert sorted(drawn[start : start + len(TRIPLETS)].tolist()) == sorted(TRIPLETS.tolist())


def test_each_round_has_an_order_of_its_own():
    rows = np.concatenate(walked(sampler_of(100, 100, NONE), 3)).reshape(3, 100)
    assert (rows[0] != rows[1]).mean() > 0.9
    assert (rows[1] != rows[2]).mean() > 0.9


def test_a_batch_goes_by_seed_epoch_and_step_alone():
    first, sampler = walked(sampler_of(), 12), sampler_of()
    for step in (7, 11, 0, 7):
        np.testing.assert_array_equal(sampler.batch(*divmod(step, 5)), first[step])
    assert not np.array_equal(walked(sampler_of(seed=4), 12), first)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_workers_share_a_batch_by_turns(world):
    sampler = sampler_of()
    whole = sampler.batch(1, 3)
    for rank in range(world):
        np.testing.assert_array_equal(sampler.batch(1, 3, rank, world), whole[rank::world])


def test_without_triplets_there_are_rows_alone():
    sampler = sampler_of(triplets_T3=NONE)
    assert sampler.rows_per_batch == len(sampler.batch(0, 0)) == 4
