"""Who is on the picture where nobody wrote it down: clusters of faces. The caller marks them as estimated.

Legend: N faces, D descriptor size, K neighbours, E links, B links of a block.
"""

from typing import NamedTuple

import cv2
import numpy as np
from sklearn.decomposition import PCA

from fer_core.evaluation.neighbours import nearest

SIDE, NUM_CELLS, RADIUS = 112, 8, 2
NUM_PATTERNS = 59
"""58 uniform patterns (at most two changes between 0 and 1 around the ring) and one place for all others."""

_RING = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
_LINKS = 2**16


def _patterns() -> np.ndarray:
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    return np.where(uniform, np.cumsum(uniform), 0).astype(np.int64)


_PATTERN_OF_CODE = _patterns()
_INNER = SIDE - 2 * RADIUS
_CELL = np.add.outer(np.arange(_INNER) * NUM_CELLS // _INNER * NUM_CELLS, np.arange(_INNER) * NUM_CELLS // _INNER)


def describe_face(crop: np.ndarray) -> np.ndarray:
    """Histograms of uniform local binary patterns of an aligned face, float32 (3776,), of Euclidean length 1.

    The crop, uint8 grey (S, S) or RGB (S, S, 3), is scaled to 112x112; each pixel is coded by which of its eight
    neighbours at distance 2 are at least as bright; the 59 patterns are counted in 8x8 cells (Ahonen et al. 2006) and
    the root of their shares is taken, so that a scalar product compares histograms by Bhattacharyya's coefficient.
    Any monotone change of brightness leaves it as it is. Whiten them before clustering.
    Raises ValueError for another type or shape.
    """
    if crop.dtype != np.uint8 or crop.shape not in ((len(crop),) * 2, (len(crop), len(crop), 3)) or not crop.size:
        raise ValueError(f"a crop of type {crop.dtype} and shape {crop.shape}; uint8 (S, S) or (S, S, 3) is needed.")
    grey = crop if crop.ndim == 2 else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    face = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    inner = slice(RADIUS, SIDE - RADIUS)
    code = np.zeros((_INNER, _INNER), np.uint8)
    for bit, (down, right) in enumerate(_RING):
        moved = np.roll(face, (-RADIUS * down, -RADIUS * right), axis=(0, 1))[inner, inner]
        code |= (moved >= face[inner, inner]).astype(np.uint8) << bit
    place = _CELL * NUM_PATTERNS + _PATTERN_OF_CODE[code]
    count = np.bincount(place.ravel(), minlength=NUM_CELLS**2 * NUM_PATTERNS).reshape(NUM_CELLS**2, NUM_PATTERNS)
    share = count / count.sum(axis=1, keepdims=True)
    return (np.sqrt(share) / NUM_CELLS).ravel().astype(np.float32)


class Whitening(NamedTuple):
    """Principal components, each scaled to variance 1: what all faces share counts less.

    Attributes:
        mean_D: of the descriptors that it was fitted on.
        component_Dd: from a descriptor to its d components.
    """

    mean_D: np.ndarray
    component_Dd: np.ndarray

    def of(self, descriptor_ND: np.ndarray) -> np.ndarray:
        """The components of descriptors, float32 (N, d)."""
        return ((descriptor_ND - self.mean_D) @ self.component_Dd).astype(np.float32)


def fit_whitening(descriptor_ND: np.ndarray, num_dimensions: int = 128, seed: int = 0) -> Whitening:
    """Fit a whitening to a sample of descriptors.

    d is `num_dimensions`, or a quarter of the descriptors' number where they are few (with as many components as
    descriptors all would lie equally far apart), or less where they have fewer directions. The solver is randomised,
    drawn from `seed`. Raises ValueError for fewer than two different rows.
    """
    if len(descriptor_ND) < 2 or not np.ptp(descriptor_ND, axis=0).any():
        raise ValueError(f"{len(descriptor_ND)} descriptors, fewer than two of them different: nothing to whiten.")
    most = max(1, min(num_dimensions, len(descriptor_ND) // 4, descriptor_ND.shape[1]))
    fitted = PCA(most, svd_solver="randomized", random_state=seed).fit(descriptor_ND)
    deviation_d = np.sqrt(fitted.explained_variance_)
    kept_d = deviation_d > 1e-5 * deviation_d.max()
    return Whitening(fitted.mean_, (fitted.components_[kept_d] / deviation_d[kept_d, None]).T)


def cluster_identities(
    embedding_ND: np.ndarray,
    min_similarity: float = 0.4,
    min_shared: float = 0.2,
    min_mean_similarity: float = 0.15,
    num_neighbours: int = 10,
    min_size: int = 1,
) -> np.ndarray:
    """The cluster 0, 1, ... of each face, numbered in the order of their first faces, int64 (N,); -1 for none.

    A face and one of its `num_neighbours` nearest others are linked if the cosine of their embeddings is at least
    `min_similarity` and if, of all faces that are near to either (itself and its nearest others), a share of at least
    `min_shared` is near to both (Jarvis and Patrick 1973, as a Jaccard index): a chance likeness has no such company.
    The most similar pair first, the clusters of linked faces are joined if the mean cosine between their members is at
    least `min_mean_similarity`, which keeps chains of likenesses from running through the whole set. Clusters of fewer
    than `min_size` faces, and embeddings of length 0, are none. Nothing is random. Memory is of the order N (D + K).

    The embeddings may come from any network: give its verification threshold as `min_similarity`, and 0.1 as
    `min_shared`, which otherwise splits people with hundreds of faces.

    The defaults were chosen for `describe_face` and `whitened` on the faces they are measured on
    (`python -m benchmarks.identity_clusters`), so expect less elsewhere. KDEF, 980 frontal faces of 70 people:
    precision and recall of pairs and of B-cubed are all 1.00 and 0.95. LFW, 5,714 faces of the 405 people with five
    and more: pairs 0.77 and 0.06, B-cubed 0.90 and 0.14; all 12,794 faces of 5,618 people: pairs 0.49 and 0.09. On
    FER+ the large clusters are, by eye, pictures that look alike and no people. That is enough for a studio; for faces
    in the wild take a network: on imitated embeddings of one (mean cosine 0.55 within a person, 0 between) pairs come
    to 1.00 and 1.00 with min_shared 0.1.

    Raises ValueError for NaN or infinity, a table that is not (N, D), num_neighbours < 1 or min_size < 1.
    """
    if embedding_ND.ndim != 2 or not np.isfinite(embedding_ND).all():
        raise ValueError(f"embeddings of shape {embedding_ND.shape}; a finite table (N, D) is needed.")
    if num_neighbours < 1 or min_size < 1:
        raise ValueError(f"num_neighbours is {num_neighbours} and min_size {min_size}; both must be at least 1.")
    length_N = np.linalg.norm(embedding_ND.astype(np.float64), axis=1)
    usable = np.flatnonzero(length_N)
    cluster_N = np.full(len(embedding_ND), -1)
    if len(usable):
        unit_ND = embedding_ND[usable] / length_N[usable, None]
        link_E2 = _links(unit_ND, min_similarity, min_shared, num_neighbours)
        cluster_N[usable] = _numbered(_joined(unit_ND, link_E2, min_mean_similarity), min_size)
    return cluster_N


def _links(unit_ND: np.ndarray, min_similarity: float, min_shared: float, num_neighbours: int) -> np.ndarray:
    """Pairs (E, 2) of neighbours that may be of one person, the most similar first."""
    if len(unit_ND) < 2:
        return np.zeros((0, 2), np.int64)
    index_NK, distance_NK = nearest(unit_ND, unit_ND, num_neighbours, exclude_self=True)
    left, column = np.nonzero(1 - np.square(distance_NK) / 2 >= min_similarity)
    order = np.argsort(distance_NK[left, column], kind="stable")
    link_E2 = np.stack([left, index_NK[left, column]], axis=1)[order]
    near_NK = np.column_stack([np.arange(len(unit_ND)), index_NK])
    num_both_E = np.zeros(len(link_E2), np.int64)
    for start in range(0, len(link_E2), _LINKS):
        one_BK, other_BK = near_NK[link_E2[start : start + _LINKS].T]
        for near_B in one_BK.T:
            num_both_E[start : start + _LINKS] += (near_B[:, None] == other_BK).any(axis=1)
    return link_E2[num_both_E >= min_shared * (2 * near_NK.shape[1] - num_both_E)]


def _joined(unit_ND: np.ndarray, link_E2: np.ndarray, min_mean_similarity: float) -> np.ndarray:
    """The cluster (N,) of each face. The mean cosine of two clusters is the product of their sums over their sizes."""
    parent, size, sum_ND = list(range(len(unit_ND))), [1] * len(unit_ND), unit_ND.copy()

    def cluster_of(face: int) -> int:
        while parent[face] != face:
            parent[face] = face = parent[parent[face]]
        return face

    for link in link_E2.tolist():
        small, large = sorted((cluster_of(link[0]), cluster_of(link[1])), key=size.__getitem__)
        enough = min_mean_similarity * size[small] * size[large]
        if small != large and sum_ND[small] @ sum_ND[large] >= enough:
            parent[small] = large
            size[large] += size[small]
            sum_ND[large] += sum_ND[small]
    return np.array([cluster_of(face) for face in range(len(unit_ND))])


def _numbered(cluster: np.ndarray, min_size: int) -> np.ndarray:
    """Clusters of fewer than `min_size` as -1, the others numbered in the order of their first face."""
    _, first, inverse, size = np.unique(cluster, return_index=True, return_inverse=True, return_counts=True)
    number = np.full(len(size), -1)
    large = np.flatnonzero(size >= min_size)
    number[large[np.argsort(first[large])]] = np.arange(len(large))
    return number[inverse]
