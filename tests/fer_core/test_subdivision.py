import dataclasses

import numpy as np
import pytest
import torch

from fer_core.subdivision import REG_COVAR, fit_mixtures, top_k

CENTERS = {-3: [(0, 0), (10, 0), (0, 10)], 4: [(20, 20), (30, 20), (20, 30)]}
SIZES = (30, 20, 10)


def blobs(seed=0, scale=0.5):
    """Two classes of three far apart blobs of 30, 20 and 10 samples, shuffled. Returns blob numbers, too."""
    generator = np.random.default_rng(seed)
    rows, labels, blob_of = [], [], []
    for position, (label, centers) in enumerate(CENTERS.items()):
        for blob, (center, size) in enumerate(zip(centers, SIZES, strict=True)):
            rows.append(generator.normal(center, scale, size=(size, 2)))
            labels += [label] * size
            blob_of += [3 * position + blob] * size
    order = generator.permutation(len(labels))
    return np.concatenate(rows)[order], np.array(labels)[order], np.array(blob_of)[order]


def log_density_by_loops(z, mixtures, groups):
    """log sum_k w_k prod_d N(z_d; m_kd, v_kd), one number at a time."""
    total = 0.0
    for group in groups:
        density = mixtures.weights[group]
        for value, mean, variance in zip(z, mixtures.means[group], mixtures.variances[group], strict=True):
            density *= np.exp(-((value - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        total += density
    return np.log(total)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
@pytest.mark.parametrize("seed", range(3))
def test_blobs_are_found_largest_first(covariance, seed):
    emb_ND, labels_N, blob_N = blobs(seed)
    mixtures = fit_mixtures(emb_ND, labels_N, 3, seed, covariance=covariance)
    assert mixtures.labels_N.dtype == np.int64
    np.testing.assert_array_equal(mixtures.labels_N, blob_N)
    np.testing.assert_array_equal(mixtures.class_of, [-3, -3, -3, 4, 4, 4])
    np.testing.assert_allclose(mixtures.weights, np.array(2 * SIZES) / 60, atol=1e-6)
    for blob in range(6):
        members = emb_ND[blob_N == blob]
        np.testing.assert_allclose(mixtures.means[blob], members.mean(axis=0), atol=1e-6)
        floor = REG_COVAR * emb_ND.var(axis=0).mean()
        variance = members.var(axis=0) if covariance == "diag" else members.var(axis=0).mean()
        np.testing.assert_allclose(mixtures.variances[blob], variance + floor, rtol=1e-6)
    assert mixtures.converged
    assert mixtures.num_components_of == {-3: 3, 4: 3}


@pytest.mark.parametrize("num_components", [1, 2, 3, 5])
def test_every_label_belongs_to_one_class(num_components):
    emb_ND, labels_N, _ = blobs(1, scale=3.0)
    mixtures = fit_mixtures(emb_ND, labels_N, num_components, seed=0)
    np.testing.assert_array_equal(mixtures.class_of[mixtures.labels_N], labels_N)
    np.testing.assert_array_equal(mixtures.labels_N // num_components, (labels_N == 4).astype(int))
    for position, label in enumerate(CENTERS):
        sizes = np.bincount(mixtures.labels_N[labels_N == label] - position * num_components)
        assert len(sizes) == mixtures.num_components_of[label]
        assert (sizes > 0).all()
        assert (np.diff(sizes) <= 0).all()
    assert mixtures.means.shape == mixtures.variances.shape == (2 * num_components, 2)


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
@pytest.mark.parametrize("num_components", [1, 3])
def test_log_likelihood_and_assignment_equal_the_loops(covariance, num_components):
    emb_ND, labels_N, _ = blobs(2, scale=3.0)
    mixtures = fit_mixtures(emb_ND, labels_N, num_components, seed=0, covariance=covariance)
    total = 0.0
    for z, label, group in zip(emb_ND, labels_N, mixtures.labels_N, strict=True):
        groups = np.flatnonzero((mixtures.class_of == label) & (mixtures.weights > 0))
        total += log_density_by_loops(z, mixtures, groups)
        assert group == max(groups, key=lambda one: log_density_by_loops(z, mixtures, [one]))
    assert mixtures.log_likelihood == pytest.approx(total, rel=1e-10)


def test_one_component_is_the_exact_mean_and_variance():
    emb_ND, labels_N, _ = blobs(3)
    mixtures = fit_mixtures(emb_ND, labels_N, 1, seed=0)
    floor = REG_COVAR * emb_ND.var(axis=0).mean()
    for group, label in enumerate(CENTERS):
        members = emb_ND[labels_N == label]
        np.testing.assert_array_equal(mixtures.means[group], members.mean(axis=0))
        np.testing.assert_allclose(mixtures.variances[group], members.var(axis=0) + floor, rtol=1e-12)
    np.testing.assert_array_equal(mixtures.weights, [1, 1])


def test_more_components_are_likelier():
    emb_ND, labels_N, _ = blobs(4)
    values = [fit_mixtures(emb_ND, labels_N, level, seed=0).log_likelihood for level in (1, 2, 3)]
    assert values[0] < values[1] < values[2]


def test_same_seed_same_result_and_no_global_state():
    emb_ND, labels_N, _ = blobs(5, scale=4.0)
    first = fit_mixtures(emb_ND, labels_N, 4, seed=7)
    np.random.seed(123)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    second = fit_mixtures(emb_ND, labels_N, 4, seed=7)
    for field in dataclasses.fields(first):
        np.testing.assert_equal(getattr(second, field.name), getattr(first, field.name))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    others = [fit_mixtures(emb_ND, labels_N, 4, seed=seed).labels_N for seed in range(8)]
    assert any((other != first.labels_N).any() for other in others)


def test_torch_and_numpy_input_agree():
    emb_ND, labels_N, _ = blobs(6)
    emb_ND = emb_ND.astype(np.float32)
    emb_ND.flags.writeable = False
    expected = fit_mixtures(emb_ND, labels_N, 3, seed=0)
    given = torch.tensor(emb_ND, requires_grad=True)
    np.testing.assert_array_equal(fit_mixtures(given, torch.tensor(labels_N), 3, seed=0).means, expected.means)
    assert fit_mixtures(given.bfloat16(), torch.tensor(labels_N), 3, seed=0).converged


@pytest.mark.parametrize("scale", [1e-6, 1e3])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_scale_and_offset_of_the_embeddings_do_not_matter(scale, offset):
    emb_ND, labels_N, blob_N = blobs(7)
    mixtures = fit_mixtures(scale * (emb_ND + offset), labels_N, 3, seed=0)
    np.testing.assert_array_equal(mixtures.labels_N, blob_N)


def test_class_of_fewer_distinct_samples_than_components_leaves_labels_unused():
    emb_ND = np.array([[0.0, 0.0]] * 4 + [[1.0, 1.0]] * 2 + [[5.0, 5.0]] + [[9.0, 9.0]] * 3)
    labels_N = np.array([0] * 6 + [1] + [2] * 3)
    mixtures = fit_mixtures(emb_ND, labels_N, 3, seed=0)
    assert mixtures.num_components_of == {0: 2, 1: 1, 2: 1}
    np.testing.assert_array_equal(mixtures.labels_N, [0] * 4 + [1] * 2 + [3] + [6] * 3)
    np.testing.assert_array_equal(mixtures.class_of, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(np.isnan(mixtures.means).all(axis=1), mixtures.weights == 0)
    np.testing.assert_allclose(mixtures.means[[0, 1, 3, 6]], [[0, 0], [1, 1], [5, 5], [9, 9]], atol=1e-9)
    assert np.isfinite(mixtures.log_likelihood)


def test_one_sample_in_all():
    mixtures = fit_mixtures(np.array([[2.0, 3.0]]), np.array([9]), 5, seed=0)
    np.testing.assert_array_equal(mixtures.labels_N, [0])
    np.testing.assert_array_equal(mixtures.means[0], [2, 3])
    assert np.isfinite(mixtures.log_likelihood)


def test_components_that_end_empty_are_dropped():
    # Six distinct samples and more, but no more than EM can tell from two points.
    generator = np.random.default_rng(0)
    emb_ND = np.concatenate([np.zeros((50, 3)) + 1e-9 * generator.normal(size=(50, 3)), np.ones((50, 3))])
    mixtures = fit_mixtures(emb_ND, np.zeros(100, dtype=int), 6, seed=0)
    assert mixtures.num_components_of == {0: 2}
    np.testing.assert_array_equal(np.unique(mixtures.labels_N), [0, 1])
    np.testing.assert_array_equal(np.flatnonzero(mixtures.weights), [0, 1])
    assert mixtures.weights.sum() == pytest.approx(1.0, abs=1e-12)


def test_em_that_does_not_settle_says_so(monkeypatch):
    monkeypatch.setattr("fer_core.gaussian_mixtures.MAX_ITERATIONS", 1)
    emb_ND, labels_N, _ = blobs(8, scale=5.0)
    assert not fit_mixtures(emb_ND, labels_N, 3, seed=0).converged


def test_bad_input_is_named():
    emb_ND, labels_N, _ = blobs(9)
    with pytest.raises(ValueError, match="num_components is 0"):
        fit_mixtures(emb_ND, labels_N, 0, seed=0)
    with pytest.raises(ValueError, match="covariance is 'full'"):
        fit_mixtures(emb_ND, labels_N, 2, seed=0, covariance="full")
    with pytest.raises(ValueError, match="labels_N has shape"):
        fit_mixtures(emb_ND, labels_N[:-1], 2, seed=0)
    with pytest.raises(ValueError, match="labels_N has dtype"):
        fit_mixtures(emb_ND, labels_N / 2, 2, seed=0)
    with pytest.raises(ValueError, match="emb_ND has shape"):
        fit_mixtures(emb_ND[:0], labels_N[:0], 2, seed=0)
    with pytest.raises(ValueError, match="k is 0"):
        top_k(emb_ND, labels_N, 0)
    emb_ND[5, 1] = np.nan
    for function in (lambda: fit_mixtures(emb_ND, labels_N, 2, seed=0), lambda: top_k(emb_ND, labels_N, 1)):
        with pytest.raises(ValueError, match="emb_ND holds NaN or inf"):
            function()


def test_galleries_equal_the_loops():
    emb_ND, _, blob_N = blobs(10)
    galleries = top_k(emb_ND, blob_N, 8)
    assert list(galleries) == list(range(6))
    for blob in range(6):
        members = [index for index in range(len(blob_N)) if blob_N[index] == blob]
        centroid = sum(emb_ND[index] for index in members) / len(members)
        medoid = min(members, key=lambda index: np.linalg.norm(emb_ND[index] - centroid))
        nearest = sorted(members, key=lambda index: np.linalg.norm(emb_ND[index] - emb_ND[medoid]))
        assert galleries[blob].tolist() == nearest[:8]
        assert nearest[0] == medoid


def test_gallery_of_duplicates_and_of_few_members():
    emb_ND = torch.tensor([[0.0], [1.0], [1.0], [2.0], [7.0]])
    labels_N = torch.tensor([3, 3, 3, 3, -1])
    galleries = top_k(emb_ND, labels_N, 16)
    assert galleries[3].tolist() == [1, 2, 0, 3]
    assert galleries[-1].tolist() == [4]
