import math

import pytest
import torch
from torch.autograd import gradcheck

from fer_core.losses.vae import (
    annealed_beta,
    elbo_loss,
    gaussian_kl,
    sample_latent,
    topological_energy,
    topological_loss,
)


def normal(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def triplets(seed, *shape, dtype=torch.float64):
    z = [normal(10 * seed + i, *shape, dtype=dtype) for i in range(3)]
    return z, torch.tensor([5, 3, 1, 0.5, 2])[: shape[-2]].to(dtype)


def kl_by_loops(mu_BK, logvar_BK):
    return [
        sum((mu**2 + math.exp(logvar) - 1 - logvar) / 2 for mu, logvar in zip(*row, strict=True))
        for row in zip(mu_BK.tolist(), logvar_BK.tolist(), strict=True)
    ]


def energy_by_loops(z_MVK, weight_V):
    ref, pos, neg = (z.tolist() for z in z_MVK)
    total = 0.0
    for m in range(len(ref)):
        for t, weight in enumerate(weight_V.tolist()):
            excess = math.dist(ref[m][t], pos[m][t]) - math.dist(ref[m][t], neg[m][t])
            softplus = math.log(1 + math.exp(excess)) if excess < 700 else excess
            total += weight * softplus / len(ref)
    return total


def elbo_loss_by_loops(x_BX, decoded_BLX, mu_BK, logvar_BK, variance, beta, num_data):
    total = 0.0
    for x, samples, kl in zip(x_BX.tolist(), decoded_BLX.tolist(), kl_by_loops(mu_BK, logvar_BK), strict=True):
        log_densities = [
            sum(
                -((a - f) ** 2) / (2 * variance) - math.log(math.sqrt(2 * math.pi * variance))
                for a, f in zip(x, sample, strict=True)
            )
            for sample in samples
        ]
        total += -sum(log_densities) / len(log_densities) + beta * kl
    return num_data / len(x_BX) * total


@pytest.mark.parametrize("seed", range(4))
def test_kl_equals_the_loops_and_torch(seed):
    mu_BK, logvar_BK = normal(seed, 6, 5), 3 * normal(seed + 100, 6, 5)
    kl_B = gaussian_kl(mu_BK, logvar_BK)
    assert kl_B.tolist() == pytest.approx(kl_by_loops(mu_BK, logvar_BK), abs=1e-12)
    prior = torch.distributions.Normal(torch.zeros_like(mu_BK), torch.ones_like(mu_BK))
    posterior = torch.distributions.Normal(mu_BK, (logvar_BK / 2).exp())
    expected_B = torch.distributions.kl_divergence(posterior, prior).sum(dim=1)
    torch.testing.assert_close(kl_B, expected_B, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gaussian_kl(mu_BK.float(), logvar_BK.float()), expected_B.float(), rtol=1e-5, atol=1e-5)


def test_kl_of_the_prior_is_zero_and_small_divergences_keep_their_size():
    zero_BK = torch.zeros(2, 30, requires_grad=True)
    kl_B = gaussian_kl(zero_BK, zero_BK)
    kl_B.sum().backward()
    assert kl_B.tolist() == [0.0, 0.0]
    assert (zero_BK.grad == 0).all()
    small_BK = torch.full((1, 30), 1e-3)
    assert gaussian_kl(torch.zeros(1, 30), small_BK).item() == pytest.approx(30 * 1e-6 / 4, rel=1e-3)


@pytest.mark.parametrize("logvar", [-1e3, -1e-6, 1e-6, 59.9, 60.1, 90.0, 1e3])
@pytest.mark.parametrize("mu", [0.0, 1e-6, 1e3])
def test_kl_and_its_gradient_are_finite(logvar, mu):
    mu_BK = torch.full((2, 30), mu, requires_grad=True)
    logvar_BK = torch.full((2, 30), logvar, requires_grad=True)
    kl_B = gaussian_kl(mu_BK, logvar_BK)
    kl_B.sum().backward()
    assert kl_B.isfinite().all()
    assert (kl_B >= -1e-6).all()
    assert mu_BK.grad.isfinite().all()
    assert logvar_BK.grad.isfinite().all()
    assert torch.equal(mu_BK.grad, mu_BK.detach())
    assert (logvar_BK.grad.sign() == math.copysign(1, logvar)).all()


def test_gradcheck():
    mu_BK, logvar_BK = normal(0, 3, 4).requires_grad_(), normal(1, 3, 4).requires_grad_()
    x_BX, decoded_BLX = normal(2, 3, 6).requires_grad_(), normal(3, 3, 2, 6).requires_grad_()
    assert gradcheck(gaussian_kl, (mu_BK, logvar_BK))
    assert gradcheck(lambda *inputs: elbo_loss(*inputs, 0.5, 0.3, 7), (x_BX, decoded_BLX, mu_BK, logvar_BK))
    z, weight_V = triplets(0, 2, 3, 4)
    assert gradcheck(lambda *z: topological_energy(*z, weight_V), [part.requires_grad_() for part in z])
    generator = torch.Generator()
    assert gradcheck(lambda *q: sample_latent(*q, 2, generator.manual_seed(4)), (mu_BK, logvar_BK))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("variance", "beta", "num_data"), [(0.001, 1.0, 1), (0.5, 0.25, 2000)])
