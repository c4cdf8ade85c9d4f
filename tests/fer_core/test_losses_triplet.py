import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from fer_core.losses import dual_triplet_loss, multi_threshold_loss, triplet_loss
from fer_core.losses.multi_threshold import batch_hard_loss

LOSSES = {False: triplet_loss, True: dual_triplet_loss}
MARGINS_N = [0.15, 0.25, 0.35]


def batch(seed, num_samples=10, num_slices=3, num_dims=4, num_classes=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    emb_BND = torch.randn(num_samples, num_slices, num_dims, generator=generator, dtype=dtype)
    return F.normalize(emb_BND, dim=-1), torch.randint(num_classes, (num_samples,), generator=generator)


def loss_by_loops(emb_BD, labels_B, margin, dual):
    rows, labels = emb_BD.tolist(), labels_B.tolist()
    terms = []
    for anchor, own in enumerate(labels):
        positives = [i for i, label in enumerate(labels) if label == own and i != anchor]
        negatives = [i for i, label in enumerate(labels) if label != own]
        if not positives or not negatives:
            continue
        p = max(positives, key=lambda i: math.dist(rows[anchor], rows[i]))
        n = min(negatives, key=lambda i: math.dist(rows[anchor], rows[i]))
        term = max(0.0, math.dist(rows[anchor], rows[p]) - math.dist(rows[anchor], rows[n]) + margin)
        if dual:
            term += max(0.0, math.dist(rows[anchor], rows[p]) - math.dist(rows[p], rows[n]) + margin)
            term /= 2
        terms.append(term)
    return sum(terms) / max(len(terms), 1)


def loss_of_full_matrix(emb_BD, labels_B, margin, dual):
    """The naive form, everything on the graph: all distances, the hardest picked by max and min."""
    difference_BBD = emb_BD[:, None] - emb_BD[None]
    sq_BB = difference_BBD.square().sum(dim=-1)
    distance_BB = (sq_BB + torch.eye(len(emb_BD), dtype=emb_BD.dtype)).sqrt()
    same_BB = labels_B[:, None] == labels_B
    positive_BB = same_BB & ~torch.eye(len(emb_BD), dtype=torch.bool)
    pull_B, p_B = distance_BB.masked_fill(~positive_BB, -torch.inf).max(dim=1)
    push_B, n_B = distance_BB.masked_fill(same_BB, torch.inf).min(dim=1)
    valid_B = positive_BB.any(dim=1) & ~same_BB.all(dim=1)
    terms_B = (pull_B - push_B + margin)[valid_B].relu()
    if dual:
        terms_B = (terms_B + (pull_B - distance_BB[p_B, n_B] + margin)[valid_B].relu()) / 2
    return terms_B.mean()


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_value_equals_the_loops(seed, dual):
    emb_BND, labels_B = batch(seed, num_classes=2 + seed % 4)
    for margin in (0.0, 0.4, 2.5):
        expected = loss_by_loops(emb_BND[:, 0], labels_B, margin, dual)
        assert LOSSES[dual](emb_BND[:, 0], labels_B, margin).item() == pytest.approx(expected, abs=1e-12)
        assert LOSSES[dual](emb_BND[:, 0].float(), labels_B, margin).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_gradient_equals_the_full_matrix_form(seed, dual):
    emb_BND, labels_B = batch(seed, num_samples=24)
    emb_BD = emb_BND[:, 0].contiguous().requires_grad_()
    expected = loss_of_full_matrix(emb_BD, labels_B, 0.3, dual)
    loss = LOSSES[dual](emb_BD, labels_B, 0.3)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    (expected_gradient,) = torch.autograd.grad(expected, emb_BD)
    (gradient,) = torch.autograd.grad(loss, emb_BD)
    assert gradient.abs().max() > 1e-3
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slices_are_independent_and_equal_single_losses(dual, dtype):
    for seed in range(5):
        emb_BND, labels_B = batch(seed, num_samples=20, dtype=dtype)
        loss_N = multi_threshold_loss(emb_BND.requires_grad_(), labels_B, MARGINS_N, dual=dual)
        singles_N = torch.stack([LOSSES[dual](emb_BND[:, i], labels_B, margin) for i, margin in enumerate(MARGINS_N)])
        assert loss_N.dtype == dtype
        torch.testing.assert_close(loss_N, singles_N, rtol=0, atol=1e-6)
        (gradient,) = torch.autograd.grad(loss_N.sum(), emb_BND)
        (single_gradient,) = torch.autograd.grad(singles_N.sum(), emb_BND)
        torch.testing.assert_close(gradient, single_gradient, rtol=0, atol=1e-7)


def test_dual_is_the_default_and_margins_may_be_a_tensor():
    emb_BND, labels_B = batch(1)
    expected_N = multi_threshold_loss(emb_BND, labels_B, MARGINS_N, dual=True)
    assert torch.equal(
        multi_threshold_loss(emb_BND, labels_B, torch.tensor(MARGINS_N, dtype=emb_BND.dtype)), expected_N
    )
    assert torch.equal(multi_threshold_loss(emb_BND, labels_B, tuple(MARGINS_N)), expected_N)


@pytest.mark.parametrize("dual", [False, True])
def test_gradcheck(dual):
    for seed in range(3):
        emb_BND, labels_B = batch(seed, num_samples=7)
        emb_BND.requires_grad_()
        assert gradcheck(lambda emb, labels_B=labels_B: multi_threshold_loss(emb, labels_B, MARGINS_N, dual), emb_BND)


@pytest.mark.parametrize("dual", [False, True])
def test_invariances(dual):
    for seed in range(5):
        emb_BND, labels_B = batch(seed)
        emb_BD = emb_BND[:, 0]
        loss = LOSSES[dual](emb_BD, labels_B, 0.2).item()
        order = torch.randperm(len(labels_B), generator=torch.Generator().manual_seed(seed))
        assert LOSSES[dual](emb_BD[order], labels_B[order], 0.2).item() == pytest.approx(loss, abs=1e-12)
        assert LOSSES[dual](emb_BD + 3.0, labels_B, 0.2).item() == pytest.approx(loss, abs=1e-12)
        renamed_B = torch.tensor([-7, 1000, 41])[labels_B]
        assert LOSSES[dual](emb_BD, renamed_B, 0.2).item() == loss


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("labels", [[4, 4], [4, 9], [0, 1, 2, 3]])
def test_no_valid_anchor_gives_zero_on_the_graph(dual, labels):
    emb_BND, _ = batch(0, num_samples=len(labels))
    emb_BND.requires_grad_()
    loss_N = multi_threshold_loss(emb_BND, torch.tensor(labels), MARGINS_N, dual)
    assert loss_N.tolist() == [0.0, 0.0, 0.0]
    assert loss_N.requires_grad
    loss_N.sum().backward()
    assert (emb_BND.grad == 0).all()


@pytest.mark.parametrize("dual", [False, True])
def test_sample_alone_in_its_class_is_only_a_negative(dual):
    emb_BD = torch.tensor([[0.0], [1.0], [1.5]], requires_grad=True)
    loss = LOSSES[dual](emb_BD, torch.tensor([2, 2, 8]), 0.25)
    first = [1.0 - 1.5 + 0.25, 1.0 - 0.5 + 0.25]
    second = [1.0 - 0.5 + 0.25, 1.0 - 1.5 + 0.25]
    terms = [max(0.0, term) for term in ([*first, *second] if dual else [first[0], second[0]])]
    assert loss.item() == pytest.approx(sum(terms) / len(terms), abs=1e-7)


@pytest.mark.parametrize("dual", [False, True])
def test_all_embeddings_equal_costs_the_margin(dual):
    emb_BND = torch.ones(6, 3, 4, requires_grad=True)
    loss_N = multi_threshold_loss(emb_BND, torch.tensor([0, 0, 1, 1, 2, 2]), MARGINS_N, dual)
    loss_N.sum().backward()
    torch.testing.assert_close(loss_N, torch.tensor(MARGINS_N))
    assert (emb_BND.grad == 0).all()


@pytest.mark.parametrize("dual", [False, True])
def test_equal_pair_has_a_finite_gradient(dual):
    emb_BND, _ = batch(2, num_samples=4, dtype=torch.float32)
    emb_BND[1] = emb_BND[0]  # its own positive
    emb_BND[3] = emb_BND[2]
    emb_BND.requires_grad_()
    loss_N = multi_threshold_loss(emb_BND, torch.tensor([0, 0, 1, 1]), [3.0, 3.0, 3.0], dual)
    loss_N.sum().backward()
    assert emb_BND.grad.isfinite().all()
    assert emb_BND.grad.abs().max() > 0


@pytest.mark.parametrize("norm", [1e3, 1e-6])
def test_extreme_norms(norm):
    emb_BND, labels_B = batch(3)
    emb_BD = (norm * emb_BND[:, 0]).float().requires_grad_()
    loss = dual_triplet_loss(emb_BD, labels_B, 0.2)
    loss.backward()
    assert loss.item() == pytest.approx(loss_by_loops(emb_BD.detach(), labels_B, 0.2, dual=True), rel=1e-6)
    assert emb_BD.grad.isfinite().all()
    assert emb_BD.grad.abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_and_autocast_compute_in_float32(dtype):
    emb_BND, labels_B = batch(4)
    half_BND = emb_BND.to(dtype)
    expected_N = multi_threshold_loss(half_BND.float(), labels_B, MARGINS_N)
    assert torch.equal(multi_threshold_loss(half_BND, labels_B, MARGINS_N), expected_N)
    half_BND.requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        loss_N = multi_threshold_loss(half_BND, labels_B, MARGINS_N)
        single = triplet_loss(half_BND[:, 0], labels_B, 0.2)
    loss_N.sum().backward()
    assert loss_N.dtype == single.dtype == torch.float32
    assert torch.equal(loss_N, expected_N)
    assert half_BND.grad.dtype == dtype
    assert half_BND.grad.isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_named(bad):
    emb_BND, labels_B = batch(5)
    emb_BND[2, 0, 1] = bad
    with pytest.raises(ValueError, match="emb_BND holds NaN or inf"):
        multi_threshold_loss(emb_BND, labels_B, MARGINS_N)
    for loss in LOSSES.values():
        with pytest.raises(ValueError, match="emb_BD holds NaN or inf"):
            loss(emb_BND[:, 0], labels_B, 0.2)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_margins_that_are_not_finite_are_named(bad):
    emb_BND, labels_B = batch(5)
    for margins in ([0.1, bad, 0.3], torch.tensor([bad, 0.2, 0.3])):
        with pytest.raises(ValueError, match=r"margins_N is \[.*(nan|inf).*\], expected finite numbers"):
            multi_threshold_loss(emb_BND, labels_B, margins)
    for loss in LOSSES.values():
        with pytest.raises(ValueError, match=f"margin is {bad}, expected a finite number"):
            loss(emb_BND[:, 0], labels_B, bad)


def test_shapes_and_margins_are_checked():
    emb_BND, labels_B = batch(6)
    with pytest.raises(ValueError, match="margins_N has shape"):
        multi_threshold_loss(emb_BND, labels_B, [0.1, 0.2])
    with pytest.raises(ValueError, match="emb_BND has shape"):
        multi_threshold_loss(emb_BND[:, 0], labels_B, [0.1])
    with pytest.raises(ValueError, match="emb_BD has shape"):
        triplet_loss(emb_BND, labels_B, 0.1)
    with pytest.raises(ValueError, match="labels_B has shape"):
        triplet_loss(emb_BND[:, 0], labels_B[:-1], 0.1)


@pytest.mark.parametrize("dual", [False, True])
def test_past_the_finite_check_nothing_waits_for_the_device(dual):
    # A meta tensor has no values: any operation that needs one on the host raises.
    with torch.device("meta"):
        emb_BND = torch.randn(8, 3, 4, requires_grad=True)
        loss_N = batch_hard_loss(emb_BND, torch.arange(8) % 2, torch.rand(3), dual)
        loss_N.sum().backward()
    assert emb_BND.grad.shape == (8, 3, 4)
