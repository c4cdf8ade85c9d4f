import math

import pytest
import torch
from loss_checks import check_half_input
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from fer_core.losses.circle import circle_loss
from fer_core.losses.numerics import deferred_checks


def batch(seed, num_samples=10, num_dims=5, num_classes=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    emb_BD = torch.randn(num_samples, num_dims, generator=generator, dtype=dtype)
    return emb_BD, torch.randint(num_classes, (num_samples,), generator=generator)


def loss_by_loops(emb_BD, labels_B, margin, gamma):
    """The printed form: exponentials of all pairs of a positive and a negative, summed."""
    rows, labels = emb_BD.tolist(), labels_B.tolist()

    def cosine(first, second):
        dot = sum(x * y for x, y in zip(first, second, strict=True))
        return dot / math.hypot(*first) / math.hypot(*second)

    terms = []
    for a, own in enumerate(labels):
        positives = [cosine(rows[a], rows[i]) for i, label in enumerate(labels) if label == own and i != a]
        negatives = [cosine(rows[a], rows[i]) for i, label in enumerate(labels) if label != own]
        if positives and negatives:
            exponents = [0.0]
            for s_p in positives:
                for s_n in negatives:
                    pull = max(0.0, 1 + margin - s_p) * (s_p - (1 - margin))
                    push = max(0.0, s_n + margin) * (s_n - margin)
                    exponents.append(gamma * (push - pull))
            largest = max(exponents)
            terms.append(largest + math.log(sum(math.exp(exponent - largest) for exponent in exponents)))
    return sum(terms) / max(len(terms), 1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("margin", "gamma"), [(0.25, 256.0), (0.4, 16.0), (0.1, 1.0)])
def test_value_equals_the_loops(seed, margin, gamma):
    emb_BD, labels_B = batch(seed, num_classes=2 + seed % 4)
    expected = loss_by_loops(emb_BD, labels_B, margin, gamma)
    assert circle_loss(emb_BD, labels_B, margin, gamma).item() == pytest.approx(expected, rel=1e-10)
    single = circle_loss(emb_BD.float(), labels_B, margin, gamma)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(expected, rel=1e-5)


def test_defaults_are_the_published_ones():
    emb_BD, labels_B = batch(0)
    assert circle_loss(emb_BD, labels_B) == circle_loss(emb_BD, labels_B, margin=0.25, gamma=256)


@pytest.mark.parametrize("seed", range(3))
def test_gradient_takes_the_weights_as_constants(seed):
    emb_BD, labels_B = batch(seed, num_samples=8)
    with torch.no_grad():
        similarity_BB = normalize(emb_BD) @ normalize(emb_BD).T
        pull_BB, push_BB = (1.25 - similarity_BB).relu(), (similarity_BB + 0.25).relu()

    def with_fixed_weights(emb_BD):
        similarity_BB = normalize(emb_BD) @ normalize(emb_BD).T
        same_BB = labels_B[:, None] == labels_B
        total, num_valid = 0, 0
        for a in range(len(labels_B)):
            positive_B = same_BB[a] & (torch.arange(len(labels_B)) != a)
            if positive_B.any() and not same_BB[a].all():
                p = (-4 * pull_BB[a] * (similarity_BB[a] - 0.75))[positive_B]
                n = (4 * push_BB[a] * (similarity_BB[a] - 0.25))[~same_BB[a]]
                total, num_valid = total + torch.log1p(p.exp().sum() * n.exp().sum()), num_valid + 1
        return total / num_valid

    emb_BD.requires_grad_()
    assert gradcheck(with_fixed_weights, emb_BD)
    (expected,) = torch.autograd.grad(with_fixed_weights(emb_BD), emb_BD)
    (gradient,) = torch.autograd.grad(circle_loss(emb_BD, labels_B, 0.25, 4.0), emb_BD)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_invariances():
    emb_BD, labels_B = batch(1)
    loss = circle_loss(emb_BD, labels_B).item()
    order = torch.randperm(len(labels_B), generator=torch.Generator().manual_seed(0))
    assert circle_loss(emb_BD[order], labels_B[order]).item() == pytest.approx(loss, rel=1e-10)
    assert circle_loss(emb_BD * torch.arange(1, 11)[:, None], labels_B).item() == pytest.approx(loss, rel=1e-10)
    assert circle_loss(emb_BD, torch.tensor([-7, 1000, 41])[labels_B]).item() == loss


@pytest.mark.parametrize("labels", [[4, 4], [4, 9], [0, 1, 2, 3]])
def test_no_valid_anchor_gives_zero_on_the_graph(labels):
    emb_BD = batch(0, num_samples=len(labels))[0].requires_grad_()
    loss = circle_loss(emb_BD, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0.0
    assert (emb_BD.grad == 0).all()


def test_sample_alone_in_its_class_is_only_a_negative():
    emb_BD, _ = batch(2, num_samples=5)
    labels_B = torch.tensor([0, 0, 1, 1, 7])
    assert circle_loss(emb_BD, labels_B).item() == pytest.approx(loss_by_loops(emb_BD, labels_B, 0.25, 256), rel=1e-10)
    emb_BD.requires_grad_()
    (gradient,) = torch.autograd.grad(circle_loss(emb_BD, labels_B), emb_BD)
    assert gradient.isfinite().all()


def test_equal_and_opposite_embeddings():
    emb_BD = torch.ones(4, 3, requires_grad=True)
    loss = circle_loss(emb_BD, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    # One positive and two negatives, all at similarity 1: 256 * (1.25 * 0.75 - 0.25 * 0.25) + log 2.
    assert loss.item() == pytest.approx(256 * 0.875 + math.log(2), rel=1e-6)
    assert emb_BD.grad.isfinite().all()
    emb_BD = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    loss = circle_loss(emb_BD, torch.tensor([0, 0, 1]))
    loss.backward()
    assert loss.isfinite()
    assert emb_BD.grad.isfinite().all()


@pytest.mark.parametrize("norm", [1e3, 1e-6])
def test_extreme_norms(norm):
    emb_BD, labels_B = batch(3)
    expected = circle_loss(emb_BD, labels_B).item()
    emb_BD = (norm * normalize(emb_BD)).float().requires_grad_()
    loss = circle_loss(emb_BD, labels_B)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert emb_BD.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_and_autocast_compute_in_float32(dtype):
    emb_BD, labels_B = batch(4)
    check_half_input(lambda emb_BD: circle_loss(emb_BD, labels_B), emb_BD, dtype)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_named(bad):
    emb_BD, labels_B = batch(5)
    emb_BD[2, 1] = bad
    with pytest.raises(ValueError, match="emb_BD holds NaN or inf"):
        circle_loss(emb_BD, labels_B)


def test_shapes_are_checked():
    emb_BD, labels_B = batch(6)
    with pytest.raises(ValueError, match="emb_BD has shape"):
        circle_loss(emb_BD[0], labels_B)
    with pytest.raises(ValueError, match="labels_B has shape"):
        circle_loss(emb_BD, labels_B[:-1])


def test_with_deferred_checks_nothing_waits_for_the_device():
    # A meta tensor has no values: an operation that needs one on the host raises.
    emb_BD = torch.randn(8, 4, device="meta", requires_grad=True)
    with deferred_checks():
        circle_loss(emb_BD, torch.zeros(8, dtype=torch.int64, device="meta")).backward()
    assert emb_BD.grad.shape == (8, 4)
