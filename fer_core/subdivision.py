"""Splitting each expression into groups by a Gaussian mixture of its embeddings (paper `sgm`, Algorithm 2).

N samples, M members of one class or group, D embedding size, K components of one class, G groups over all classes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fer_core.gaussian_mixtures import Covariance, Gaussians, SharedRows, fit, log_joint, maximized
from fer_core.world import ALONE, World

Embeddings = ArrayLike | torch.Tensor
Labels = ArrayLike | torch.Tensor

REG_COVAR = 1e-6
"""Share of the mean variance of all embeddings that is added to every variance: equal samples keep a density, and no
result depends on the scale of the embeddings."""


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
    emb_ND: Embeddings,
    labels_N: Labels,
    num_components: int,
    seed: int,
    *,
    covariance: Covariance = "diag",
    world: World = ALONE,
) -> Mixtures:
    """Fit a mixture of `num_components` Gaussians to each class by EM, and relabel every sample by class and component.

    The offset of a class grows by `num_components` a class (sgm, Algorithm 2), so no two classes share a label. Within
    a class the largest component comes first. One component is the exact mean and variance. A class with fewer
    distinct samples than components gets only that many, and a component that no sample prefers is dropped; the labels
    of what is missing stay unused. Computed in float64; the same input and seed give the same result, to rounding, with
    any number of workers.

    Args:
        emb_ND: (N, D) embeddings.
        labels_N: (N,) original classes, any integers.
        num_components: components a class, the level of Algorithm 2.
        seed: not negative; each class starts EM from a seed of its own, derived from it.
        covariance: "diag", one variance a dimension, or "spherical", one a component (what `sgm_loss` assumes).
        world: the workers that share the rows; each has all embeddings, and gets the whole result.

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
        label: _fit_class(emb_ND[labels_N == label], num_components, int(class_seed), covariance, floor, world)
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


class _ClassFit(NamedTuple):
    means_KD: NDArray[np.float64]
    variances_KD: NDArray[np.float64]
    weights_K: NDArray[np.float64]
    component_M: NDArray[np.int64]
    log_likelihood: float
    converged: bool


def _fit_class(
    emb_MD: NDArray[np.float64], num_components: int, seed: int, covariance: Covariance, floor: float, world: World
) -> _ClassFit:
    """Mixture of one class, its components by size, none of them empty."""
    center_D = emb_MD.mean(axis=0)
    rows = SharedRows(torch.from_numpy(emb_MD - center_D), world)
    num_components = _num_distinct(emb_MD, num_components)
    if num_components == 1:
        fitted, converged = _one_gaussian(rows, covariance, floor), True
    else:
        fitted, converged = fit(rows, num_components, seed, covariance, floor)

    preferred_R = rows.each(lambda rows_RD: log_joint(rows_RD, fitted)[0].argmax(dim=0))
    preferred_M = rows.world.joined(preferred_R).cpu().numpy()
    sizes_K = np.bincount(preferred_M, minlength=num_components)
    by_size_K = (-sizes_K).argsort(kind="stable")
    used = by_size_K[: np.count_nonzero(sizes_K)].tolist()
    means_SKD, variances_SKD, weights_SK = (values[:, used] for values in fitted)
    kept = Gaussians(means_SKD, variances_SKD, weights_SK / weights_SK.sum())
    log_likelihood = rows.total(lambda rows_RD: log_joint(rows_RD, kept).logsumexp(dim=1).sum())
    means_KD, variances_KD, weights_K = (values[0].cpu().numpy() for values in kept)
    component_M = by_size_K.argsort()[preferred_M]
    return _ClassFit(means_KD + center_D, variances_KD, weights_K, component_M, float(log_likelihood), converged)


def _num_distinct(emb_MD: NDArray[np.float64], most: int) -> int:
    """How many different rows there are, counted to `most`: the first rows nearly always tell."""
    seen = len(np.unique(emb_MD[: 8 * most], axis=0))
    return most if seen >= most else min(most, len(np.unique(emb_MD, axis=0)))


def _one_gaussian(rows: SharedRows, covariance: Covariance, floor: float) -> Gaussians:
    square_D = rows.total(lambda rows_RD: rows_RD.square().sum(dim=0))
    moments_X = torch.cat([square_D.new_tensor([rows.count]), torch.zeros_like(square_D), square_D])
    return maximized(moments_X[None, None], covariance, floor)


def _number_groups(labels_N: NDArray[np.int64], fits: dict[int, _ClassFit], num_components: int) -> Mixtures:
    num_groups = len(fits) * num_components
    num_dims = next(iter(fits.values())).means_KD.shape[1]
    group_N = np.empty(len(labels_N), dtype=np.int64)
    means = np.full((num_groups, num_dims), np.nan)
    variances = np.full_like(means, np.nan)
    weights = np.zeros(num_groups)
    for position, (label, own) in enumerate(fits.items()):
        offset = position * num_components
        group_N[labels_N == label] = offset + own.component_M
        used = slice(offset, offset + len(own.weights_K))
        means[used], variances[used], weights[used] = own.means_KD, own.variances_KD, own.weights_K
    return Mixtures(
        labels_N=group_N,
        means=means,
        variances=variances,
        weights=weights,
        class_of=np.repeat(np.array(list(fits), dtype=np.int64), num_components),
        num_components_of={label: len(own.weights_K) for label, own in fits.items()},
        log_likelihood=sum(own.log_likelihood for own in fits.values()),
        converged=all(own.converged for own in fits.values()),
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
