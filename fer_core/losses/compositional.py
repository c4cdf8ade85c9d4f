"""Compositional embedding (paper `verification`, eq. 5): a function leads from one expression of a person to another.

B batch, D embedding size, E expressions, N = B * E samples with an expression that is asked for, P pairs of samples.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fer_core.losses.numerics import autocast_off, full_precision
from fer_core.losses.people import check_expressions, checked_people, group_of
from fer_core.targets import UNKNOWN

Composition = Callable[[Tensor, Tensor, Tensor], Tensor]
"""CE's g: (embeddings (N, D), their expressions (N,), the wanted expressions (N,)) -> embeddings (N, D)."""


def ce_loss(
    emb_BD: Tensor, identity_B: Tensor, expression_B: Tensor, g: Composition, num_expressions: int | None = None
) -> Tensor:
    """Compositional embedding (verification, eq. 5): g leads from one expression of a person to another.

        mean over ordered pairs a != b, c_a = c_b and e_a != e_b, of ||g(f(a), e_a, e_b) - f(b)||^2

    The paper asks for two different expressions, so pairs of one expression do not count. Both f and g learn. What g
    returns goes by a and by the wanted expression alone, so it runs once on the B * E of these, as autocast around the
    call has it. The targets b of one of them are compared by their number n, mean m and spread: they cost together
    n ||g - m||^2 + sum_b ||f(b) - m||^2, which has no difference of large sums. Where E is given no shape goes
    by the labels, so nothing past the checks waits for the device. O(B E D) and what g takes.

    Args:
        emb_BD: (B, D) embeddings.
        identity_B: (B,) any integers.
        expression_B: (B,) integers from 0 on, -1 where unknown; such samples are in no pair.
        g: called with (B * E, D) embeddings, (B * E,) their expressions and (B * E,) the wanted ones, int64; returns
            (B * E, D). Rows that are in no pair count 0 times what it returns; an unknown expression is handed as 0.
        num_expressions: E, all expressions being below; None: those in the batch are looked for.

    Returns:
        Scalar, float32 (float64 for float64 embeddings); 0 attached to the graph of f and g if there is no pair.

    Raises:
        ValueError: emb_BD or what g returns not finite, shapes that do not fit, an expression out of range.
    """
    emb_BD, identity_B, expression_B = checked_people(emb_BD, identity_B, expression_B)
    known_B, own_B = expression_B != UNKNOWN, expression_B.clamp(min=0)
    wanted_E = _wanted(expression_B, own_B, num_expressions)
    own_N, wanted_N = own_B.repeat_interleave(len(wanted_E)), wanted_E.repeat(len(own_B))
    asking_ND = emb_BD.repeat_interleave(len(wanted_E), dim=0)
    guess_ND = g(asking_ND, own_N, wanted_N)
    if guess_ND.shape != asking_ND.shape:
        raise ValueError(f"g returned shape {tuple(guess_ND.shape)}, expected {tuple(asking_ND.shape)}")
    guess_ND = full_precision("what g returned", guess_ND)
    with autocast_off(emb_BD):
        asks_N = known_B.repeat_interleave(len(wanted_E)) & (wanted_N != own_N)
        place_B = torch.searchsorted(wanted_E, own_B)
        num_N, mean_ND, spread_N = _targets(emb_BD.double(), group_of(identity_B), place_B, known_B, len(wanted_E))
        cost_N = num_N * (guess_ND - mean_ND).square().sum(dim=1) + spread_N
        return ((cost_N * asks_N).sum() / (num_N * asks_N).sum().clamp(min=1)).to(emb_BD.dtype)


def _wanted(expression_B: Tensor, own_B: Tensor, num_expressions: int | None) -> Tensor:
    """(E,) the expressions that may be asked for, ascending."""
    most = torch.iinfo(torch.int64).max if num_expressions is None else num_expressions
    check_expressions(expression_B, expression_B, most, f"num_expressions is {num_expressions}")
    return own_B.unique() if num_expressions is None else torch.arange(num_expressions, device=own_B.device)


def _targets(
    emb_BD: Tensor, person_B: Tensor, expression_B: Tensor, known_B: Tensor, num_expressions: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Number, mean and spread of the samples with each expression of each sample's person: N = B * E rows.

    They are collected at the rows of the person's first sample, as `group_of` has it, and read there by all its rows.
    """
    weight_B = known_B.to(emb_BD.dtype)
    place_B = person_B * num_expressions + expression_B
    nothing_ND = emb_BD.new_zeros(len(emb_BD) * num_expressions, emb_BD.shape[1])
    num_N = nothing_ND[:, 0].index_add(0, place_B, weight_B)
    mean_ND = nothing_ND.index_add(0, place_B, emb_BD * weight_B[:, None]) / num_N.clamp(min=1)[:, None]
    off_B = (emb_BD - mean_ND.index_select(0, place_B)).square().sum(dim=1)
    spread_N = nothing_ND[:, 0].index_add(0, place_B, off_B * weight_B)
    expressions = torch.arange(num_expressions, device=emb_BD.device)
    read_N = (person_B[:, None] * num_expressions + expressions).flatten()
    return num_N.index_select(0, read_N), mean_ND.index_select(0, read_N), spread_N.index_select(0, read_N)
