import math

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck

from fer_core.losses import arcface
from fer_core.losses.arcface import arcface_loss, centroid_arcface_loss


def batch(seed, num_samples=10, num_dims=4, num_classes=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    emb_BD = torch.randn(num_samples, num_dims, generator=generator, dtype=dtype)
    labels_B = torch.randint(num_classes, (num_samples,), generator=generator)
    return emb_BD, labels_B, torch.randn(num_classes, num_dims, generator=generator, dtype=dtype)


def angle(first, second):
    product = sum(x * y for x, y in zip(first, second, strict=True))
    return math.acos(max(-1.0, min(1.0, product / math.hypot(*first) / math.hypot(*second))))


def softmax_form_by_loops(emb_BD, labels_B, centers_CD, margin, scale):
    terms = []
    for row, own in zip(emb_BD.tolist(), labels_B.tolist(), strict=True):
        scores = [math.cos(angle(row, center)) for center in centers_CD.tolist()]
        theta = angle(row, centers_CD[own].tolist())
        past = theta + margin > math.pi
        scores[own] = math.cos(theta) - margin * math.sin(margin) if past else math.cos(theta + margin)
        terms.append(math.log(sum(math.exp(scale * (score - scores[own])) for score in scores)))
    return sum(terms) / len(terms)


def centroid_form_by_loops(emb_BD, labels_B, margin):
    rows, labels = [[x / math.hypot(*row) for x in row] for row in emb_BD.tolist()], labels_B.tolist()
    centroids = {}
    for label in labels:
        members = [row for row, other in zip(rows, labels, strict=True) if other == label]
        centroids[label] = [sum(values) / len(members) for values in zip(*members, strict=True)]
    terms = []
    for row, own in zip(rows, labels, strict=True):
        others = [centroid for label, centroid in centroids.items() if label != own]
        terms += [max(0.0, angle(row, centroids[own]) - angle(row, other) + margin) for other in others]
    return sum(terms) / max(len(terms), 1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("margin", "scale"), [(0.5, 64.0), (0.0, 10.0), (1.2, 4.0)])
def test_softmax_form_equals_the_loops(seed, margin, scale):
    emb_BD, labels_B, centers_CD = batch(seed, num_classes=2 + seed)
    expected = softmax_form_by_loops(emb_BD, labels_B, centers_CD, margin, scale)
    loss = arcface_loss(emb_BD, labels_B, centers_CD, margin, scale)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    single = arcface_loss(emb_BD.float(), labels_B, centers_CD.float(), margin, scale)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("margin", [0.5, 0.0, 2.0])
def test_centroid_form_equals_the_loops(seed, margin):
    emb_BD, labels_B, _ = batch(seed, num_classes=2 + seed)
    expected = centroid_form_by_loops(emb_BD, labels_B, margin)
    assert expected > 0
    assert centroid_arcface_loss(emb_BD, labels_B, margin).item() == pytest.approx(expected, rel=1e-12)
    assert centroid_arcface_loss(emb_BD.float(), labels_B, margin).item() == pytest.approx(expected, rel=1e-5)


def test_defaults_are_those_of_the_paper():
    emb_BD, labels_B, centers_CD = batch(0)
    expected = arcface_loss(emb_BD, labels_B, centers_CD, margin=0.5, scale=64.0)
    assert torch.equal(arcface_loss(emb_BD, labels_B, centers_CD), expected)
    assert torch.equal(centroid_arcface_loss(emb_BD, labels_B), centroid_arcface_loss(emb_BD, labels_B, 0.5))


def test_without_a_margin_it_is_the_normalised_softmax():
    emb_BD, labels_B, centers_CD = batch(1)
    expected = F.cross_entropy(16.0 * F.normalize(emb_BD) @ F.normalize(centers_CD).T, labels_B)
    assert arcface_loss(emb_BD, labels_B, centers_CD, 0.0, 16.0).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed):
    emb_BD, labels_B, centers_CD = batch(seed)
    emb_BD.requires_grad_()
    centers_CD.requires_grad_()
    assert gradcheck(lambda emb, centers: arcface_loss(emb, labels_B, centers, 0.5, 8.0), (emb_BD, centers_CD))
    assert gradcheck(lambda emb: centroid_arcface_loss(emb, labels_B, 0.8), emb_BD)


