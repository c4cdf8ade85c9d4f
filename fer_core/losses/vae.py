"""The terms of the landmark VAE (paper `landmark_vae`): divergence, evidence lower bound, and topology of triplets.

B batch, K latent size, X numbers of an input, L samples of a latent, V triplets of a step, M samples of each.
"""

import math

import torch
from torch import Tensor

from fer_core.losses.numerics import autocast_off, euclidean, full_precision, values_are_checked

_LARGEST_LOGVAR = 60.0  # exp of it, over many dimensions and rows, is far from float32's largest number


def gaussian_kl(mu_BK: Tensor, logvar_BK: Tensor) -> Tensor:
    """KL(N(mu, diag exp(logvar)) || N(0, I)) of each row, in nats: the divergence of eqs. 4 and 5.

        1/2 sum_k mu_k^2 + exp(logvar_k) - 1 - logvar_k

    From a logvar of 60 on, exp goes on as its tangent, so that value and gradient are finite in float32 for any input.

    Args:
        mu_BK, logvar_BK: (B, K), means and natural logarithms of the variances.

    Returns:
        (B,) float32 (float64 for float64 input), 0 exactly at mu = 0 and logvar = 0.

    Raises:
        ValueError: not finite, or not two equal shapes (B, K).
    """
    if mu_BK.ndim != 2 or mu_BK.shape != logvar_BK.shape:
        raise ValueError(f"mu_BK {tuple(mu_BK.shape)} and logvar_BK {tuple(logvar_BK.shape)} must be alike (B, K)")
    mu_BK, logvar_BK = full_precision("mu_BK", mu_BK), full_precision("logvar_BK", logvar_BK)
    with autocast_off(mu_BK):
        above_BK = (logvar_BK - _LARGEST_LOGVAR).relu()
        # expm1 keeps small logvars exact, where exp(l) - 1 would cancel
        growth_BK = torch.expm1(logvar_BK - above_BK) + math.exp(_LARGEST_LOGVAR) * above_BK
        return (mu_BK.square() + growth_BK - logvar_BK).sum(dim=1) / 2