def test_elbo_loss_equals_the_loops(seed, variance, beta, num_data):
    inputs = normal(seed, 4, 6), normal(seed + 10, 4, 3, 6), normal(seed + 20, 4, 2), normal(seed + 30, 4, 2)
    expected = elbo_loss_by_loops(*inputs, variance, beta, num_data)
    assert elbo_loss(*inputs, variance, beta, num_data).item() == pytest.approx(expected, rel=1e-12)
    in_float32 = elbo_loss(*(part.float() for part in inputs), variance, beta, num_data)
    assert in_float32.item() == pytest.approx(expected, rel=1e-5)


def test_elbo_loss_is_minus_a_bound_of_the_evidence():
    """One dimension, x = z + noise: the evidence is N(0, 1 + s^2); the best q reaches it, any other stays below."""
    variance, x = 0.5, torch.tensor([[0.7]], dtype=torch.float64)
    evidence = -0.5 * math.log(2 * math.pi * (1 + variance)) - 0.7**2 / (2 * (1 + variance))
    for mean, spread, gap in ((0.7 / (1 + variance), variance / (1 + variance), 1e-2), (0.0, 1.0, None)):
        mu, logvar = (torch.full((1, 1), value, dtype=torch.float64) for value in (mean, math.log(spread)))
        z_LBK = sample_latent(mu, logvar, 200_000, torch.Generator().manual_seed(0))
        bound = -elbo_loss(x, z_LBK.transpose(0, 1), mu, logvar, variance).item()
        assert bound < evidence + 1e-2
        assert (evidence - bound < 1e-2) == (gap is not None)


def test_elbo_loss_of_shares_is_that_of_the_batch():
    """Workers with equal shares: the mean of their gradients is the gradient of the whole batch."""
    inputs = [part.requires_grad_() for part in (normal(0, 8, 5), normal(1, 8, 3, 5), normal(2, 8, 2), normal(3, 8, 2))]
    whole = elbo_loss(*inputs, num_data=100)
    shares = [elbo_loss(*(part[at : at + 2] for part in inputs), num_data=100) for at in range(0, 8, 2)]
    mean = sum(shares) / 4
    assert mean.item() == pytest.approx(whole.item(), rel=1e-12)
    for a, b in zip(torch.autograd.grad(mean, inputs), torch.autograd.grad(whole, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_samples_have_the_mean_and_the_variance():
    mu_BK, logvar_BK = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, -2.0]])
    z_LBK = sample_latent(mu_BK, logvar_BK, 50_000, torch.Generator().manual_seed(0))
    assert z_LBK.shape == (50_000, 1, 2)
    torch.testing.assert_close(z_LBK.mean(dim=0), mu_BK, rtol=0, atol=0.02)
    torch.testing.assert_close(z_LBK.var(dim=0), logvar_BK.exp(), rtol=0.03, atol=0)
    again = sample_latent(mu_BK, logvar_BK, 50_000, torch.Generator().manual_seed(0))
    assert torch.equal(z_LBK, again)


