"""Splitting each expression into groups by a Gaussian mixture of its embeddings (paper `sgm`, Algorithm 2).

N samples, M members of one class or group, D embedding size, K components of one class, G groups over all classes.
"""

import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

Covariance = Literal["diag", "spherical"]
Embeddings = ArrayLike | torch.Tensor
Labels = ArrayLike | torch.Tensor

REG_COVAR = 1e-6
"""Share of the mean variance of all embeddings that is added to every variance: equal samples keep a density, and no
result depends on the scale of the embeddings."""

NUM_STARTS = 3
"""Starts of EM a class, of which the likeliest result is kept."""

MAX_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Mixtures:
    """A Gaussian mixture a class. A group is one component of one class, and its number is the new label."""

    labels_N: NDArray[np.int64]
    """Group of each sample: position of its class among the sorted classes * num_components + its component."""
    means: NDArray[np.float64]
    """(G, D), row = group; NaN where a class has fewer components than asked for."""
    variances: NDArray[np.float64]
    """(G, D), the diagonals of the covariances; NaN as in `means`."""
    weights: NDArray[np.float64]
    """(G,) weight of each component in its class: 1 in all for a class, 0 for a component that does not exist."""
    class_of: NDArray[np.int64]
    """(G,) original class of each group."""
    num_components_of: dict[int, int]
    """Components that each original class really has. Each has at least one sample."""
    log_likelihood: float
    """Sum over all samples of log p(z | mixture of its class), in nats."""
    converged: bool
    """Whether EM settled in every class."""


def fit_mixtures(
    emb_ND: Embeddings, labels_N: Labels, num_components: int, seed: int, *, covariance: Covariance = "diag"
) -> Mixtures:
    """Fit a mixture of `num_components` Gaussians to each class by EM, and relabel every sample by class and component.

    The offset of a class grows by `num_components` a class (sgm, Algorithm 2), so no two classes share a label. Within
    a class the largest component comes first. One component is the exact mean and variance. A class with fewer
    distinct samples than components gets only that many, and a component that no sample prefers is dropped; the labels
    of what is missing stay unused. Computed in float64 on the CPU; the same input and seed give the same result.

    Args:
        emb_ND: (N, D) embeddings.
        labels_N: (N,) original classes, any integers.
        num_components: components a class, the level of Algorithm 2.
        seed: not negative; each class starts EM from a seed of its own, derived from it.
        covariance: "diag", one variance a dimension, or "spherical", one a component (what `sgm_loss` assumes).

    Raises:
        ValueError: emb_ND not finite, shapes that do not fit, num_components below 1, another covariance.
    """
    emb_ND, labels_N = _checked(emb_ND, labels_N)
    if num_components < 1:
        raise ValueError(f"num_components is {num_components}, expected at least 1")
    if covariance not in ("diag", "spherical"):
        raise ValueError(f"covariance is {covariance!r}, expected 'diag' or 'spherical'")
    floor = REG_COVAR * (float(emb_ND.var(axis=0).mean()) or 1.0)
    classes = np.unique(labels_N)
    seeds = np.random.SeedSequence(seed).generate_state(len(classes))
    fits = {
        label: _fit_class(emb_ND[labels_N == label], num_components, int(class_seed), covariance, floor)
        for label, class_seed in zip(classes.tolist(), seeds, strict=True)
    }
    return _number_groups(labels_N, fits, num_components)


def top_k(emb_ND: Embeddings, labels_N: Labels, k: int) -> dict[int, NDArray[np.int64]]:
    """Gallery of each label: indices of its medoid and then of the members nearest (Euclidean) to the medoid, k in all.

    Equally near ones come in the order of the data. A label of fewer than k members gives them all.

    Raises:
        ValueError: emb_ND not finite, shapes that do not fit, k below 1.
    """
    emb_ND, labels_N = _checked(emb_ND, labels_N)
    if k < 1:
        raise ValueError(f"k is {k}, expected at least 1")
    galleries = {}
    for label in np.unique(labels_N).tolist():
        members = np.flatnonzero(labels_N == label)
        emb_MD = emb_ND[members]
        medoid = np.linalg.norm(emb_MD - emb_MD.mean(axis=0), axis=1).argmin()
        distance_M = np.linalg.norm(emb_MD - emb_MD[medoid], axis=1)
        distance_M[medoid] = -1.0  # ahead of duplicates of itself
        galleries[label] = members[distance_M.argsort(kind="stable")[:k]]
    return galleries


class _Gaussians(NamedTuple):
    means_KD: NDArray[np.float64]
    variances_KD: NDArray[np.float64]
    weights_K: NDArray[np.float64]


class _ClassFit(NamedTuple):
    gaussians: _Gaussians
    component_M: NDArray[np.int64]
    log_likelihood: float
    converged: bool