def sample_latent(
    mu_BK: Tensor, logvar_BK: Tensor, num_samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """Samples of N(mu, diag exp(logvar)), (num_samples, B, K), differentiable in both: mu + sigma * noise (eq. 5).

    Args:
        generator: of the noise, on the device of mu_BK; None draws from torch's current one, as dropout does.

    Raises:
        ValueError: fewer than one sample, or not finite.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}; at least one is needed")
    mu_BK, logvar_BK = full_precision("mu_BK", mu_BK), full_precision("logvar_BK", logvar_BK)
    noise = torch.randn(num_samples, *mu_BK.shape, generator=generator, dtype=mu_BK.dtype, device=mu_BK.device)
    with autocast_off(mu_BK):
        return mu_BK + (logvar_BK / 2).exp() * noise


def elbo_loss(
    x_BX: Tensor,
    decoded_BLX: Tensor,
    mu_BK: Tensor,
    logvar_BK: Tensor,
    variance: float = 0.001,
    beta: float = 1.0,
    num_data: int = 1,
) -> Tensor:
    """Minus the evidence lower bound, estimated from a batch (eq. 5; with beta, eq. 13).

        N/B sum_i [ -1/L sum_l log N(x_i; f(y_i, z_il), s^2 I) + beta KL(q(z|x_i, y_i) || N(0, I)) ]

    with the density's constant X/2 log(2 pi s^2), which eq. 11 leaves out: so bounds compare over different s^2. It has
    no gradient. As a mean over the batch, the mean over workers of their shares' gradients is the whole batch's;
    nothing has to be gathered.

    Args:
        x_BX: (B, X) inputs.
        decoded_BLX: (B, L, X) means f(y, z) of the likelihood, one for each sample of the latent.
        mu_BK, logvar_BK: (B, K) of q.
        variance: s^2.
        beta: weight of the divergence, annealed from 0 to 1 (`annealed_beta`).
        num_data: N, by which the batch stands for the whole data set; 1 gives the mean for each sample.

    Returns:
        Scalar float32 (float64 for float64 input). It can be negative: densities are not probabilities.

    Raises:
        ValueError: not finite, shapes that do not fit, an empty batch, or a variance that is not above 0.
    """
    if x_BX.ndim != 2 or decoded_BLX.ndim != 3 or not decoded_BLX.numel() or decoded_BLX[:, 0].shape != x_BX.shape:
        raise ValueError(f"x_BX {tuple(x_BX.shape)} and decoded_BLX {tuple(decoded_BLX.shape)} do not fit or are empty")
    if len(mu_BK) != len(x_BX):
        raise ValueError(f"x_BX has {len(x_BX)} rows and mu_BK {len(mu_BK)}")
    if not variance > 0:
        raise ValueError(f"variance is {variance}; it must be above 0")
    x_BX, decoded_BLX = full_precision("x_BX", x_BX), full_precision("decoded_BLX", decoded_BLX)
    with autocast_off(x_BX):
        squared_BL = (x_BX[:, None] - decoded_BLX).square().sum(dim=-1)
        log_norm = x_BX.shape[1] / 2 * math.log(2 * math.pi * variance)
        reconstruction_B = squared_BL.mean(dim=1) / (2 * variance) + log_norm
        return num_data * (reconstruction_B + beta * gaussian_kl(mu_BK, logvar_BK)).mean()


def topological_energy(z_ref: Tensor, z_pos: Tensor, z_neg: Tensor, weight_V: Tensor) -> Tensor:
    """Energy of triplets in the latent space (before eq. 6), its expectation estimated from M samples (eq. 10).

        sum_t w_t 1/M sum_m ln(1 + exp(d(ref_tm, pos_tm) - d(ref_tm, neg_tm))),  d Euclidean

    It is Phi of a batch alone: neither divided by the number of triplets nor by gamma. `topological_loss` does both.

    Args:
        z_ref, z_pos, z_neg: latents (V, K), or (M, V, K) for M samples of each.
        weight_V: (V,) reliabilities, 0 or above; any number type.

    Returns:
        Scalar float32 (float64 for float64 latents). Triplets of equal distances cost w_t ln 2. At distance 0 the
        gradient of that distance is 0. No triplet gives 0, attached to the graph.

    Raises:
        ValueError: not finite, shapes that do not fit, no sample, or a negative weight.
    """
    if z_ref.ndim not in (2, 3) or not z_ref.shape == z_pos.shape == z_neg.shape or z_ref.shape[:-2] == (0,):
        shapes = ", ".join(str(tuple(z.shape)) for z in (z_ref, z_pos, z_neg))
        raise ValueError(f"z_ref, z_pos and z_neg have shapes {shapes}; all (V, K) or all (M, V, K) are needed")
    if weight_V.shape != z_ref.shape[-2:-1]:
        raise ValueError(f"weight_V has shape {tuple(weight_V.shape)}, expected ({z_ref.shape[-2]},), one a triplet")
    z_ref, z_pos = full_precision("z_ref", z_ref), full_precision("z_pos", z_pos)
    z_neg, weight_V = full_precision("z_neg", z_neg), full_precision("weight_V", weight_V.to(z_ref.dtype))
    if values_are_checked(weight_V) and (weight_V < 0).any():
        raise ValueError("weight_V holds a negative weight, which would reward the wrong order")
    with autocast_off(z_ref):
        excess = euclidean(z_ref, z_pos) - euclidean(z_ref, z_neg)
        # not torch's softplus, which is cut to a straight line from 20 on
        cost = torch.logaddexp(excess, torch.zeros_like(excess))
        return (cost * weight_V).sum(dim=-1).mean()


def topological_loss(
    z_ref: Tensor,
    z_pos: Tensor,
    z_neg: Tensor,
    weight_V: Tensor,
    num_triplets: float,
    gamma: float = 0.04,
    beta: float = 1.0,
) -> Tensor:
    """What M2 adds to `elbo_loss` (last term of eq. 11): beta T / (V gamma) times the `topological_energy` of a step.

    Args:
        z_ref, z_pos, z_neg, weight_V: as in `topological_energy`.
        num_triplets: T, of the whole training part. It goes with the full `num_data` in `elbo_loss`; where that is
            divided by N, divide this by N too.
        gamma: topological variance; the smaller, the dearer a wrong order.
        beta: 1, or that of the divergence where the whole prior is annealed.

    Raises:
        ValueError: as `topological_energy`, or a gamma that is not above 0.
    """
    if not gamma > 0:
        raise ValueError(f"gamma is {gamma}; it must be above 0")
    scale = beta * num_triplets / (max(1, len(weight_V)) * gamma)
    return scale * topological_energy(z_ref, z_pos, z_neg, weight_V)


def annealed_beta(done: float, over: float) -> float:
    """Weight of the divergence after `done` steps, or shares of them: from 0 to 1 in a straight line; over 0: 1."""
    return min(1.0, done / over) if over > 0 else 1.0