@pytest.mark.parametrize("seed", range(4))
def test_energy_equals_the_loops(seed):
    z, weight_V = triplets(seed, 4, 5, 3)
    expected = energy_by_loops(z, weight_V)
    assert topological_energy(*z, weight_V).item() == pytest.approx(expected, abs=1e-12)
    assert topological_energy(*(part.float() for part in z), weight_V).item() == pytest.approx(expected, abs=1e-5)
    one = topological_energy(*(part[0] for part in z), weight_V)
    assert one.item() == pytest.approx(energy_by_loops([part[:1] for part in z], weight_V), abs=1e-12)
    assert topological_energy(*z, weight_V).item() == pytest.approx(
        sum(topological_energy(*(part[m] for part in z), weight_V).item() for m in range(4)) / 4, abs=1e-12
    )


def test_loss_is_the_energy_times_t_over_v_gamma():
    z, weight_V = triplets(0, 4, 5, 3)
    expected = 0.5 * 8000 / 5 / 0.04 * energy_by_loops(z, weight_V)
    assert topological_loss(*z, weight_V, 8000, 0.04, 0.5).item() == pytest.approx(expected, rel=1e-12)
    assert topological_loss(*z, weight_V, 8000).item() == pytest.approx(2 * expected, rel=1e-12)


def test_integer_weights_are_weights():
    z, weight_V = triplets(0, 3, 4)
    assert torch.equal(topological_energy(*z, weight_V.long()), topological_energy(*z, weight_V.long().double()))


def test_large_excess_is_linear_and_right_order_costs_little():
    near, far = torch.zeros(1, 2), torch.full((1, 2), 1e3)
    one = torch.ones(1)
    assert topological_energy(near, far, near, one).item() == pytest.approx(1e3 * math.sqrt(2), rel=1e-6)
    assert topological_energy(near, near, far, one).item() == 0.0


def test_equal_latents_cost_ln_two_and_have_no_gradient():
    z = [torch.ones(3, 4, requires_grad=True) for _ in range(3)]
    energy = topological_energy(*z, torch.tensor([5.0, 3.0, 1.0]))
    energy.backward()
    assert energy.item() == pytest.approx(9 * math.log(2), rel=1e-6)
    assert all((part.grad == 0).all() for part in z)


def test_one_equal_pair_has_a_finite_gradient():
    z, weight_V = triplets(1, 3, 4, dtype=torch.float32)
    z = [z[0].requires_grad_(), z[0].detach().clone().requires_grad_(), z[2].requires_grad_()]
    topological_energy(*z, weight_V).backward()
    assert (z[1].grad == 0).all()
    assert z[0].grad.isfinite().all()
    assert z[2].grad.abs().max() > 0


@pytest.mark.parametrize("shape", [(0, 3), (4, 0, 3)])
def test_no_triplet_gives_zero_on_the_graph(shape):
    z = [torch.zeros(*shape, requires_grad=True) for _ in range(3)]
    for loss in (topological_energy(*z, torch.ones(0)), topological_loss(*z, torch.ones(0), 8000)):
        assert loss.item() == 0.0
        assert loss.requires_grad
        loss.backward()