def at_angles(theta_B):
    return torch.stack([theta_B.cos(), theta_B.sin()], dim=1)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.3])
def test_loss_rises_with_the_own_angle_up_to_pi(margin):
    theta_B = torch.linspace(0, math.pi, 2001, dtype=torch.float64)
    own_B = arcface._with_margin(at_angles(theta_B), at_angles(torch.zeros_like(theta_B)), margin)
    assert (own_B.diff() < 0).all()
    below_B = theta_B + margin < math.pi - 1e-9
    torch.testing.assert_close(own_B[below_B], (theta_B[below_B] + margin).cos(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_finite_where_the_cosine_is_one_or_minus_one(dtype):
    direction_D = torch.tensor([0.6, 0.0, -0.8], dtype=dtype)
    emb_BD = torch.stack([direction_D, 3 * direction_D, -direction_D, -0.1 * direction_D]).requires_grad_()
    centers_CD = torch.stack([direction_D, -direction_D]).requires_grad_()
    loss = arcface_loss(emb_BD, torch.tensor([0, 0, 0, 1]), centers_CD)
    loss.backward()
    assert loss.isfinite()
    assert emb_BD.grad.isfinite().all()
    assert centers_CD.grad.isfinite().all()


def test_gradient_grows_to_its_limit_near_the_center():
    """d cos(theta + m) / d theta is -sin(m) towards theta = 0, neither 0 nor infinite."""
    for theta in (1e-3, 1e-6, 1e-9):
        emb_BD = at_angles(torch.tensor([theta], dtype=torch.float64)).requires_grad_()
        own_B = arcface._with_margin(arcface._unit(emb_BD), torch.tensor([[1.0, 0.0]]).double(), 0.5)
        own_B.sum().backward()
        assert emb_BD.grad[0, 1].item() == pytest.approx(-math.sin(0.5 + theta), rel=1e-6)


def test_centroid_form_of_a_batch_in_one_point():
    emb_BD = torch.ones(6, 4, requires_grad=True)
    loss = centroid_arcface_loss(emb_BD, torch.tensor([0, 0, 1, 1, 2, 2]), 0.3)
    loss.backward()
    assert loss.item() == pytest.approx(0.3)
    assert (emb_BD.grad == 0).all()


def test_centroid_form_of_opposite_samples_and_a_zero_centroid():
    emb_BD = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 2.0]], requires_grad=True)
    loss = centroid_arcface_loss(emb_BD, torch.tensor([0, 0, 1, 1]), 0.5)
    loss.backward()
    # The centroid of the first two is 0: a right angle to everything. The other one is itself: angle 0 and pi / 2.
    assert loss.item() == pytest.approx((2 * 0.5 + 2 * 0.0) / 4, abs=1e-6)
    assert emb_BD.grad.isfinite().all()


@pytest.mark.parametrize("labels", [[7], [4, 4], [3, 3, 3, 3]])
def test_one_person_gives_zero_on_the_graph(labels):
    emb_BD = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = centroid_arcface_loss(emb_BD, torch.tensor(labels))
    assert loss.item() == 0.0
    loss.backward()
    assert (emb_BD.grad == 0).all()


def test_one_center_gives_zero_on_the_graph():
    emb_BD, _, centers_CD = batch(2, num_classes=1)
    loss = arcface_loss(emb_BD.requires_grad_(), torch.zeros(10).long(), centers_CD)
    assert loss.item() == 0.0
    loss.backward()
    assert (emb_BD.grad == 0).all()


def test_two_samples_alone_in_their_classes():
    emb_BD = torch.tensor([[2.0, 0.0], [0.0, 3.0]], requires_grad=True)
    loss = centroid_arcface_loss(emb_BD, torch.tensor([5, 9]), 2.0)
    loss.backward()
    assert loss.item() == pytest.approx(2.0 - math.pi / 2)
    assert emb_BD.grad.isfinite().all()
    assert (emb_BD.grad != 0).any()


def test_zero_embedding_is_finite():
    emb_BD, labels_B, centers_CD = batch(3)
    emb_BD[4] = 0.0
    emb_BD.requires_grad_()
    loss = arcface_loss(emb_BD, labels_B, centers_CD) + centroid_arcface_loss(emb_BD, labels_B)
    loss.backward()
    assert loss.isfinite()
    assert emb_BD.grad.isfinite().all()
    assert emb_BD.grad.abs().max() < 1e4


