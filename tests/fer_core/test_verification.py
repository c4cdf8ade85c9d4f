import dataclasses
import itertools
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fer_core.evaluation.verification import averaged, pair_distances, threshold_at_far, verification


def pairs(seed, num_pairs=400, num_levels=None, num_folds=5):
    """Overlapping distances, tied where `num_levels` is given."""
    rng = np.random.default_rng(seed)
    same = rng.random(num_pairs) < 0.4
    distances = rng.normal(np.where(same, 0.0, 1.2))
    if num_levels:
        distances = np.round(distances * num_levels) / num_levels
    return distances, same, rng.integers(num_folds, size=num_pairs)


def accuracy_by_loops(distances, same, folds):
    """For each fold: try every gap between the other folds' distances, keep the first best, count the fold."""
    accuracies, thresholds = [], []
    for fold in sorted(set(folds.tolist())):
        others = [(d, s) for d, s, f in zip(distances, same, folds, strict=True) if f != fold]
        levels = sorted({d for d, _ in others})
        gaps = [levels[0] - 1, *((a + b) / 2 for a, b in itertools.pairwise(levels)), levels[-1]]
        right = [sum((d <= gap) == s for d, s in others) for gap in gaps]
        threshold = gaps[right.index(max(right))]
        test = [(d, s) for d, s, f in zip(distances, same, folds, strict=True) if f == fold]
        accuracies.append(sum((d <= threshold) == s for d, s in test) / len(test))
        thresholds.append(threshold)
    return accuracies, thresholds


def tar_by_loops(distances, same, far):
    negatives, positives = distances[~same], distances[same]
    allowed = [t for t in [-np.inf, *distances] if (negatives <= t).mean() <= far]
    return max((positives <= t).mean() for t in allowed)


def eer_by_loops(distances, same):
    """Loosen the threshold until FAR passes 1 - TAR; the two cross on the straight line of that step."""
    far, miss = 0.0, 1.0
    for threshold in sorted(set(distances)):
        next_far, next_miss = (distances[~same] <= threshold).mean(), (distances[same] > threshold).mean()
        if next_far >= next_miss:
            share = (miss - far) / ((miss - far) + (next_far - next_miss))
            return far + share * (next_far - far)
        far, miss = next_far, next_miss


@pytest.mark.parametrize("num_levels", [None, 4])
@pytest.mark.parametrize("seed", range(5))
def test_accuracy_by_folds_is_the_slow_loop(seed, num_levels):
    distances, same, folds = pairs(seed, 150, num_levels)
    result = verification(distances, same, folds)
    accuracies, thresholds = accuracy_by_loops(distances, same, folds)
    np.testing.assert_allclose(result.fold_accuracies, accuracies, rtol=0, atol=1e-15)
    np.testing.assert_allclose(result.thresholds, thresholds, rtol=1e-15)
    assert result.accuracy == pytest.approx(np.mean(accuracies), abs=1e-15)
    assert result.standard_error == pytest.approx(np.std(accuracies, ddof=1) / np.sqrt(5), abs=1e-15)
    assert result.folds.tolist() == [0, 1, 2, 3, 4]
    assert (result.num_same, result.num_different) == (same.sum(), (~same).sum())


@pytest.mark.parametrize("num_levels", [None, 1, 8])
@pytest.mark.parametrize("seed", range(5))
def test_auc_is_scikit_learns(seed, num_levels):
    distances, same, folds = pairs(seed, num_levels=num_levels)
    assert verification(distances, same, folds).auc == pytest.approx(roc_auc_score(same, -distances), abs=1e-12)


@pytest.mark.parametrize("num_levels", [None, 8])
@pytest.mark.parametrize("seed", range(5))
def test_tar_at_far_is_the_slow_loop_and_agrees_with_the_threshold(seed, num_levels):
    distances, same, folds = pairs(seed, 2500, num_levels)
    result = verification(distances, same, folds)
    assert 1000 <= result.num_different < 10_000
    for far in (1e-2, 1e-3):
        assert result.tar_at_far[far] == tar_by_loops(distances, same, far)
        threshold = threshold_at_far(distances[~same], far)
        assert (distances[same] <= threshold).mean() == result.tar_at_far[far]
        assert (distances[~same] <= threshold).mean() <= far
    assert result.tar_at_far[1e-4] is None


