"""Face identity and its expressions as geometry (paper `verification`): Triplet, PDM, PDP and FBV.

Every term takes all the pairs, triplets or quadruples of the batch that meet its conditions. Identities are any
integers; an expression is any integer from 0 on, or `UNKNOWN`: such a sample takes part in no expression term (PDM,
PDP, FBV), only in those of identity alone. Inside, everything is float64: the terms are squares of small differences,
and a GPU cannot take a shortcut through TF32.

B batch, D embedding size, N items (samples or pairs of samples).
"""

import torch
from torch import Tensor

from fer_core.losses.numerics import autocast_off, check_batch, full_precision
from fer_core.losses.people import check_expressions, checked_people, group_of
from fer_core.targets import UNKNOWN


def squared_triplet_loss(emb_BD: Tensor, labels_B: Tensor, margin: float) -> Tensor:
    """Triplet loss in squared distances (verification, eq. 1), hinged: mean over all valid triplets of the batch.

        mean over (a, p, n) of [||f(a) - f(p)||^2 - ||f(a) - f(n)||^2 + margin]_+

    with p another sample of a's label and n one of another label. The paper prints the term of one triplet, no mining
    and no hinge; as with its other terms all triplets count, satisfied ones as 0. Without the hinge the loss has no
    lower bound. The B^3 triplets are never formed: the negatives of each anchor are sorted once, and the sum over those
    that violate the margin is read off their running sum. O(B^2 log B) time, O(B^2) memory, no wait for the device.

    Args:
        emb_BD: (B, D) embeddings, normalised by the caller if at all.
        labels_B: (B,) any integers.
        margin: alpha, in squared distance.

    Returns:
        Scalar, float32 (float64 for float64 embeddings); 0 attached to the graph if there is no triplet.

    Raises:
        ValueError: emb_BD not finite, shapes that do not fit.
    """
    check_batch("emb_BD", emb_BD, labels_B)
    emb_BD = full_precision("emb_BD", emb_BD)
    with autocast_off(emb_BD):
        same_BB = labels_B[:, None] == labels_B
        negative_BB = ~same_BB
        positive_BB = same_BB.fill_diagonal_(False)
        distance_BB = _squared_distances(emb_BD.double(), torch.zeros_like(labels_B, dtype=torch.int64))

        pull_BB = distance_BB + margin
        push_BB = torch.where(negative_BB, distance_BB, torch.inf).sort(dim=1).values
        num_violating_BB = torch.searchsorted(push_BB.detach(), pull_BB.detach())
        running_BB = torch.where(push_BB.isinf(), 0.0, push_BB).cumsum(dim=1)
        violating_sum_BB = torch.nn.functional.pad(running_BB, (1, 0)).gather(1, num_violating_BB)
        hinge_BB = num_violating_BB * pull_BB - violating_sum_BB
        num_triplets = (positive_BB.sum(dim=1) * negative_BB.sum(dim=1)).sum()
        return ((hinge_BB * positive_BB).sum() / num_triplets.clamp(min=1)).to(emb_BD.dtype)


def pdm_loss(emb_BD: Tensor, identity_B: Tensor, expression_B: Tensor) -> Tensor:
    """Pairwise distance minimisation (verification, eq. 2): images of one person with one expression are one point.

        mean over unordered pairs {a, b}, c_a = c_b and e_a = e_b, of ||f(a) - f(b)||^2

    Args:
        emb_BD: (B, D) embeddings.
        identity_B: (B,) any integers.
        expression_B: (B,) integers, -1 where unknown; such samples are in no pair.

    Returns:
        Scalar, float32 (float64 for float64 embeddings); 0 attached to the graph if there is no pair.

    Raises:
        ValueError: emb_BD not finite, shapes that do not fit.
    """
    emb_BD, identity_B, expression_B = checked_people(emb_BD, identity_B, expression_B)
    with autocast_off(emb_BD):
        known_B = expression_B != UNKNOWN
        alone_B = torch.arange(len(emb_BD), device=emb_BD.device)
        cluster_B = group_of(identity_B, expression_B)
        return _mean_sq_across(emb_BD.double(), known_B, inner_N=alone_B, outer_N=cluster_B).to(emb_BD.dtype)


