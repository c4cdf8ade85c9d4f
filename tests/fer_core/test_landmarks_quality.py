import math

import numpy as np
import pytest

from fer_core.landmarks.quality import (
    LinearSvm,
    fit_pca,
    fit_svm,
    satisfied,
)


def clouds(seed, num_each=40, num_dims=6, spread=1.0, centers=None):
    """Three classes around corners, and their labels."""
    rng = np.random.default_rng(seed)
    label_N = np.repeat(["a", "b", "c"], num_each)
    centers_3D = 4 * np.eye(3, num_dims) if centers is None else centers
    return np.repeat(centers_3D, num_each, axis=0) + spread * rng.normal(size=(3 * num_each, num_dims)), label_N


def satisfied_by_loops(emb_MD, triplets_T3):
    return [
        math.dist(emb_MD[reference], emb_MD[positive]) < math.dist(emb_MD[reference], emb_MD[negative])
        for reference, positive, negative in triplets_T3.tolist()
    ]


def random_triplets(seed, num_samples, num_triplets):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(num_samples)[:3] for _ in range(num_triplets)])


def test_separable_classes_are_told_apart_and_noise_is_not():
    train_ND, label_N = clouds(0, spread=0.3)
    machine = LinearSvm(train_ND, label_N)
    test_MD, label_M = clouds(1, spread=0.3)
    assert machine.accuracy(test_MD, label_M) == 1.0
    assert machine.predicted(test_MD).tolist() == label_M.tolist()
    assert machine.accuracy(test_MD, np.where(np.arange(len(label_M)) % 4, label_M, "z")) == 0.75
    noise_ND = np.random.default_rng(2).normal(size=train_ND.shape)
    assert LinearSvm(noise_ND, label_N).accuracy(*clouds(1)) < 0.7


@pytest.mark.parametrize("scale", [1e-4, 1e3])
def test_accuracy_does_not_depend_on_unit_and_place(scale):
    train_ND, label_N = clouds(0, spread=2.0)
    test_MD, label_M = clouds(1, spread=2.0)
    expected = LinearSvm(train_ND, label_N).accuracy(test_MD, label_M)
    assert 0.5 < expected < 1.0
    moved = LinearSvm(scale * (train_ND + 100), label_N).accuracy(scale * (test_MD + 100), label_M)
    assert moved == pytest.approx(expected, abs=0.01)


def test_dimensions_that_are_turned_off_stay_small():
    """Thirty dimensions of next to nothing beside two that tell: scaled one by one they would drown them."""
    rng = np.random.default_rng(0)
    train_ND, label_N = clouds(0, num_each=8, num_dims=3, spread=0.5)
    test_MD, label_M = clouds(1, num_each=200, num_dims=3, spread=0.5)
    padded = [np.concatenate([part, 1e-3 * rng.normal(size=(len(part), 300))], axis=1) for part in (train_ND, test_MD)]
    assert LinearSvm(padded[0], label_N).accuracy(padded[1], label_M) == LinearSvm(train_ND, label_N).accuracy(
        test_MD, label_M
    )


def test_cost_is_chosen_on_validation_and_nothing_is_learnt_from_it():
    train_ND, label_N = clouds(0, spread=2.5)
    valid_MD, label_M = clouds(1, spread=2.5)
    costs = (1e-6, 0.01, 1.0)
    machines = [LinearSvm(train_ND, label_N, cost) for cost in costs]
    found = [machine.accuracy(valid_MD, label_M) for machine in machines]
    best = machines[found.index(max(found))]
    chosen = fit_svm(train_ND, label_N, valid_MD, label_M, costs[::-1])
    test_MD, label_T = clouds(2, num_each=300, spread=2.5)
    assert chosen.accuracy(valid_MD, label_M) == max(found)
    assert chosen.accuracy(test_MD, label_T) == best.accuracy(test_MD, label_T)


def test_equal_costs_give_the_smallest():
    train_ND, label_N = clouds(0, spread=0.1)
    chosen = fit_svm(train_ND, label_N, train_ND, label_N, (100.0, 1.0, 10.0))
    assert chosen._classifier.C == 1.0


def test_a_collapsed_representation_is_classified_too():
    assert LinearSvm(np.ones((6, 2)), ["a", "b"] * 3).accuracy(np.ones((4, 2)), ["a", "b"] * 2) == 0.5


def test_svm_refuses():
    train_ND, label_N = clouds(0)
    with pytest.raises(ValueError, match="class"):
        LinearSvm(train_ND, ["a"] * len(label_N))
    with pytest.raises(ValueError, match="NaN"):
        LinearSvm(np.where(train_ND > 3, np.nan, train_ND), label_N)
    with pytest.raises(ValueError, match="120 samples and 1 labels"):
        LinearSvm(train_ND, label_N).accuracy(train_ND, ["a"])
    with pytest.raises(ValueError, match="no cost"):
        fit_svm(train_ND, label_N, train_ND, label_N, ())


@pytest.mark.parametrize("seed", range(3))
def test_satisfied_triplets_equal_the_loops(seed):
    emb_MD = np.random.default_rng(seed).normal(size=(30, 5))
    triplets_T3 = random_triplets(seed, 30, 200)
    assert satisfied(emb_MD, triplets_T3).tolist() == satisfied_by_loops(emb_MD, triplets_T3)


def test_equal_distances_do_not_count():
    line_MD = np.array([[0.0], [1.0], [-1.0], [2.0]])
    assert satisfied(line_MD, np.array([[0, 1, 2], [0, 1, 3], [0, 3, 1]])).tolist() == [False, True, False]
    assert not satisfied(np.ones((4, 3)), random_triplets(0, 4, 20)).any()
    assert satisfied(line_MD, np.empty((0, 3), int)).shape == (0,)
    with pytest.raises(ValueError, match="NaN or inf"):
        satisfied(line_MD * np.nan, np.array([[0, 1, 2]]))


def test_pca_is_fitted_on_train_alone():
    rng = np.random.default_rng(0)
    train_ND = rng.normal(size=(200, 40)) * np.linspace(5, 0.1, 40) + 3
    pca = fit_pca(train_ND, 4)
    other_MD = rng.normal(size=(7, 40))
    centred = train_ND - train_ND.mean(axis=0)
    axes = np.linalg.svd(centred)[2][:4]
    expected = (other_MD - train_ND.mean(axis=0)) @ axes.T
    np.testing.assert_allclose(np.abs(pca.transform(other_MD)), np.abs(expected), atol=1e-9)
    assert fit_pca(train_ND).transform(other_MD).shape == (7, 30)
    assert fit_pca(train_ND[:, :15]).transform(other_MD[:, :15]).shape == (7, 15)
    assert fit_pca(train_ND[:5]).transform(other_MD).shape == (7, 5)
