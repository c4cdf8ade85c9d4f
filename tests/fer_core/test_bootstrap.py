import numpy as np
import pytest

from fer_core.evaluation import Interval, bootstrap, paired_difference
from fer_core.evaluation.bootstrap import SubjectBootstrap, share_interval


def accuracy_interval(correct, subjects, seed=0, resamples=2000):
    resampler = SubjectBootstrap(subjects, seed, resamples)
    sums = resampler.sums(np.column_stack([correct, np.ones(len(correct))]))
    return resampler.interval(correct.mean(), sums[:, 0] / sums[:, 1])


def test_the_interval_of_a_known_case():
    """400 independent images, 300 correct: the binomial's 1.96 standard errors are 0.0424."""
    interval = accuracy_interval(np.repeat([1.0, 0.0], [300, 100]), np.arange(400))
    assert interval.value == 0.75
    assert interval.low == pytest.approx(0.75 - 0.0424, abs=0.006)
    assert interval.high == pytest.approx(0.75 + 0.0424, abs=0.006)


def test_people_alike_in_themselves_widen_the_interval():
    """Wholly right or wholly wrong people of 16 images: standard error 4 times that of independent images."""
    correct = np.repeat(np.random.default_rng(0).random(100) < 0.7, 16).astype(float)
    by_image = accuracy_interval(correct, np.arange(1600))
    by_subject = accuracy_interval(correct, np.repeat(np.arange(100), 16))
    ratio = (by_subject.high - by_subject.low) / (by_image.high - by_image.low)
    assert ratio == pytest.approx(4, rel=0.15)


def test_sums_and_tables_are_those_of_images_drawn_with_their_subjects():
    rng = np.random.default_rng(1)
    subjects, row, column = rng.choice(list("abc"), 20), rng.integers(0, 2, 20), rng.integers(0, 3, 20)
    values = rng.normal(size=(20, 2))
    resampler = SubjectBootstrap(subjects, seed=5, resamples=4)
    weights = np.concatenate(list(resampler._weights()))
    assert (weights.sum(axis=1) == 3).all()
    np.testing.assert_allclose(np.concatenate(list(resampler.weights())) @ values, resampler.sums(values))
    for power in (1, 2):
        for r in range(4):
            times = weights[r, np.searchsorted(["a", "b", "c"], subjects)].astype(float) ** power
            table = np.zeros((2, 3))
            np.add.at(table, (row, column), times)
            np.testing.assert_allclose(resampler.tables(row, column, (2, 3), power)[r], table)
            np.testing.assert_allclose(resampler.sums(values, power)[r], times @ values)


def test_blocks_and_repeats_give_the_same_draws(monkeypatch):
    subjects, values = np.arange(10), np.arange(10.0)
    whole = SubjectBootstrap(subjects, 3, 50).sums(values)
    weights = np.concatenate(list(SubjectBootstrap(subjects, 3, 50).weights()))
    monkeypatch.setattr(bootstrap, "_BLOCK_WEIGHTS", 70)
    np.testing.assert_array_equal(weights, np.concatenate(list(SubjectBootstrap(subjects, 3, 50).weights())))
    np.testing.assert_array_equal(whole, SubjectBootstrap(subjects, 3, 50).sums(values))
    assert not np.array_equal(whole, SubjectBootstrap(subjects, 4, 50).sums(values))


def test_the_interval_holds_its_value_and_one_subject_knows_nothing():
    resampler = SubjectBootstrap(np.array(["a", "b"]), 0)
    assert resampler.interval(0.2, np.full(10, 0.5)) == Interval(0.2, 0.2, 0.5)
    assert accuracy_interval(np.array([1.0, 0.0]), np.array(["a", "a"])) == Interval(0.5, 0.0, 1.0)


def test_paired_difference_sees_a_small_steady_gain_that_unpaired_intervals_hide():
    rng = np.random.default_rng(2)
    subjects = np.repeat(np.arange(50), 10)
    a = rng.random(500) < np.repeat(rng.random(50), 10)
    b = a | (rng.random(500) < 0.1)
    interval, share = paired_difference(a, b, subjects, seed=0)
    assert interval.value == pytest.approx(b.mean() - a.mean())
    assert 0 < interval.low < interval.value < interval.high
    assert share < 0.001
    separate_a, separate_b = accuracy_interval(a, subjects), accuracy_interval(b, subjects)
    assert separate_a.high > separate_b.low
    backwards = paired_difference(b, a, subjects, seed=0)
    assert backwards.interval == pytest.approx(Interval(-interval.value, -interval.high, -interval.low), abs=1e-12)
    assert backwards.share_not_better == 1.0


def test_equal_models_are_not_better():
    correct = np.array([True, False, True, True])
    assert paired_difference(correct, correct, np.arange(4), seed=0) == (Interval(0.0, 0.0, 0.0), 1.0)


def test_paired_difference_of_one_subject_proves_nothing():
    found = paired_difference(np.array([0, 0]), np.array([1, 1]), np.array(["a", "a"]), seed=0)
    assert found == (Interval(1.0, -1.0, 1.0), 1.0)


def test_refusals():
    with pytest.raises(ValueError, match="same images"):
        paired_difference(np.ones(2), np.ones(3), np.arange(3), seed=0)
    with pytest.raises(ValueError, match="at least 1"):
        SubjectBootstrap(np.array([]), 0)


def test_a_share_is_the_mean_with_its_people_resampled():
    right, subjects = np.repeat([True, False, True], [5, 3, 4]), np.repeat(["a", "b", "c"], [5, 3, 4])
    assert share_interval(right, subjects, 0, 2000) == accuracy_interval(right, subjects)
    assert share_interval(right[:5], subjects[:5], 0) == Interval(1.0, 0.0, 1.0)  # one person says nothing of others
