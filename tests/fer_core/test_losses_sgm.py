import math

import pytest
import torch
from torch.autograd import gradcheck

from fer_core.losses import sgm_loss, sgm_posterior
from fer_core.losses.numerics import full_precision


def batch(seed, num_samples=12, num_dims=5, num_classes=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    emb_BD = torch.randn(num_samples, num_dims, generator=generator, dtype=dtype)
    return emb_BD, torch.randint(num_classes, (num_samples,), generator=generator)


def posterior_by_loops(emb_BD, labels_B, num_classes, sigma):
    """Exp first and normalise then, as printed, one number at a time."""
    labels = labels_B.tolist()
    rows = [[float(value) for value in row] for row in emb_BD]
    posterior = []
    for row in rows:
        densities = []
        for label in range(num_classes):
            members = [other for other, other_label in zip(rows, labels, strict=True) if other_label == label]
            if not members:
                densities.append(0.0)
                continue
            center = [sum(values) / len(members) for values in zip(*members, strict=True)]
            sq_distance = sum((value - mean) ** 2 for value, mean in zip(row, center, strict=True))
            densities.append(math.exp(-sq_distance / (2 * sigma**2)))
        posterior.append([density / sum(densities) for density in densities])
    return posterior


def loss_by_loops(emb_BD, labels_B, num_classes, sigma, norm_weight):
    posterior = posterior_by_loops(emb_BD, labels_B, num_classes, sigma)
    total = 0.0
    for row, probabilities, own in zip(emb_BD.tolist(), posterior, labels_B.tolist(), strict=True):
        total += sum((p - (label == own)) ** 2 for label, p in enumerate(probabilities))
        total += norm_weight * math.sqrt(sum(value**2 for value in row))
    return total / len(emb_BD)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_posterior_and_loss_equal_the_loops(seed, sigma):
    emb_BD, labels_B = batch(seed, num_classes=4)
    expected = torch.tensor(posterior_by_loops(emb_BD, labels_B, 6, sigma), dtype=torch.float64)
    torch.testing.assert_close(sgm_posterior(emb_BD, labels_B, 6, sigma), expected, rtol=0, atol=1e-12)
    loss = sgm_loss(emb_BD, labels_B, 6, sigma, norm_weight=0.3)
    assert loss.item() == pytest.approx(loss_by_loops(emb_BD, labels_B, 6, sigma, 0.3), abs=1e-12)
    loss_float32 = sgm_loss(emb_BD.float(), labels_B, 6, sigma, norm_weight=0.3)
    assert loss_float32.item() == pytest.approx(loss.item(), abs=1e-6)


def test_defaults_are_the_printed_ones():
    emb_BD, labels_B = batch(0)
    assert torch.equal(sgm_loss(emb_BD, labels_B, 3), sgm_loss(emb_BD, labels_B, 3, sigma=0.5, norm_weight=1.0))


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed):
    emb_BD, labels_B = batch(seed, num_samples=7)
    emb_BD.requires_grad_()
    assert gradcheck(lambda emb: sgm_loss(emb, labels_B, 5, 0.8, 0.1), emb_BD)
    assert gradcheck(lambda emb: sgm_posterior(emb, labels_B, 5, 0.8), emb_BD)