@pytest.mark.parametrize("num_different", [100, 2900, 1000, 9999, 10_000])
def test_a_far_is_resolved_from_one_over_it_on(num_different):
    """100 pairs allow one false accept in a hundred, 2900 allow 29: no rate is missed by rounding."""
    different = np.arange(1.0, num_different + 1)
    distances = np.concatenate([different, [0.5, 29.0, 29.5, 1e6]])
    same = np.arange(len(distances)) >= num_different
    result = verification(distances, same, np.arange(len(distances)) % 2)
    for far, resolved in result.tar_at_far.items():
        num_accepted = round(num_different * far - 0.4999)
        if num_accepted == 0:
            assert resolved is None
            with pytest.raises(ValueError, match="cannot tell a FAR"):
                threshold_at_far(different, far)
        else:
            assert resolved == tar_by_loops(distances, same, num_accepted / num_different)
            threshold = threshold_at_far(different, far)
            assert (different <= threshold).sum() == num_accepted
            assert (different <= np.nextafter(threshold, np.inf)).sum() == num_accepted + 1


def test_threshold_at_far_rejects_all_of_a_tie_that_is_too_large():
    negatives = np.array([1.0] + [2.0] * 30 + [3.0] * 69)
    assert threshold_at_far(negatives, 0.3) == np.nextafter(2.0, 0)
    assert threshold_at_far(negatives, 0.31) == np.nextafter(3.0, 0)
    assert threshold_at_far(np.full(100, 7.0), 0.5) < 7.0


def test_threshold_at_far_holds_in_float32():
    negatives = np.random.default_rng(0).random(1000).astype(np.float32)
    threshold = threshold_at_far(torch.from_numpy(negatives), 1e-2)
    assert (negatives <= threshold).sum() == 10
    assert (negatives.astype(np.float64) <= threshold).sum() == 10


def test_equal_error_rate_of_cases_done_by_hand():
    def eer(same, different):
        distances = np.array([*same, *different], dtype=float)
        return verification(distances, np.arange(len(distances)) < len(same), np.arange(len(distances)) % 2).eer

    assert eer([1, 2, 3], [4, 5, 6]) == 0.0
    assert eer([4, 5, 6], [1, 2, 3]) == 1.0
    assert eer([1, 2, 3, 8], [4, 9, 10, 11]) == 0.25
    assert eer([1, 1, 1], [1, 1, 1]) == 0.5
    # One step goes from (0, 1/2) to (1/3, 1), FAR and TAR: FAR = 1 - TAR at 3/5 of it.
    assert eer([1, 2], [2, 3, 4]) == pytest.approx(1 / 5)


@pytest.mark.parametrize("num_levels", [None, 5])
@pytest.mark.parametrize("seed", range(5))
def test_equal_error_rate_is_the_slow_loop(seed, num_levels):
    distances, same, folds = pairs(seed, 301, num_levels)
    expected = eer_by_loops(distances, same)
    assert 0.1 < expected < 0.5
    assert verification(distances, same, folds).eer == pytest.approx(expected, abs=1e-12)


def test_separated_pairs():
    distances = np.concatenate([np.linspace(0, 1, 200), np.linspace(3, 4, 200)])
    result = verification(distances, np.arange(400) < 200, np.arange(400) % 10)
    assert (result.accuracy, result.standard_error, result.auc, result.eer) == (1.0, 0.0, 1.0, 0.0)
    assert result.tar_at_far == {1e-2: 1.0, 1e-3: None, 1e-4: None}
    np.testing.assert_allclose(result.thresholds, 2.0, atol=0.02)


def test_a_collapsed_embedding_says_nothing():
    result = verification(np.zeros(1000), np.arange(1000) % 4 == 0, np.arange(1000) % 10)
    assert (result.auc, result.eer) == (0.5, 0.5)
    assert result.tar_at_far[1e-2] == 0.0
    assert result.roc.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_only_the_order_of_the_distances_counts_and_their_scale_may_be_extreme():
    distances, same, folds = pairs(3, num_levels=6)
    result = verification(distances, same, folds)
    for other in (np.exp(distances), 1e300 * distances, -1e6 + distances.astype(np.float32).astype(np.float64)):
        moved = verification(other, same, folds)
        assert (moved.accuracy, moved.auc, moved.eer, moved.tar_at_far) == (
            result.accuracy,
            result.auc,
            result.eer,
            result.tar_at_far,
        )


