"""Exact nearest neighbours in Euclidean distance, and what is read off them: kNN classes, Recall@K, Acc@K.

Legend: Q queries, G gallery, D embedding size, B block of queries, M shortlist, K neighbours, C classes, N images.
Where K is larger than the number of images that can be retrieved, all of those are used.
"""

from collections.abc import Sequence

import numpy as np
import torch

Array = np.ndarray | torch.Tensor

_EXACT = "donot_use_mm_for_euclid_dist"
_BLOCK_ELEMENTS = 2**24  # 128 MB of float64
_SPARE = 64  # shortlisted beside the K asked for: more makes a row that must be done in full rarer


def nearest(query_QD: Array, gallery_GD: Array, k: int, exclude_self: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Indices (Q, k) int64 and distances (Q, k) float64 of the k nearest gallery members, nearest first.

    Equal distances are ordered by the lower index. With `exclude_self` the query and the gallery are the same table and
    row i never retrieves row i; an equal copy of it at another index may be retrieved. k is cut to the number of
    members that can be retrieved, so that fewer than k columns may come back.

    Distances are taken in float64 from differences. A matrix product shortlists the members first; a row is believed
    only if its k-th distance lies below the shortlist's last one by more than the product can be wrong, and is
    otherwise compared with the whole gallery. Memory is bounded by a block of queries.

    Raises ValueError for tables that do not match, NaN or infinity, k < 1 and a gallery with nothing to retrieve.
    """
    query, gallery = _table("query", query_QD), _table("gallery", gallery_GD)
    num_members = len(gallery) - int(exclude_self)
    if query.shape[1] != gallery.shape[1] or query.device != gallery.device:
        raise ValueError("query and gallery must have the same embedding size and be on the same device.")
    if exclude_self and len(query) != len(gallery):
        raise ValueError("exclude_self compares a table with itself: query and gallery must be the same.")
    if k < 1 or num_members < 1:
        raise ValueError(f"{k} neighbours among {num_members} gallery members: both must be at least 1.")
    k = min(k, num_members)
    num_rows = max(1, _BLOCK_ELEMENTS // (len(gallery) + (k + _SPARE) * gallery.shape[1]))
    own = torch.arange(len(query), device=query.device) if exclude_self else None
    index, distance = [query.new_empty((0, k), dtype=torch.int64)], [query.new_empty((0, k))]
    for start in range(0, len(query), num_rows):
        rows = slice(start, start + num_rows)
        block = _nearest_of_block(query[rows], gallery, k, None if own is None else own[rows])
        index.append(block[0])
        distance.append(block[1])
    return torch.cat(index).cpu().numpy(), torch.cat(distance).cpu().numpy()


def _nearest_of_block(
    query_BD: torch.Tensor, gallery_GD: torch.Tensor, k: int, own_B: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    if k + _SPARE >= len(gallery_GD) - 1:
        return _nearest_in_full(query_BD, gallery_GD, k, own_B)
    query_norm, gallery_norm = query_BD.square().sum(dim=1), gallery_GD.square().sum(dim=1)
    squared_BG = torch.addmm(query_norm[:, None] + gallery_norm, query_BD, gallery_GD.T, alpha=-2)
    _hide_own(squared_BG, own_B)
    largest_B, short_BM = squared_BG.topk(k + _SPARE, dim=1, largest=False)
    short_BM = short_BM.sort(dim=1).values  # the stable sort below then keeps the lower index first
    exact_BM = torch.cdist(query_BD[:, None], gallery_GD[short_BM], compute_mode=_EXACT)[:, 0]
    distance_BK, order_BK = _first(exact_BM, k)
    index_BK = short_BM.gather(1, order_BK)
    rounding_B = 16 * (query_BD.shape[1] + 4) * torch.finfo(torch.float64).eps * (query_norm + gallery_norm.max())
    doubtful = distance_BK[:, -1].square() + rounding_B >= largest_B[:, -1]
    if doubtful.any():
        own = None if own_B is None else own_B[doubtful]
        index_BK[doubtful], distance_BK[doubtful] = _nearest_in_full(query_BD[doubtful], gallery_GD, k, own)
    return index_BK, distance_BK


def _nearest_in_full(
    query_BD: torch.Tensor, gallery_GD: torch.Tensor, k: int, own_B: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    exact_BG = torch.cdist(query_BD, gallery_GD, compute_mode=_EXACT)
    _hide_own(exact_BG, own_B)
    distance_BK, index_BK = _first(exact_BG, k)
    return index_BK, distance_BK


def _hide_own(distance_BG: torch.Tensor, own_B: torch.Tensor | None) -> None:
    if own_B is not None:
        distance_BG.scatter_(1, own_B[:, None], torch.inf)


def _first(distance: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    sorted_distance, order = distance.sort(dim=1, stable=True)
    return sorted_distance[:, :k], order[:, :k]


def _table(name: str, values: Array) -> torch.Tensor:
    table = torch.as_tensor(values).detach().to(torch.float64)
    if table.ndim != 2:
        raise ValueError(f"{name} has shape {tuple(table.shape)}; rows of embeddings are needed.")
    if not torch.isfinite(table).all():
        raise ValueError(f"{name} holds a NaN or an infinity.")
    return table


def _labels(labels: Array, num_images: int) -> np.ndarray:
    array = labels.cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    if array.shape != (num_images,):
        raise ValueError(f"labels have shape {array.shape}; one for each of {num_images} embeddings is needed.")
    return array


def count_votes(neighbour_QK: np.ndarray, num_classes: int) -> np.ndarray:
    """Votes (Q, C) that each class gets from neighbours given as class indices (Q, K)."""
    return (neighbour_QK[:, :, None] == np.arange(num_classes)).sum(axis=1)


def majority(neighbour_QK: np.ndarray, num_classes: int) -> np.ndarray:
    """Class (Q,) with most votes; among equals the class of the nearest neighbour that belongs to one of them.

    `neighbour_QK` holds class indices, nearest first.
    """
    votes_QC = count_votes(neighbour_QK, num_classes)
    leads_QK = np.take_along_axis(votes_QC, neighbour_QK, axis=1) == votes_QC.max(axis=1, keepdims=True)
    return np.take_along_axis(neighbour_QK, leads_QK.argmax(axis=1)[:, None], axis=1)[:, 0]


def knn_predict(query: Array, gallery: Array, labels: Array, k: int = 11) -> np.ndarray:
    """Predicted labels (Q,): the majority among the k nearest gallery members (SGM's classifier has k = 11).

    Labels (G,) are any integers or strings. Ties go to the class with the nearest member; a gallery of fewer than k
    votes as a whole. Raises ValueError as `nearest` does.
    """
    names, class_G = np.unique(_labels(labels, len(gallery)), return_inverse=True)
    index_QK, _ = nearest(query, gallery, k)
    return names[majority(class_G[index_QK], len(names))]


def neighbour_agreement(emb_ND: Array, labels_N: Array, k: int) -> np.ndarray:
    """Booleans (N, min(k, N - 1)): does the j-th nearest other image have the query's class?"""
    labels = _labels(labels_N, len(emb_ND))
    index_NK, _ = nearest(emb_ND, emb_ND, k, exclude_self=True)
    return labels[index_NK] == labels[:, None]


def recall_per_query(agreement_NK: np.ndarray, k: int) -> np.ndarray:
    """1.0 for each query (N,) with one of its class among the first k, else 0.0."""
    return np.where(agreement_NK[:, :k].any(axis=1), 1.0, 0.0)


def acc_per_query(agreement_NK: np.ndarray, k: int) -> np.ndarray:
    """Share, for each query (N,), of the first k that have its class."""
    first_NK = agreement_NK[:, :k]
    return first_NK.sum(axis=1) / first_NK.shape[1]


def recall_at_k(emb_ND: Array, labels_N: Array, ks: Sequence[int]) -> dict[int, float]:
    """Recall@K (SGM): share of the queries that find their class among the K nearest others.

    A query never retrieves itself. K above N - 1 counts all N - 1 others. Raises ValueError for N < 2 or K < 1.
    """
    agreement_NK = neighbour_agreement(emb_ND, labels_N, _largest(ks))
    return {k: float(recall_per_query(agreement_NK, k).mean()) for k in ks}


def acc_at_k(emb_ND: Array, labels_N: Array, ks: Sequence[int]) -> dict[int, float]:
    """Acc@K (SGM): mean share of the K nearest others that have the query's class.

    A query never retrieves itself. K above N - 1 counts all N - 1 others. Raises ValueError for N < 2 or K < 1.
    """
    agreement_NK = neighbour_agreement(emb_ND, labels_N, _largest(ks))
    return {k: float(acc_per_query(agreement_NK, k).mean()) for k in ks}


def _largest(ks: Sequence[int]) -> int:
    if not len(ks) or min(ks) < 1:
        raise ValueError(f"ks is {list(ks)}; numbers of neighbours from 1 on are needed.")
    return max(ks)
