"""Our EM against scikit-learn's."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from fer_core import gaussian_mixtures
from fer_core.gaussian_mixtures import Gaussians, SharedRows, expectation_maximization, fit, log_joint
from fer_core.world import ALONE

FLOOR = 1e-4


def overlapping(seed, count=1500, num_groups=6, num_dims=5, spread=1.2):
    rng = np.random.default_rng(seed)
    center_KD = spread * rng.normal(size=(num_groups, num_dims))
    rows_MD = center_KD[rng.integers(num_groups, size=count)] + rng.normal(size=(count, num_dims))
    return rows_MD - rows_MD.mean(axis=0)


def likelihood(rows, mixture):
    return float(rows.total(lambda rows_RD: log_joint(rows_RD, mixture).logsumexp(dim=1).sum())) / rows.count


@pytest.mark.parametrize("covariance", ["diag", "spherical"])
@pytest.mark.parametrize("chunk", [100, 4096])
def test_the_same_start_gives_the_answer_of_scikit_learn(covariance, chunk, monkeypatch):
    monkeypatch.setattr(gaussian_mixtures, "CHUNK", chunk)
    rows_MD = overlapping(0)
    rng = np.random.default_rng(1)
    means_SKD, variances_SK1 = rng.normal(size=(2, 4, 5)), rng.uniform(0.5, 2, (2, 4, 1))
    variances_SKD, weights_SK = np.broadcast_to(variances_SK1, (2, 4, 5)).copy(), rng.dirichlet(np.ones(4), 2)
    peers = []
    for means, variances, weights in zip(means_SKD, variances_SKD, weights_SK, strict=True):
        precisions = 1 / (variances if covariance == "diag" else variances[:, 0])
        peer = GaussianMixture(4, covariance_type=covariance, reg_covar=FLOOR, max_iter=200, tol=1e-3)
        peers.append(peer.set_params(means_init=means, precisions_init=precisions, weights_init=weights).fit(rows_MD))
    best = max(peers, key=lambda peer: peer.lower_bound_)
    assert peers[0].lower_bound_ != pytest.approx(peers[1].lower_bound_, rel=1e-6)

    starts = Gaussians(*map(torch.from_numpy, (means_SKD, variances_SKD, weights_SK)))
    found, converged = expectation_maximization(SharedRows(torch.from_numpy(rows_MD), ALONE), starts, covariance, FLOOR)
    assert converged
    assert best.n_iter_ > 5
    np.testing.assert_allclose(found.means_SKD[0], best.means_, atol=1e-6)
    np.testing.assert_allclose(found.weights_SK[0], best.weights_, atol=1e-6)
    expected_KD = np.broadcast_to(best.covariances_.reshape(4, -1), (4, 5))
    np.testing.assert_allclose(found.variances_SKD[0], expected_KD, atol=1e-6)


def test_the_starts_are_as_good_as_those_of_scikit_learn():
    gains = []
    for seed in range(12):
        rows_MD = overlapping(seed, count=800)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer = GaussianMixture(5, covariance_type="diag", reg_covar=FLOOR, n_init=3, random_state=seed).fit(rows_MD)
        rows = SharedRows(torch.from_numpy(rows_MD), ALONE)
        gains.append(likelihood(rows, fit(rows, 5, seed, "diag", FLOOR)[0]) - peer.score(rows_MD))
    assert np.mean(gains) > -0.002  # nats a sample; single seeds differ by some 0.01 in either direction


def test_larger_tables_have_larger_chunks(monkeypatch):
    monkeypatch.setattr(gaussian_mixtures, "CHUNK", 4)
    monkeypatch.setattr(gaussian_mixtures, "MOST_CHUNKS", 3)
    sizes = [SharedRows(torch.zeros(count, 1), ALONE).chunk for count in (3, 12, 13, 25)]
    assert sizes == [4, 4, 8, 12]