def pdp_loss(emb_BD: Tensor, identity_B: Tensor, expression_B: Tensor) -> Tensor:
    """Pairwise distance preservation (verification, eq. 3): two expressions are equally far apart in every person.

        mean over ordered (1, 2, 3, 4) of (||f1 - f2||^2 - ||f3 - f4||^2)^2,
        c1 = c2, c3 = c4, c1 != c3, e1 = e3, e2 = e4, e1 != e2

    That is the squared difference of two distances of the same two expressions, taken in two persons, so the mean over
    quadruples is read off the mean distances of each person and of all: O(B^2 D) time and O(B^2) memory, and equal
    distances give 0 up to rounding, because nothing is subtracted but distances from their means. Nothing past the
    check of emb_BD waits for the device.

    Args, returns and raises as `pdm_loss`; 0 attached to the graph if there is no quadruple, as with one person only.
    """
    emb_BD, identity_B, expression_B = checked_people(emb_BD, identity_B, expression_B)
    with autocast_off(emb_BD):
        person_B, look_B, cluster_B = group_of(identity_B), group_of(expression_B), group_of(identity_B, expression_B)
        return _mean_sq_across(
            _squared_distances(emb_BD.double(), person_B).reshape(-1, 1),
            _expression_pairs(identity_B, expression_B).flatten(),
            inner_N=_group_of_pairs(cluster_B),
            outer_N=_group_of_pairs(look_B),
        ).to(emb_BD.dtype)


def fbv_loss(
    emb_BD: Tensor, identity_B: Tensor, expression_B: Tensor, origin: int, basis: Tensor | None = None
) -> Tensor:
    """Fixed basis vectors (verification, eq. 4): from one expression to another the same step in every person.

        mean over ordered pairs a != b, c_a = c_b and e_a != e_b, of ||f(b) - f(a) - (v_b - v_a)||^2

    v of the origin (neutral) is 0, of every other expression a unit vector of its own: expression k < origin has unit
    vector k, k > origin has k - 1. The paper names one vector for each pair of expressions and gives those from
    neutral; a step between two others can then only be the difference. The embeddings are not to be normalised.

    Args:
        emb_BD: (B, D) embeddings.
        identity_B: (B,) any integers.
        expression_B: (B,) integers from 0 on, -1 where unknown; such samples are in no pair.
        origin: the expression that every other is reached from; not used if there is a basis.
        basis: (num_expressions, D), row k is v of expression k as it stands; only differences of rows count.

    Returns:
        Scalar, float32 (float64 for float64 embeddings); 0 attached to the graph if there is no pair.

    Raises:
        ValueError: emb_BD or basis not finite, shapes that do not fit, a negative origin, an expression below -1 or
            without a vector: D is too small for it, or the basis has too few rows. One look at the labels.
    """
    emb_BD, identity_B, expression_B = checked_people(emb_BD, identity_B, expression_B)
    with autocast_off(emb_BD):
        if basis is None:
            target_BD = _unit_vectors(expression_B, origin, emb_BD.shape[1])
        else:
            target_BD = _basis_vectors(expression_B, basis, emb_BD.shape[1])
        return _mean_sq_across(
            emb_BD.double() - target_BD,
            expression_B != UNKNOWN,
            inner_N=group_of(identity_B, expression_B),
            outer_N=group_of(identity_B),
        ).to(emb_BD.dtype)


def _expression_pairs(identity_B: Tensor, expression_B: Tensor) -> Tensor:
    """(B, B) booleans: one person with two different expressions, both known."""
    known_B = expression_B != UNKNOWN
    same_person_BB = identity_B[:, None] == identity_B
    return same_person_BB & (expression_B[:, None] != expression_B) & known_B[:, None] & known_B