@pytest.mark.parametrize("norm", [1e3, 1e-6])
def test_extreme_norms(norm):
    z, weight_V = triplets(2, 2, 5, 4)
    z = [(norm * torch.nn.functional.normalize(part, dim=-1)).float().requires_grad_() for part in z]
    energy = topological_energy(*z, weight_V.float())
    energy.backward()
    assert energy.item() == pytest.approx(energy_by_loops([part.detach().double() for part in z], weight_V), rel=1e-5)
    assert all(part.grad.isfinite().all() and part.grad.abs().max() > 1e-3 for part in z)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_and_autocast_compute_in_float32(dtype):
    mu_BK, logvar_BK = normal(0, 4, 3).to(dtype), normal(1, 4, 3).to(dtype)
    x_BX, decoded_BLX = normal(2, 4, 5).to(dtype), normal(3, 4, 2, 5).to(dtype)
    z, weight_V = triplets(0, 4, 3, dtype=dtype)
    elbo = elbo_loss(*(part.float() for part in (x_BX, decoded_BLX, mu_BK, logvar_BK)))
    energy = topological_energy(*(part.float() for part in z), weight_V.float())
    mu_BK.requires_grad_()
    z[0].requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(elbo_loss(x_BX, decoded_BLX, mu_BK, logvar_BK), elbo)
        found = topological_energy(*z, weight_V)
        assert sample_latent(mu_BK, logvar_BK, 2).dtype == torch.float32
    assert torch.equal(found, energy)
    (found + gaussian_kl(mu_BK, logvar_BK).sum()).backward()
    for part in (mu_BK, z[0]):
        assert part.grad.dtype == dtype
        assert part.grad.isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_named(bad):
    good, spoilt = normal(0, 3, 4), normal(0, 3, 4)
    spoilt[1, 2] = bad
    with pytest.raises(ValueError, match="mu_BK holds NaN or inf"):
        gaussian_kl(spoilt, good)
    with pytest.raises(ValueError, match="logvar_BK holds NaN or inf"):
        gaussian_kl(good, spoilt)
    with pytest.raises(ValueError, match="logvar_BK holds NaN or inf"):
        sample_latent(good, spoilt, 1)
    with pytest.raises(ValueError, match="x_BX holds NaN or inf"):
        elbo_loss(spoilt, good[:, None], good, good)
    with pytest.raises(ValueError, match="decoded_BLX holds NaN or inf"):
        elbo_loss(good, spoilt[:, None], good, good)
    for place, name in enumerate(("z_ref", "z_pos", "z_neg")):
        z = [good, good, good]
        z[place] = spoilt
        with pytest.raises(ValueError, match=f"{name} holds NaN or inf"):
            topological_energy(*z, torch.ones(3))
    with pytest.raises(ValueError, match="weight_V holds NaN or inf"):
        topological_energy(good, good, good, torch.tensor([1.0, bad, 1.0]))


def test_shapes_and_values_are_checked():
    z = normal(0, 3, 4)
    with pytest.raises(ValueError, match=r"must be alike \(B, K\)"):
        gaussian_kl(z, z[:, :2])
    with pytest.raises(ValueError, match=r"must be alike \(B, K\)"):
        gaussian_kl(z[0], z[0])
    with pytest.raises(ValueError, match="num_samples is 0"):
        sample_latent(z, z, 0)
    for decoded in (z, z[:, None, :2], z[:2, None], z[:, None][:, :0]):
        with pytest.raises(ValueError, match="do not fit or are empty"):
            elbo_loss(z, decoded, z, z)
    with pytest.raises(ValueError, match="x_BX has 3 rows and mu_BK 2"):
        elbo_loss(z, z[:, None], z[:2], z[:2])
    with pytest.raises(ValueError, match="variance is 0"):
        elbo_loss(z, z[:, None], z, z, variance=0.0)
    for parts in ((z, z, z[:, :2]), (z[0], z[0], z[0]), (torch.zeros(0, 3, 4),) * 3, (torch.zeros(1, 1, 3, 4),) * 3):
        with pytest.raises(ValueError, match="z_ref, z_pos and z_neg have shapes"):
            topological_energy(*parts, torch.ones(3))
    with pytest.raises(ValueError, match="weight_V has shape"):
        topological_energy(z, z, z, torch.ones(4))
    with pytest.raises(ValueError, match="negative weight"):
        topological_energy(z, z, z, torch.tensor([1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match="gamma is 0"):
        topological_loss(z, z, z, torch.ones(3), 10, gamma=0.0)


def test_annealing_is_a_straight_line():
    assert [annealed_beta(step, 10) for step in (0, 5, 10, 99)] == [0.0, 0.5, 1.0, 1.0]
    assert annealed_beta(0, 0) == 1.0
