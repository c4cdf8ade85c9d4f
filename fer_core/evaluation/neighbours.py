"""Exact nearest neighbours in Euclidean distance, and what is read off them: kNN classes, Recall@K, Acc@K.

Legend: Q queries, G gallery, D embedding size, B block of queries, M shortlist, K neighbours, C classes, N images.
Where K is larger than the number of images that can be retrieved, all of those are used.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import torch

from fer_core.evaluation.shortlist import Shortlist, multiplies_bfloat16
from fer_core.world import ALONE, World

Array = np.ndarray | torch.Tensor

_EXACT = "donot_use_mm_for_euclid_dist"
_BLOCK_ELEMENTS = 2**24  # 128 MB of float64
_SPARE = 32  # shortlisted beside the K asked for: more makes a row that must be done in full rarer
_FEW = 8  # queries that are compared with the whole gallery in the time that it takes to prepare a shortlist


def nearest(
    query_QD: Array, gallery_GD: Array, k: int, exclude_self: bool = False, world: World = ALONE
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (Q, k) int64 and distances (Q, k) float64 of the k nearest gallery members, nearest first.

    Equal distances are ordered by the lower index. With `exclude_self` the query and the gallery are the same table and
    row i never retrieves row i; an equal copy of it at another index may be retrieved. k is cut to the number of
    members that can be retrieved, so that fewer than k columns may come back.

    Distances are taken in float64 from differences. A matrix product in few bits shortlists the members first; a row is
    believed only if its k-th distance lies below the shortlist's last one by more than the product can be wrong. It is
    otherwise shortlisted in float64, and where that does not tell either, compared with the whole gallery. Memory is
    bounded by a block of queries.

    Args:
        world: the workers that share the queries; each has both tables, and gets the whole answer, whose bits do not
            depend on them.

    Raises ValueError for tables that do not match, NaN or infinity, k < 1 and a gallery with nothing to retrieve.
    """
    query, gallery = table_of("query", query_QD, world), table_of("gallery", gallery_GD, world)
    num_members = len(gallery) - int(exclude_self)
    if query.shape[1] != gallery.shape[1] or query.device != gallery.device:
        raise ValueError("query and gallery must have the same embedding size and be on the same device.")
    if exclude_self and len(query) != len(gallery):
        raise ValueError("exclude_self compares a table with itself: query and gallery must be the same.")
    if k < 1 or num_members < 1:
        raise ValueError(f"{k} neighbours among {num_members} gallery members: both must be at least 1.")
    k = min(k, num_members)
    num_rows = max(1, _BLOCK_ELEMENTS // (len(gallery) + (k + _SPARE) * gallery.shape[1]))
    shortlists = _shortlists(gallery) if k + _SPARE < num_members and len(query) > _FEW else []
    own = torch.arange(len(query), device=query.device) if exclude_self else None
    index, distance = [query.new_empty((0, k), dtype=torch.int64)], [query.new_empty((0, k))]
    for rows in torch.arange(len(query))[world.share(len(query))].split(num_rows):
        block = _nearest_of_block(query[rows], gallery, k, None if own is None else own[rows], shortlists)
        index.append(block[0])
        distance.append(block[1])
    index_QK, distance_QK = (world.joined(torch.cat(parts)).cpu().numpy() for parts in (index, distance))
    return index_QK, distance_QK


def _shortlists(gallery_GD: torch.Tensor) -> list[Callable[[], Shortlist]]:
    """What tells the nearest, the fastest first; each is made when it is first asked for."""
    fast = torch.bfloat16 if multiplies_bfloat16(gallery_GD.device) else torch.float32
    return [cache(partial(Shortlist, gallery_GD, dtype)) for dtype in (fast, torch.float64)]


def _nearest_of_block(
    query_BD: torch.Tensor,
    gallery_GD: torch.Tensor,
    k: int,
    own_B: torch.Tensor | None,
    shortlists: list[Callable[[], Shortlist]],
) -> tuple[torch.Tensor, torch.Tensor]:
    if not shortlists:
        return compared_in_full(query_BD, gallery_GD, k, own_B)
    short_BM, others_B = shortlists[0]().of(query_BD, own_B, k + _SPARE)
    exact_BM = torch.cdist(query_BD[:, None], gallery_GD[short_BM], compute_mode=_EXACT)[:, 0]
    distance_BK, order_BK = _first(exact_BM, k)  # whose sort is stable, and the shortlist in the order of the gallery
    index_BK = short_BM.gather(1, order_BK)
    doubtful = ~(distance_BK[:, -1].square() < others_B)
    if doubtful.any():
        own = None if own_B is None else own_B[doubtful]
        rest = _nearest_of_block(query_BD[doubtful], gallery_GD, k, own, shortlists[1:])
        index_BK[doubtful], distance_BK[doubtful] = rest
    return index_BK, distance_BK


def compared_in_full(
    query_BD: torch.Tensor, gallery_GD: torch.Tensor, k: int, own_B: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `nearest`, of float64 tables and without a shortlist; `own_B` are the members that are left out."""
    exact_BG = torch.cdist(query_BD, gallery_GD, compute_mode=_EXACT)
    if own_B is not None:
        exact_BG.scatter_(1, own_B[:, None], torch.inf)
    distance_BK, index_BK = _first(exact_BG, k)
    return index_BK, distance_BK


def _first(distance: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    sorted_distance, order = distance.sort(dim=1, stable=True)
    return sorted_distance[:, :k], order[:, :k]


def table_of(name: str, values: Array, world: World) -> torch.Tensor:
    """Embeddings in float64; a tensor stays on its device, an array goes to the worker's.

    Raises ValueError, with their name, where they are no rows of finite numbers.
    """
    table = values.detach() if isinstance(values, torch.Tensor) else torch.as_tensor(values, device=world.device)
    table = table.to(torch.float64)
    if table.ndim != 2:
        raise ValueError(f"{name} has shape {tuple(table.shape)}; rows of embeddings are needed.")
    if not torch.isfinite(table).all():
        raise ValueError(f"{name} holds a NaN or an infinity.")
    return table


def labels_of(labels: Array, num_images: int) -> np.ndarray:
    """Labels as an array (N,). Raises ValueError where there is not one for each image."""
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
    names, class_G = np.unique(labels_of(labels, len(gallery)), return_inverse=True)
    index_QK, _ = nearest(query, gallery, k)
    return names[majority(class_G[index_QK], len(names))]


def neighbour_agreement(emb_ND: Array, labels_N: Array, k: int, world: World = ALONE) -> np.ndarray:
    """Booleans (N, min(k, N - 1)): does the j-th nearest other image have the query's class?"""
    labels = labels_of(labels_N, len(emb_ND))
    index_NK, _ = nearest(emb_ND, emb_ND, k, exclude_self=True, world=world)
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