def test_posterior_of_labels_with_gaps():
    emb_BD, _ = batch(1, num_samples=6)
    labels_B = torch.tensor([5, 2, 5, 2, 0, 0])
    posterior_BC = sgm_posterior(emb_BD, labels_B, 7)
    torch.testing.assert_close(posterior_BC.sum(dim=1), torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (posterior_BC[:, [1, 3, 4, 6]] == 0).all()
    dense_BC = sgm_posterior(emb_BD, torch.tensor([2, 1, 2, 1, 0, 0]), 3)
    torch.testing.assert_close(posterior_BC[:, [0, 2, 5]], dense_BC, rtol=0, atol=0)


def test_collapsed_solution_of_eight_classes():
    emb_BD = torch.zeros(16, 64, requires_grad=True)
    loss = sgm_loss(emb_BD, torch.arange(16) % 8, 8)
    loss.backward()
    assert loss.item() == 0.875
    assert torch.isfinite(emb_BD.grad).all()


def test_separated_classes_at_radius_0p8_cost_more_than_the_collapse():
    emb_BD = 0.8 * torch.eye(8).repeat(4, 1)
    labels_B = torch.arange(8).repeat(4)
    assert sgm_loss(emb_BD, labels_B, 8).item() > 0.875
    assert sgm_loss(emb_BD, labels_B, 8, norm_weight=0.1).item() < 0.875


def test_gradient_is_alive_where_exp_then_normalise_dies():
    emb_BD, _ = batch(0, num_samples=256, num_dims=64, dtype=torch.float32)
    labels_B = torch.arange(256) % 8
    emb_BD.requires_grad_()
    centers_CD = torch.stack([emb_BD[labels_B == label].mean(dim=0) for label in range(8)])
    density_BC = ((emb_BD[:, None] - centers_CD).square().sum(dim=-1) / -0.5).exp()
    printed_BC = density_BC / (density_BC.sum(dim=1, keepdim=True) + 1e-12)
    target_BC = torch.nn.functional.one_hot(labels_B, 8)
    (dead,) = torch.autograd.grad((printed_BC - target_BC).square().sum(dim=1).mean(), emb_BD)
    (alive,) = torch.autograd.grad(sgm_loss(emb_BD, labels_B, 8, norm_weight=0.0), emb_BD)
    assert dead.norm() < 1e-12
    assert alive.norm() > 1e-2


def test_sample_alone_in_its_class_is_its_own_center():
    emb_BD = torch.tensor([[0.0, 0.0], [0.2, 0.0], [50.0, 0.0]], requires_grad=True)
    posterior_BC = sgm_posterior(emb_BD, torch.tensor([0, 0, 1]), 2)
    assert posterior_BC[2].tolist() == [0.0, 1.0]
    posterior_BC.square().sum().backward()
    assert emb_BD.grad.isfinite().all()


def test_one_class_only_leaves_the_norm():
    emb_BD = torch.tensor([[3.0, 4.0], [3.0, 4.0]], requires_grad=True)
    loss = sgm_loss(emb_BD, torch.tensor([3, 3]), 5, norm_weight=2.0)
    assert loss.item() == 10.0
    without_norm = sgm_loss(emb_BD, torch.tensor([3, 3]), 5, norm_weight=0.0)
    without_norm.backward()
    assert without_norm.item() == 0.0
    assert (emb_BD.grad == 0).all()


@pytest.mark.parametrize("norm", [1e3, 1e-6])
def test_extreme_norms(norm):
    emb_BD, labels_B = batch(3, dtype=torch.float32)
    emb_BD = (norm * torch.nn.functional.normalize(emb_BD)).requires_grad_()
    loss = sgm_loss(emb_BD, labels_B, 3)
    loss.backward()
    assert loss.isfinite()
    assert emb_BD.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_and_autocast_compute_in_float32(dtype):
    emb_BD, labels_B = batch(4, dtype=torch.float32)
    half_BD = emb_BD.to(dtype)
    expected = sgm_loss(half_BD.float(), labels_B, 3)
    assert expected.dtype == torch.float32
    assert torch.equal(sgm_loss(half_BD, labels_B, 3), expected)
    with torch.autocast("cpu", dtype=dtype):
        half_BD.requires_grad_()
        loss = sgm_loss(half_BD, labels_B, 3)
        posterior_BC = sgm_posterior(half_BD, labels_B, 3)
    loss.backward()
    assert torch.equal(loss, expected)
    assert posterior_BC.dtype == torch.float32
    assert half_BD.grad.dtype == dtype
    assert half_BD.grad.isfinite().all()


def test_labels_of_any_integer_type():
    emb_BD, labels_B = batch(5)
    expected = sgm_loss(emb_BD, labels_B, 3)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(sgm_loss(emb_BD, labels_B.to(dtype), 3), expected)


@pytest.mark.parametrize("function", [sgm_posterior, sgm_loss])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_named(function, bad):
    emb_BD, labels_B = batch(6)
    emb_BD[3, 1] = bad
    with pytest.raises(ValueError, match="emb_BD holds NaN or inf"):
        function(emb_BD, labels_B, 3)


def test_finite_values_whose_sum_overflows_are_accepted():
    large = torch.full((4,), 2e38)
    assert large.sum().isinf()
    assert full_precision("large", large) is large


@pytest.mark.parametrize("label", [-1, 3])
def test_label_outside_the_classes(label):
    emb_BD, labels_B = batch(7)
    labels_B[0] = label
    with pytest.raises(ValueError, match="labels_B"):
        sgm_posterior(emb_BD, labels_B, 3)


def test_shapes_types_and_sigma_are_checked():
    emb_BD, labels_B = batch(8)
    with pytest.raises(ValueError, match="emb_BD has shape"):
        sgm_loss(emb_BD[0], labels_B, 3)
    with pytest.raises(ValueError, match="at least one sample"):
        sgm_loss(emb_BD[:0], labels_B[:0], 3)
    with pytest.raises(ValueError, match="labels_B has shape"):
        sgm_loss(emb_BD, labels_B[:-1], 3)
    with pytest.raises(ValueError, match="labels_B has dtype"):
        sgm_loss(emb_BD, labels_B.float(), 3)
    with pytest.raises(ValueError, match="sigma"):
        sgm_loss(emb_BD, labels_B, 3, sigma=0.0)