def _unit_vectors(expression_B: Tensor, origin: int, num_dims: int) -> Tensor:
    if origin < 0:
        raise ValueError(f"origin is {origin}, expected an expression from 0 on")
    axis_B = expression_B - (expression_B > origin).long()
    axis_B = axis_B.masked_fill(expression_B == origin, UNKNOWN)
    check_expressions(expression_B, axis_B, num_dims, f"emb_BD has {num_dims} dimensions")
    vectors_BD = torch.zeros(len(axis_B), num_dims + 1, dtype=torch.float64, device=axis_B.device)
    return vectors_BD.scatter(1, axis_B[:, None] + 1, 1.0)[:, 1:]


def _basis_vectors(expression_B: Tensor, basis: Tensor, num_dims: int) -> Tensor:
    if basis.ndim != 2 or basis.shape[1] != num_dims:
        raise ValueError(f"basis has shape {tuple(basis.shape)}, expected (num_expressions, {num_dims})")
    check_expressions(expression_B, expression_B, len(basis), f"basis has {len(basis)} rows")
    row_B = expression_B.masked_fill(expression_B == UNKNOWN, 0)
    return full_precision("basis", basis).double().index_select(0, row_B)


def _squared_distances(emb_BD: Tensor, group_B: Tensor) -> Tensor:
    """(B, B) squared Euclidean distances within each group; across groups the entries are arbitrary.

    By a product, which costs digits far from 0: each group is centred first. A constant moves no distance, so the
    centres need no gradient.
    """
    emb_BD = emb_BD - _group_mean(emb_BD.detach(), group_B)
    sq_norm_B = emb_BD.square().sum(dim=1)
    return sq_norm_B[:, None] + sq_norm_B - 2 * emb_BD @ emb_BD.T


def _group_of_pairs(group_B: Tensor) -> Tensor:
    """(B * B,) group of each ordered pair (a, b): that of a and that of b, as one index below B * B."""
    return (group_B[:, None] * len(group_B) + group_B).flatten()


def _group_sum(value_ND: Tensor, group_N: Tensor) -> Tensor:
    """(N, D): for each item the sum over its group. Groups are indices below N."""
    return torch.zeros_like(value_ND).index_add(0, group_N, value_ND).index_select(0, group_N)


def _group_mean(value_ND: Tensor, group_N: Tensor) -> Tensor:
    return _group_sum(value_ND, group_N) / _group_sum(torch.ones_like(value_ND[:, :1]), group_N)


def _mean_sq_across(value_ND: Tensor, member_N: Tensor, inner_N: Tensor, outer_N: Tensor) -> Tensor:
    """Mean of ||x_i - x_j||^2 over the pairs of members in one outer group, but in two inner groups; 0 without any.

    Each inner group lies in one outer group. With n, m the size and mean of i's inner group and N, M those of its outer
    one, the sum over ordered pairs is 2 sum_i (N - n) ||x_i - m||^2 + N ||m - M||^2, which has no difference of large
    sums. The number of pairs is sum_i N - n.
    """
    member_N1 = member_N.to(value_ND.dtype)[:, None]
    inner_size_N1, outer_size_N1 = _group_sum(member_N1, inner_N), _group_sum(member_N1, outer_N)
    inner_mean_ND = _group_sum(value_ND * member_N1, inner_N) / inner_size_N1.clamp(min=1)
    outer_mean_ND = _group_sum(value_ND * member_N1, outer_N) / outer_size_N1.clamp(min=1)
    within_ND = (outer_size_N1 - inner_size_N1) * (value_ND - inner_mean_ND).square()
    between_ND = outer_size_N1 * (inner_mean_ND - outer_mean_ND).square()
    num_pairs = ((outer_size_N1 - inner_size_N1) * member_N1).sum()
    return 2 * ((within_ND + between_ND) * member_N1).sum() / num_pairs.clamp(min=1)