def test_thresholds_between_the_closest_and_the_most_distant_floats():
    near = np.nextafter(1.0, 2.0)
    same = np.arange(8) % 2 == 0
    for low, high in ((1.0, near), (5e-324, 1e-323), (-1.7e308, 1.7e308), (-5e-324, 0.0)):
        result = verification(np.where(same, low, high), same, np.arange(8) // 4)
        assert result.accuracy == 1.0
        assert ((low <= result.thresholds) & (result.thresholds < high)).all()


def test_threshold_of_a_fold_does_not_look_at_it():
    distances, same, folds = pairs(4)
    before = verification(distances, same, folds)
    after = verification(np.where(folds == 2, -distances, distances), same, folds)
    assert before.thresholds[2] == after.thresholds[2]
    assert before.fold_accuracies[2] != after.fold_accuracies[2]


def test_folds_of_unequal_size_count_alike_and_may_hold_one_kind():
    distances = np.array([0.0, 2.0, 0.1, 2.1, 0.2, 2.2, 5.0])
    same = np.array([True, False, True, False, True, False, True])
    folds = np.array(["a", "a", "b", "b", "c", "c", "lone"])
    result = verification(distances, same, folds)
    assert result.folds.tolist() == ["a", "b", "c", "lone"]
    assert result.fold_accuracies.tolist() == [1.0, 1.0, 1.0, 0.0]
    assert result.accuracy == 0.75


@pytest.mark.parametrize("num_levels", [None, 3])
def test_curve_is_a_thinned_one_with_its_ends_and_marks(num_levels):
    distances, same, folds = pairs(5, 60_000, num_levels)
    result = verification(distances, same, folds)
    assert result.roc[0].tolist() == [0.0, 0.0]
    assert result.roc[-1].tolist() == [1.0, 1.0]
    assert (np.diff(result.roc, axis=0) >= 0).all()
    assert len(result.roc) < 2100
    assert np.trapezoid(result.roc[:, 1], result.roc[:, 0]) == pytest.approx(result.auc, abs=1e-4)
    for far, tar in result.tar_at_far.items():
        assert result.roc[result.roc[:, 0] <= far, 1].max() == tar


def curve(*points):
    return np.array([(0.0, 0.0), *points, (1.0, 1.0)])


def test_parts_are_averaged_at_each_far():
    one, two = (verification(*pairs(seed, 600)) for seed in (1, 2))
    one = dataclasses.replace(one, roc=curve((0.0, 0.5), (0.25, 0.75)), tar_at_far={1e-2: 0.5, 1e-3: None, 1e-4: None})
    two = dataclasses.replace(two, roc=curve((0.0, 0.25), (0.5, 1.0)), tar_at_far={1e-2: 0.25, 1e-3: 0.2, 1e-4: None})
    found = averaged([one, two])
    expected = [(0, 0), (0, 0.375), (0.25, 0.5), (0.5, 0.875), (1, 1)]
    np.testing.assert_allclose(found.roc, expected)
    assert found.tar_at_far == {1e-2: 0.375, 1e-3: None, 1e-4: None}
    assert found.accuracy == pytest.approx(np.mean([*one.fold_accuracies, *two.fold_accuracies]))
    assert found.auc == pytest.approx((one.auc + two.auc) / 2)
    assert found.eer == pytest.approx((one.eer + two.eer) / 2)
    assert found.num_same + found.num_different == 1200
    assert len(found.folds) == len(found.thresholds) == len(found.fold_accuracies) == 10


def test_a_single_part_is_its_own_average():
    one = verification(*pairs(3))
    found = averaged([one])
    assert (found.accuracy, found.auc, found.eer) == (one.accuracy, one.auc, one.eer)
    assert found.tar_at_far == one.tar_at_far
    assert found.standard_error == one.standard_error
    for far, tar in one.roc:
        assert found.roc[found.roc[:, 0] <= far, 1].max() >= tar
    with pytest.raises(ValueError, match="No part"):
        averaged([])


def test_distances_of_two_networks_are_not_compared():
    """A model whose distances are a thousand times those of another is no worse for it."""
    distances, same, folds = pairs(4)
    one, two = (verification(scale * distances, same, folds) for scale in (1.0, 1000.0))
    assert averaged([one, two]).auc == one.auc
    together = verification(np.append(distances, 1000 * distances), np.tile(same, 2), np.tile(folds, 2))
    assert together.auc < one.auc - 0.03


def test_tensors_lists_and_numbers_as_booleans():
    distances, same, folds = pairs(7)
    expected = verification(distances, same, folds)
    for given in (
        (torch.from_numpy(distances), torch.from_numpy(same), torch.from_numpy(folds)),
        (distances.tolist(), same.tolist(), folds.tolist()),
        (distances, same.astype(int), folds.astype(str)),
    ):
        result = verification(*given)
        assert (result.accuracy, result.auc, result.eer) == (expected.accuracy, expected.auc, expected.eer)


def test_verification_refuses():
    distances, same, folds = pairs(8, 20)
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match=r"distances has shape .* finite numbers"):
            verification(np.append(distances[1:], bad), same, folds)
    for short in ((distances[1:], same, folds), (distances, same[1:], folds), (distances, same, folds[1:])):
        with pytest.raises(ValueError, match="must speak of the same pairs"):
            verification(*short)
    for kind in (True, False):
        with pytest.raises(ValueError, match="All pairs are of one kind"):
            verification(distances, np.full(20, kind), folds)
    with pytest.raises(ValueError, match="same must hold"):
        verification(distances, same * 2, folds)
    with pytest.raises(ValueError, match="no threshold can be chosen"):
        verification(distances, same, np.zeros(20))
    with pytest.raises(ValueError, match="no threshold can be chosen"):
        verification(distances, same, same)
    with pytest.raises(ValueError, match="finite numbers"):
        verification([], [], [])


