from collections import Counter

import numpy as np
import pytest

from fer_core.errors import InputError
from fer_core.sampling.triplets import RandomTripletSampler

RNG = np.random.default_rng(4)
SHUFFLED = RNG.permutation(80)
LABELS = np.repeat([5, 2, 9, 7], [50, 20, 9, 1])[SHUFFLED]
SAMPLES = np.repeat(np.arange(40), 2)[SHUFFLED]
SAMPLES[LABELS == 9] = 99  # nine rotations of one sample: never an anchor


def drawn(sampler, epochs=6):
    """(T, 3) all triplets of some epochs."""
    batches = [sampler.batch(epoch, step) for epoch in range(epochs) for step in range(sampler.steps_per_epoch)]
    return np.concatenate([batch.reshape(3, -1).T for batch in batches])


@pytest.fixture(scope="module")
def triplets():
    return drawn(RandomTripletSampler(LABELS, SAMPLES, 60, seed=0), epochs=600)


def test_positives_are_other_samples_of_the_label_and_negatives_have_another(triplets):
    anchor, positive, negative = triplets.T
    assert (LABELS[anchor] == LABELS[positive]).all()
    assert (SAMPLES[anchor] != SAMPLES[positive]).all()
    assert (LABELS[anchor] != LABELS[negative]).all()


def test_anchors_are_uniform_over_labels_and_then_over_rows(triplets):
    num_drawn = len(triplets)
    by_label = Counter(LABELS[triplets[:, 0]].tolist())
    assert set(by_label) == {2, 5}
    assert all(abs(count / num_drawn - 1 / 2) < 0.01 for count in by_label.values())
    count_N = np.bincount(triplets[:, 0], minlength=len(LABELS))
    for label, size in ((5, 50), (2, 20)):
        share = count_N[label == LABELS] / num_drawn * 2 * size
        assert 0.8 < share.min() <= share.max() < 1.2


def test_positives_and_negatives_are_uniform_over_what_they_may_be(triplets):
    anchor = int(np.flatnonzero(LABELS == 2)[0])
    own = triplets[triplets[:, 0] == anchor]
    may = {
        1: np.flatnonzero((LABELS == 2) & (SAMPLES[anchor] != SAMPLES)),
        2: np.flatnonzero(LABELS != 2),
    }
    for column, rows in may.items():
        count_N = np.bincount(own[:, column], minlength=len(LABELS))
        assert set(np.flatnonzero(count_N)) == set(rows.tolist())
        expected = len(own) / len(rows)
        chi_squared = ((count_N[rows] - expected) ** 2 / expected).sum()
        assert chi_squared < len(rows) + 5 * np.sqrt(2 * len(rows))
    assert set(np.flatnonzero(np.bincount(triplets[:, 2]))) == set(range(len(LABELS)))


@pytest.mark.parametrize(("batch_size", "rows"), [(3, 3), (24, 24), (25, 24), (26, 24), (384, 384)])
def test_a_batch_is_whole_triplets(batch_size, rows):
    sampler = RandomTripletSampler(LABELS, SAMPLES, batch_size, seed=1)
    assert sampler.rows_per_batch == len(sampler.batch(0, 0)) == rows
    assert sampler.batch(0, 0).dtype == np.int64
    assert (sampler.steps_per_epoch - 1) * rows < len(LABELS) <= sampler.steps_per_epoch * rows


@pytest.mark.parametrize("world", [2, 3, 5])
def test_workers_part_the_batch(world):
    sampler = RandomTripletSampler(LABELS, SAMPLES, 24, seed=1)
    whole = sampler.batch(2, 1)
    for rank in range(world):
        np.testing.assert_array_equal(sampler.batch(2, 1, rank, world), whole[rank::world])


def test_a_batch_goes_by_seed_epoch_and_step_alone():
    made = drawn(RandomTripletSampler(LABELS, SAMPLES, 24, seed=1))
    late = RandomTripletSampler(LABELS, SAMPLES, 24, seed=1)
    np.testing.assert_array_equal(late.batch(5, 3), made[-8:].T.ravel())
    np.random.seed(5)  # noqa: NPY002  global state must not matter
    np.testing.assert_array_equal(drawn(late), made)
    assert len({tuple(triplet) for triplet in made.tolist()}) > 0.9 * len(made)
    other = drawn(RandomTripletSampler(LABELS, SAMPLES, 24, seed=2))
    assert (made != other).any()


@pytest.mark.parametrize(
    ("labels", "samples"),
    [([0, 0, 0], [0, 1, 2]), ([0, 0, 1], [4, 4, 5]), ([0, 1, 2], [0, 1, 2]), ([0], [0]), ([], [])],
)
def test_rows_without_a_triplet_are_refused(labels, samples):
    with pytest.raises(InputError, match="two samples of one label and one of another"):
        RandomTripletSampler(np.array(labels, dtype=int), np.array(samples, dtype=int), 6, seed=0)


def test_the_fewest_rows_make_the_only_triplets():
    made = drawn(RandomTripletSampler(np.array([3, 8, 3]), np.array([1, 0, 2]), 6, seed=0), epochs=20)
    assert {tuple(triplet) for triplet in made.tolist()} == {(0, 2, 1), (2, 0, 1)}


def test_a_batch_of_less_than_a_triplet_is_refused():
    with pytest.raises(InputError, match="--batch-size"):
        RandomTripletSampler(LABELS, SAMPLES, 2, seed=0)