def _fit_class(
    emb_MD: NDArray[np.float64], num_components: int, seed: int, covariance: Covariance, floor: float
) -> _ClassFit:
    """Mixture of one class, its components by size, none of them empty."""
    # Centred: EM takes a variance as E[x^2] - E[x]^2, which cancels far from the origin.
    center_D = emb_MD.mean(axis=0)
    centred_MD = emb_MD - center_D
    num_components = min(num_components, len(np.unique(emb_MD, axis=0)))
    if num_components == 1:
        fitted, converged = _one_gaussian(centred_MD, covariance, floor), True
    else:
        fitted, converged = _expectation_maximization(centred_MD, num_components, seed, covariance, floor)

    preferred_M = _log_joint(centred_MD, fitted).argmax(axis=1)
    sizes_K = np.bincount(preferred_M, minlength=num_components)
    by_size_K = (-sizes_K).argsort(kind="stable")
    used = by_size_K[: np.count_nonzero(sizes_K)]
    means_KD, variances_KD, weights_K = (values[used] for values in fitted)
    kept = _Gaussians(means_KD, variances_KD, weights_K / weights_K.sum())
    return _ClassFit(
        gaussians=kept._replace(means_KD=means_KD + center_D),
        component_M=by_size_K.argsort()[preferred_M],
        log_likelihood=float(logsumexp(_log_joint(centred_MD, kept), axis=1).sum()),
        converged=converged,
    )


def _one_gaussian(centred_MD: NDArray[np.float64], covariance: Covariance, floor: float) -> _Gaussians:
    variance_1D = np.square(centred_MD).mean(axis=0, keepdims=True) + floor
    if covariance == "spherical":
        variance_1D = np.full_like(variance_1D, variance_1D.mean())
    return _Gaussians(np.zeros_like(variance_1D), variance_1D, np.ones(1))


def _expectation_maximization(
    centred_MD: NDArray[np.float64], num_components: int, seed: int, covariance: Covariance, floor: float
) -> tuple[_Gaussians, bool]:
    mixture = GaussianMixture(
        num_components,
        covariance_type=covariance,
        reg_covar=floor,
        max_iter=MAX_ITERATIONS,
        n_init=NUM_STARTS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by `converged`
        mixture.fit(centred_MD)
    means_KD = mixture.means_
    variances_KD = np.broadcast_to(mixture.covariances_.reshape(num_components, -1), means_KD.shape)
    return _Gaussians(means_KD, variances_KD, mixture.weights_), bool(mixture.converged_)


def _log_joint(emb_MD: NDArray[np.float64], gaussians: _Gaussians) -> NDArray[np.float64]:
    """(M, K) log of weight * density of each component."""
    columns = [
        np.log(weight) - 0.5 * (np.square(emb_MD - mean_D) / variance_D + np.log(2 * np.pi * variance_D)).sum(axis=1)
        for mean_D, variance_D, weight in zip(*gaussians, strict=True)
    ]
    return np.stack(columns, axis=1)


def _number_groups(labels_N: NDArray[np.int64], fits: dict[int, _ClassFit], num_components: int) -> Mixtures:
    num_groups = len(fits) * num_components
    num_dims = next(iter(fits.values())).gaussians.means_KD.shape[1]
    group_N = np.empty(len(labels_N), dtype=np.int64)
    means = np.full((num_groups, num_dims), np.nan)
    variances = np.full_like(means, np.nan)
    weights = np.zeros(num_groups)
    for position, (label, fit) in enumerate(fits.items()):
        offset = position * num_components
        group_N[labels_N == label] = offset + fit.component_M
        used = slice(offset, offset + len(fit.gaussians.weights_K))
        means[used], variances[used], weights[used] = fit.gaussians
    return Mixtures(
        labels_N=group_N,
        means=means,
        variances=variances,
        weights=weights,
        class_of=np.repeat(np.array(list(fits), dtype=np.int64), num_components),
        num_components_of={label: len(fit.gaussians.weights_K) for label, fit in fits.items()},
        log_likelihood=sum(fit.log_likelihood for fit in fits.values()),
        converged=all(fit.converged for fit in fits.values()),
    )


def _checked(emb_ND: Embeddings, labels_N: Labels) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    emb = emb_ND.detach().cpu().double().numpy() if isinstance(emb_ND, torch.Tensor) else np.asarray(emb_ND, np.float64)
    labels = labels_N.detach().cpu().numpy() if isinstance(labels_N, torch.Tensor) else np.asarray(labels_N)
    if emb.ndim != 2 or len(emb) == 0:
        raise ValueError(f"emb_ND has shape {emb.shape}, expected (samples, dimensions) and at least one sample")
    if labels.shape != emb.shape[:1]:
        raise ValueError(f"labels_N has shape {labels.shape}, expected ({len(emb)},), one label a sample")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels_N has dtype {labels.dtype}, expected integers")
    if not np.isfinite(emb).all():
        raise ValueError("emb_ND holds NaN or inf")
    return emb, labels.astype(np.int64)
