"""How well clusters agree with classes. Legend: N images, R classes, K clusters, ... leading axes (resamples)."""

import numpy as np
from sklearn.cluster import KMeans


def contingency(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Counts (R, K) of the images that have the r-th value of `a` and the k-th of `b`, values in sorted order."""
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(f"Two labellings of the same images are needed, not {a.shape} and {b.shape}.")
    (names_a, row), (names_b, column) = np.unique(a, return_inverse=True), np.unique(b, return_inverse=True)
    cell = row * len(names_b) + column
    return np.bincount(cell, minlength=len(names_a) * len(names_b)).reshape(len(names_a), len(names_b))


def nmi(a: np.ndarray, b: np.ndarray) -> float:
    """Normalised mutual information 2 I(a, b) / (H(a) + H(b)), between 0 and 1, of two labellings (N,).

    SGM prints it without the 2, which could not reach 1. One group on both sides is perfect agreement, 1; one group on
    one side only shares no information, 0. Raises ValueError for unequal or empty labellings.
    """
    return float(nmi_of_table(contingency(a, b)))


def nmi_of_table(table: np.ndarray) -> np.ndarray:
    """`nmi` (...) of (possibly weighted) contingency tables (..., R, K), each with a positive sum."""
    joint = table / table.sum(axis=(-2, -1), keepdims=True)
    entropy_sum = _entropy(joint.sum(axis=-1), 1) + _entropy(joint.sum(axis=-2), 1)
    information = np.maximum(entropy_sum - _entropy(joint, 2), 0.0)
    one_group_each = entropy_sum == 0
    share = np.minimum(2 * information / np.where(one_group_each, 1.0, entropy_sum), 1.0)
    return np.where(one_group_each, 1.0, share)


def _entropy(share: np.ndarray, num_axes: int) -> np.ndarray:
    term = share * np.log(np.where(share > 0, share, 1.0))
    return -term.sum(axis=tuple(range(-num_axes, 0)))


def pair_f1(a: np.ndarray, b: np.ndarray) -> float:
    """F1 over all pairs of images: 2 together in both / (together in `a` + together in `b`).

    Where no two images are together on either side the labellings are the same, and the value is 1.
    Raises ValueError for unequal or empty labellings.
    """
    table = contingency(a, b)
    return float(pair_f1_of_table(table, table))


def pair_f1_of_table(table: np.ndarray, squared_table: np.ndarray) -> np.ndarray:
    """`pair_f1` (...) where image i has the weight w_i and a pair w_i w_j.

    `table` (..., R, K) sums w, `squared_table` sums w squared. A bootstrap puts the number of times an image was drawn
    there: an image and its own copy are then no pair, which would always count as together.
    """
    own = squared_table.sum(axis=(-2, -1))
    together = np.square(table).sum(axis=(-2, -1)) - own
    by_side = np.square(table.sum(axis=-1)).sum(axis=-1) + np.square(table.sum(axis=-2)).sum(axis=-1) - 2 * own
    return np.where(by_side == 0, 1.0, 2 * together / np.where(by_side == 0, 1, by_side))


def kmeans_labels(emb_ND: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    """Cluster (N,) of each embedding by k-means: the best of ten k-means++ starts drawn from `seed`.

    A collapsed table with fewer distinct rows than `num_clusters` gets as many clusters as it has distinct rows.
    Raises ValueError for an empty table or num_clusters < 1.
    """
    if len(emb_ND) < 1 or num_clusters < 1:
        raise ValueError(f"{num_clusters} clusters of {len(emb_ND)} embeddings: both must be at least 1.")
    num_distinct = len(np.unique(emb_ND, axis=0))
    model = KMeans(min(num_clusters, num_distinct), n_init=10, random_state=seed)
    return model.fit_predict(emb_ND.astype(np.float64))
