import math

import pytest
import torch
from torch.autograd import gradcheck

from fer_core.losses.five_tuple import five_tuple_loss
from fer_core.losses.numerics import deferred_checks

MARGINS = (0.7, 1.3)


def batch(seed, num_samples=15, num_dims=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    emb_BD = torch.randn(num_samples, num_dims, generator=generator, dtype=dtype)
    labels = [torch.randint(high, (num_samples,), generator=generator) for high in (3, 3, 4)]
    return emb_BD, *labels


def loss_by_loops(emb_BD, expression_B, aspect_B, margin, hinge):
    rows, expressions, aspects = emb_BD.tolist(), expression_B.tolist(), aspect_B.tolist()
    total = 0.0
    for a, row in enumerate(rows):
        pulls, pushes = [], []
        for x, other in enumerate(rows):
            same_expression, same_aspect = expressions[x] == expressions[a], aspects[x] == aspects[a]
            if same_expression and not same_aspect:
                pulls.append(math.dist(row, other) ** 2)
            if same_aspect and not same_expression:
                pushes.append(math.dist(row, other) ** 2)
        if pulls and pushes:
            term = margin + max(pulls) - min(pushes)
            total += max(0.0, term) if hinge else term
    return total


@pytest.mark.parametrize("hinge", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_values_equal_the_loops(seed, hinge):
    emb_BD, expression_B, pose_B, identity_B = batch(seed, num_samples=5 + 2 * seed)
    pose, identity = five_tuple_loss(emb_BD, expression_B, pose_B, identity_B, *MARGINS, hinge=hinge)
    assert pose.item() == pytest.approx(loss_by_loops(emb_BD, expression_B, pose_B, MARGINS[0], hinge), abs=1e-10)
    expected = loss_by_loops(emb_BD, expression_B, identity_B, MARGINS[1], hinge)
    assert identity.item() == pytest.approx(expected, abs=1e-10)
    singles = five_tuple_loss(emb_BD.float(), expression_B, pose_B, identity_B, *MARGINS, hinge=hinge)
    assert singles[1].dtype == torch.float32
    assert singles[1].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_one_five_tuple_by_hand():
    emb_BD = torch.tensor([[0.0], [3.0], [1.0], [2.0], [4.0]])  # anchor, pose+, pose-, id+, id-
    expression_B = torch.tensor([0, 0, 1, 0, 1])
    pose_B = torch.tensor([0, 1, 0, 0, 2])
    identity_B = torch.tensor([0, 0, 1, 1, 0])
    pose, identity = five_tuple_loss(emb_BD, expression_B, pose_B, identity_B, 0.5, 0.25)
    # Squared distances to the farthest positive and the nearest negative, anchor by anchor.
    assert pose.item() == pytest.approx(sum([0.5 + 9 - 1, 0.5 + 9 - 1, 0.5 + 1 - 1]))  # anchors 0, 2, 3
    assert identity.item() == pytest.approx(sum([0, 0.25 + 1 - 1, 0.25 + 9 - 1, 0.25 + 4 - 1, 0.25 + 9 - 1]))


def test_hinge_is_the_default_and_bounds_the_loss():
    emb_BD, *labels = batch(0)
    assert five_tuple_loss(emb_BD, *labels, *MARGINS) == five_tuple_loss(emb_BD, *labels, *MARGINS, hinge=True)
    emb_BD, *labels = torch.tensor([[0.0], [0.0], [9.0]]), *torch.tensor([[0, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert five_tuple_loss(emb_BD, *labels, 1.0, 1.0)[0].item() == 0.0
    assert five_tuple_loss(emb_BD, *labels, 1.0, 1.0, hinge=False)[0].item() == 1 - 81


@pytest.mark.parametrize("hinge", [True, False])
def test_gradcheck(hinge):
    for seed in range(3):
        emb_BD, *labels = batch(seed, num_samples=9)
        emb_BD.requires_grad_()
        assert gradcheck(lambda emb, labels=labels: sum(five_tuple_loss(emb, *labels, 2.0, 2.0, hinge)), emb_BD)


def test_order_and_names_of_labels_do_not_matter():
    emb_BD, *labels = batch(1)
    expected = [loss.item() for loss in five_tuple_loss(emb_BD, *labels, *MARGINS)]
    order = torch.randperm(len(emb_BD), generator=torch.Generator().manual_seed(1))
    shuffled = five_tuple_loss(emb_BD[order], *(labels_B[order] for labels_B in labels), *MARGINS)
    assert [loss.item() for loss in shuffled] == pytest.approx(expected, abs=1e-10)
    names = torch.tensor([-1, 1000, 41, -7])
    renamed = five_tuple_loss(emb_BD, *(names[labels_B].int() for labels_B in labels), *MARGINS)
    assert [loss.item() for loss in renamed] == expected


@pytest.mark.parametrize(
    ("expressions", "poses"), [([4, 4], [0, 1]), ([4, 9], [0, 0]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0, 1, 2])]
)
def test_no_valid_anchor_gives_zero_on_the_graph(expressions, poses):
    emb_BD = batch(2, num_samples=len(poses))[0].requires_grad_()
    expression_B, pose_B = torch.tensor(expressions), torch.tensor(poses)
    for hinge in (True, False):
        pose, identity = five_tuple_loss(emb_BD, expression_B, pose_B, pose_B, 1.0, 1.0, hinge)
        assert pose.item() == identity.item() == 0.0
        (gradient,) = torch.autograd.grad(pose + identity, emb_BD)
        assert (gradient == 0).all()


def test_all_embeddings_equal_costs_the_margins():
    emb_BD = torch.ones(3, 4, requires_grad=True)
    labels = torch.tensor([[0, 0, 1], [0, 1, 0], [0, 1, 0]])
    pose, identity = five_tuple_loss(emb_BD, *labels, 0.5, 0.25)
    (pose + identity).backward()
    assert (pose.item(), identity.item()) == (0.5, 0.25)
    assert (emb_BD.grad == 0).all()


@pytest.mark.parametrize("norm", [1e3, 1e-6])
def test_extreme_norms(norm):
    emb_BD, *labels = batch(3)
    emb_BD = (norm * torch.nn.functional.normalize(emb_BD)).float().requires_grad_()
    pose, _ = five_tuple_loss(emb_BD, *labels, 0.5, 0.5)
    pose.backward()
    expected = loss_by_loops(emb_BD.detach(), labels[0], labels[1], 0.5, True)
    assert pose.item() == pytest.approx(expected, rel=1e-5)
    assert emb_BD.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_and_autocast_compute_in_float32(dtype):
    emb_BD, *labels = batch(4)
    half_BD = emb_BD.to(dtype).requires_grad_()
    expected = five_tuple_loss(half_BD.detach().float(), *labels, *MARGINS)
    with torch.autocast("cpu", dtype=dtype):
        losses = five_tuple_loss(half_BD, *labels, *MARGINS)
    sum(losses).backward()
    assert [loss.dtype for loss in losses] == [torch.float32] * 2
    assert losses == expected
    assert half_BD.grad.isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_named(bad):
    emb_BD, *labels = batch(5)
    emb_BD[2, 1] = bad
    with pytest.raises(ValueError, match="emb_BD holds NaN or inf"):
        five_tuple_loss(emb_BD, *labels, *MARGINS)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_shapes_and_types_are_checked(position):
    emb_BD, *labels = batch(6)
    name = ("expression_B", "pose_B", "identity_B")[position]
    with pytest.raises(ValueError, match="emb_BD has shape"):
        five_tuple_loss(emb_BD[0], *labels, *MARGINS)
    for bad_B, message in ((labels[position][:-1], "shape"), (labels[position].float(), "dtype")):
        with pytest.raises(ValueError, match=f"{name} has {message}"):
            five_tuple_loss(emb_BD, *labels[:position], bad_B, *labels[position + 1 :], *MARGINS)


def test_with_deferred_checks_nothing_waits_for_the_device():
    # A meta tensor has no values: an operation that needs one on the host raises.
    emb_BD = torch.randn(8, 4, device="meta", requires_grad=True)
    with deferred_checks():
        sum(five_tuple_loss(emb_BD, *torch.zeros(3, 8, dtype=torch.int64, device="meta"), *MARGINS)).backward()
    assert emb_BD.grad.shape == (8, 4)