def test_threshold_at_far_refuses():
    for far in (0.0, 1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            threshold_at_far(np.arange(10.0), far)
    for distances in (np.array([1.0, np.nan]), np.ones((2, 2)), np.array([])):
        with pytest.raises(ValueError, match="finite numbers"):
            threshold_at_far(distances, 0.5)


def test_pair_distances_are_the_slow_loop():
    rng = np.random.default_rng(9)
    emb, first, second = rng.normal(size=(20, 6)) + 1e3, rng.integers(20, size=50), rng.integers(20, size=50)
    slow = [sum((x - y) ** 2 for x, y in zip(emb[i], emb[j], strict=True)) for i, j in zip(first, second, strict=True)]
    np.testing.assert_allclose(pair_distances(emb, first, second), slow, rtol=1e-13)
    emb_32 = torch.from_numpy(emb).float().requires_grad_()
    from_torch = pair_distances(emb_32, torch.from_numpy(first), second.tolist())
    assert from_torch.dtype == np.float64
    np.testing.assert_allclose(from_torch, slow, rtol=1e-3)
    assert pair_distances(emb, [3], [3]).tolist() == [0.0]
    assert pair_distances(emb, [], []).shape == (0,)


def test_pair_distances_in_blocks(monkeypatch):
    emb, first = np.random.default_rng(10).normal(size=(30, 3)), np.arange(30)
    whole = pair_distances(emb, first, first[::-1])
    module = sys.modules["fer_core.evaluation.verification"]  # the package has the function by that name
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", 21)
    np.testing.assert_array_equal(pair_distances(emb, first, first[::-1]), whole)


def test_pair_distances_refuse():
    emb = np.ones((4, 2))
    for bad in (emb[0], emb * np.nan):
        with pytest.raises(ValueError, match="finite embeddings"):
            pair_distances(bad, [0], [1])
    with pytest.raises(ValueError, match="two equal rows"):
        pair_distances(emb, [0, 1], [1])
    for bad in ([4], [-1], [0.5]):
        with pytest.raises(ValueError, match=r"second must hold integers in 0\.\.3"):
            pair_distances(emb, [0], bad)
