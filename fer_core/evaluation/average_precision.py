"""MAP@R (Musgrave et al. 2020, A Metric Learning Reality Check, section 3.2): retrieval that ranks a whole class.

Legend: N images, D embedding size, B block of queries, R images of a query's class beside it, K places looked at.
"""

import numpy as np
import torch

from fer_core.evaluation.neighbours import Array, compared_in_full, labels_of, table_of
from fer_core.world import ALONE, World

_BLOCK_ELEMENTS = 2**23


def map_at_r(emb_ND: Array, labels_N: Array, world: World = ALONE) -> float:
    """Mean of `average_precisions` over the queries whose class has another image.

    Raises:
        ValueError: no class has two images, or as `average_precisions`.
    """
    precision_N = average_precisions(emb_ND, labels_N, world)
    if np.isnan(precision_N).all():
        raise ValueError("no class has two images, so no query has any to retrieve.")
    return float(np.nanmean(precision_N))


def average_precisions(emb_ND: Array, labels_N: Array, world: World = ALONE) -> np.ndarray:
    """For each query (N,) (1 / R) sum over i <= R of P(i) rel(i); NaN for a query that is alone in its class.

    R is the number of others of the query's class, P(i) the share of that class among the i nearest others, rel(i)
    whether the i-th is of it. Equal distances are ordered by the lower index.

    The order is that of distances in float64 from differences: a matrix product finds it, and a query for which two
    images of which one is relevant are nearer to each other than the product can be wrong is compared anew. Memory is
    bounded by a block of queries, whatever R is.

    Args:
        world: the workers that share the queries; each has all embeddings, and gets the whole answer, whose bits do not
            depend on them.

    Raises:
        ValueError: shapes that do not match, NaN or infinity.
    """
    table = table_of("emb_ND", emb_ND, world)
    place_N, counts = np.unique(labels_of(labels_N, len(table)), return_inverse=True, return_counts=True)[1:]
    class_N, others_N = (torch.from_numpy(values).to(table.device) for values in (place_N, counts[place_N] - 1))
    own = torch.arange(len(table), device=table.device)[world.share(len(table))]
    found = table.new_full((len(table),), torch.nan)
    asked = own[others_N[own] > 0]
    asked = asked[others_N[asked].argsort(stable=True)]  # a block looks at as many places as its largest R
    centred_ND = table - table.mean(dim=0)
    num_rows = max(1, _BLOCK_ELEMENTS // len(table))
    for start in range(0, len(asked), num_rows):
        query_B = asked[start : start + num_rows]
        found[query_B] = _of_block(query_B, table, centred_ND, class_N, others_N[query_B])
    return world.joined(found[own]).cpu().numpy()


def _of_block(
    query_B: torch.Tensor,
    table_ND: torch.Tensor,
    centred_ND: torch.Tensor,
    class_N: torch.Tensor,
    others_B: torch.Tensor,
) -> torch.Tensor:
    num_places = int(others_B.max())
    place_K = torch.arange(1, num_places + 1, device=query_B.device)
    member_BK, is_told_BK = _ranked(query_B, centred_ND, min(num_places + 1, len(table_ND) - 1))
    relevant_BK = class_N[member_BK] == class_N[query_B, None]
    swaps_BK = ~is_told_BK & (relevant_BK[:, 1:] != relevant_BK[:, :-1])
    doubtful = (swaps_BK & (place_K[: swaps_BK.shape[1]] <= others_B[:, None])).any(dim=1)
    if doubtful.any():
        anew = query_B[doubtful]
        member_BK[doubtful] = compared_in_full(table_ND[anew], table_ND, member_BK.shape[1], anew)[0]
        relevant_BK[doubtful] = class_N[member_BK[doubtful]] == class_N[anew, None]
    counted_BK = relevant_BK[:, :num_places] & (place_K <= others_B[:, None])
    precision_BK = counted_BK.cumsum(dim=1, dtype=torch.float64) / place_K
    # summed place by place, so that how many places are looked at is not seen in the last digit
    return (precision_BK * counted_BK).cumsum(dim=1).gather(1, others_B[:, None] - 1)[:, 0] / others_B


def _ranked(query_B: torch.Tensor, centred_ND: torch.Tensor, num_places: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest others (B, K) by a product, and whether it tells each from the next (B, K - 1)."""
    query_BD, norm_N = centred_ND[query_B], centred_ND.square().sum(dim=1)
    squared_BN = torch.addmm(norm_N[query_B, None] + norm_N, query_BD, centred_ND.T, alpha=-2)
    squared_BN.scatter_(1, query_B[:, None], torch.inf)
    nearest_BK, member_BK = squared_BN.topk(num_places, dim=1, largest=False)
    rounding = 4 * (centred_ND.shape[1] + 4) * torch.finfo(torch.float64).eps
    return member_BK, nearest_BK.diff(dim=1) > 2 * rounding * (norm_N[query_B, None] + norm_N.max())