def both(emb_BD, labels_B, centers_CD):
    return torch.stack([arcface_loss(emb_BD, labels_B, centers_CD), centroid_arcface_loss(emb_BD, labels_B)])


@pytest.mark.parametrize("norm", [1e3, 1e-6])
def test_only_directions_count(norm):
    emb_BD, labels_B, centers_CD = batch(4, dtype=torch.float32)
    scaled_BD = (norm * emb_BD).requires_grad_()
    loss = both(scaled_BD, labels_B, norm * centers_CD)
    torch.testing.assert_close(loss, both(emb_BD, labels_B, centers_CD), rtol=1e-5, atol=0)
    loss.sum().backward()
    assert scaled_BD.grad.isfinite().all()
    assert scaled_BD.grad.abs().max() > 1e-3 / norm


def test_order_and_names_of_people_do_not_count():
    emb_BD, labels_B, _ = batch(5)
    loss = centroid_arcface_loss(emb_BD, labels_B).item()
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    assert centroid_arcface_loss(emb_BD[order], labels_B[order]).item() == pytest.approx(loss, rel=1e-12)
    assert centroid_arcface_loss(emb_BD, torch.tensor([-7, 1000, 41])[labels_B]).item() == loss


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_and_autocast_compute_in_full_precision(dtype):
    emb_BD, labels_B, centers_CD = batch(6, dtype=torch.float32)
    half_BD, half_CD = emb_BD.to(dtype), centers_CD.to(dtype)
    expected = both(half_BD.float(), labels_B, half_CD.float())
    half_BD.requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        loss = both(half_BD, labels_B, half_CD)
    loss.sum().backward()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    assert half_BD.grad.dtype == dtype
    assert half_BD.grad.isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_named(bad):
    emb_BD, labels_B, centers_CD = batch(7)
    broken_BD = emb_BD.clone()
    broken_BD[2, 1] = bad
    with pytest.raises(ValueError, match="emb_BD holds NaN or inf"):
        arcface_loss(broken_BD, labels_B, centers_CD)
    with pytest.raises(ValueError, match="emb_BD holds NaN or inf"):
        centroid_arcface_loss(broken_BD, labels_B)
    with pytest.raises(ValueError, match="centers_CD holds NaN or inf"):
        arcface_loss(emb_BD, labels_B, centers_CD * bad)


def test_shapes_labels_margin_and_scale_are_checked():
    emb_BD, labels_B, centers_CD = batch(8)
    for loss in (lambda *args: arcface_loss(*args, centers_CD), centroid_arcface_loss):
        with pytest.raises(ValueError, match="emb_BD has shape"):
            loss(emb_BD[0], labels_B)
        with pytest.raises(ValueError, match="labels_B has shape"):
            loss(emb_BD, labels_B[1:])
        with pytest.raises(ValueError, match="labels_B has dtype"):
            loss(emb_BD, labels_B.double())
    for bad_CD in (centers_CD[0], centers_CD[:, :2]):
        with pytest.raises(ValueError, match="centers_CD has shape"):
            arcface_loss(emb_BD, labels_B, bad_CD)
    for label in (-1, 3):
        with pytest.raises(ValueError, match=r"labels_B reaches from .*, expected 0 to 2"):
            arcface_loss(emb_BD, labels_B.index_fill(0, torch.tensor([4]), label), centers_CD)
    for margin, scale in ((-0.1, 64.0), (math.pi, 64.0), (0.5, 0.0), (math.nan, 64.0)):
        with pytest.raises(ValueError, match="expected 0 <= margin < pi"):
            arcface_loss(emb_BD, labels_B, centers_CD, margin, scale)


def test_labels_of_any_integer_type():
    emb_BD, labels_B, centers_CD = batch(9)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(both(emb_BD, labels_B.to(dtype), centers_CD), both(emb_BD, labels_B, centers_CD))


def test_past_the_finite_check_the_centroid_form_does_not_wait_for_the_device(monkeypatch):
    # A fake tensor has no values: any operation that needs one on the host raises.
    monkeypatch.setattr(arcface, "full_precision", lambda _, tensor: tensor)
    with FakeTensorMode():
        emb_BD = torch.randn(8, 4, requires_grad=True)
        centroid_arcface_loss(emb_BD, torch.arange(8) // 4).backward()
    assert emb_BD.grad.shape == (8, 4)
