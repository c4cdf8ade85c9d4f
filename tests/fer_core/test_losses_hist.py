import math

import pytest
import torch
from loss_checks import check_half_input
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from fer_core.losses.hist import Hist, HypergraphNetwork, hist_loss
from fer_core.losses.numerics import deferred_checks

NUM_CLASSES = 4


def batch(seed, num_samples=8, num_dims=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(num_samples, num_dims), (NUM_CLASSES, num_dims), (NUM_CLASSES, num_dims)]
    emb_BD, mean_CD, log_variance_CD = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return emb_BD, torch.randint(NUM_CLASSES, (num_samples,), generator=generator), mean_CD, log_variance_CD


def hist(seed=0, num_dims=5, dtype=torch.float64, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Hist(NUM_CLASSES, num_dims, hidden=6, **options).to(dtype)


def edges(emb_BD, incidence_BC):
    """A classifier of nodes that is easy to follow: the logits are the incidence itself."""
    return 3 * incidence_BC + emb_BD.sum(dim=1, keepdim=True) * incidence_BC.square()


def unit(row):
    norm = math.hypot(*row)
    return [value / norm for value in row]


def distances_by_loops(emb_BD, mean_CD, log_variance_CD):
    """Squared Mahalanobis distances on the unit sphere, one number at a time."""
    return [
        [
            sum((x - m) ** 2 / math.exp(min(max(v, 0), 6)) for x, m, v in zip(unit(row), unit(mean), logs, strict=True))
            for mean, logs in zip(mean_CD.tolist(), log_variance_CD.tolist(), strict=True)
        ]
        for row in emb_BD.tolist()
    ]


def cross_entropy_by_loops(logits, labels):
    terms = [math.log(sum(math.exp(x - row[y]) for x in row)) for row, y in zip(logits, labels, strict=True)]
    return sum(terms) / len(terms)


def incidence_by_loops(distances, labels, alpha):
    return [
        [
            0.0 if label not in labels else 1.0 if label == own else math.exp(-alpha * distance)
            for label, distance in enumerate(row)
        ]
        for row, own in zip(distances, labels, strict=True)
    ]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("tau", "alpha", "lambda_s"), [(32.0, 0.9, 1.0), (2.0, 2.0, 0.3)])
def test_value_equals_the_loops(seed, tau, alpha, lambda_s):
    emb_BD, labels_B, mean_CD, log_variance_CD = batch(seed, num_samples=3 + seed)
    labels = labels_B.tolist()
    distances = distances_by_loops(emb_BD, mean_CD, log_variance_CD)
    incidence = incidence_by_loops(distances, labels, alpha)
    logits = edges(emb_BD, torch.tensor(incidence, dtype=torch.float64)).tolist()
    expected = cross_entropy_by_loops([[-tau * d for d in row] for row in distances], labels)
    expected += lambda_s * cross_entropy_by_loops(logits, labels)
    loss = hist_loss(emb_BD, labels_B, mean_CD, log_variance_CD, edges, tau, alpha, lambda_s)
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    single = hist_loss(emb_BD.float(), labels_B, mean_CD.float(), log_variance_CD.float(), edges, tau, alpha, lambda_s)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(expected, rel=1e-5)


def test_defaults_are_the_published_ones():
    arguments = batch(0)
    assert hist_loss(*arguments, edges) == hist_loss(*arguments, edges, tau=32.0, alpha=0.9, lambda_s=1.0)
    assert HypergraphNetwork(5, NUM_CLASSES).first.out_features == 512


def test_network_equals_the_product_with_the_propagation_matrix():
    emb_BD, _, mean_CD, log_variance_CD = batch(1, num_samples=6)
    labels = [0, 3, 3, 1, 0, 0]
    incidence = incidence_by_loops(distances_by_loops(emb_BD, mean_CD, log_variance_CD), labels, 0.9)
    present_BE = torch.tensor(incidence, dtype=torch.float64)[:, [0, 1, 3]]  # without the edge of the absent class
    node_scale, edge_scale = torch.diag(present_BE.sum(dim=1) ** -0.5), torch.diag(1 / present_BE.sum(dim=0))
    g_BB = node_scale @ present_BE @ edge_scale @ present_BE.T @ node_scale

    network = hist().network
    hidden_BH = g_BB @ (emb_BD @ network.first.weight.T + network.first.bias)
    hidden_BH = (hidden_BH - hidden_BH.mean(dim=0)) / (hidden_BH.var(dim=0, correction=0) + network.norm.eps).sqrt()
    hidden_BH = torch.where(hidden_BH > 0, hidden_BH, 0.1 * hidden_BH)
    expected_BC = g_BB @ (hidden_BH @ network.second.weight.T + network.second.bias)
    logits_BC = network(emb_BD, torch.tensor(incidence, dtype=torch.float64))
    torch.testing.assert_close(logits_BC, expected_BC, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("seed", range(2))
def test_gradcheck(seed):
    emb_BD, labels_B, mean_CD, _ = batch(seed, num_samples=6)
    log_variance_CD = torch.full_like(mean_CD, 0.5)
    network = hist(seed).network
    for tensor in (emb_BD, mean_CD, log_variance_CD):
        tensor.requires_grad_()
    assert gradcheck(
        lambda emb, mean, logs: hist_loss(emb, labels_B, mean, logs, network, 2.0), (emb_BD, mean_CD, log_variance_CD)
    )


def test_module_is_the_function_of_its_parameters_and_learns():
    emb_BD, labels_B, *_ = batch(2, num_samples=16, dtype=torch.float32)
    module = hist(dtype=torch.float32, tau=8.0, alpha=0.5, lambda_s=0.7)
    expected = hist_loss(
        emb_BD, labels_B, module.mean_CD, module.log_variance_CD, module.network, 8.0, alpha=0.5, lambda_s=0.7
    )
    assert torch.equal(module(emb_BD, labels_B), expected)
    emb_BD.requires_grad_()
    optimizer = torch.optim.Adam([emb_BD, *module.parameters()], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss = module(emb_BD, labels_B)
        loss.backward()
        assert all(parameter.grad.abs().max() > 0 for parameter in module.parameters() if parameter.dim() > 1)
        optimizer.step()
    assert loss.item() < 0.1 * expected.item()
    distance_BC = distances_by_loops(emb_BD, module.mean_CD, module.log_variance_CD)
    assert torch.tensor(distance_BC).argmin(dim=1).tolist() == labels_B.tolist()


def test_order_of_the_batch_does_not_matter():
    emb_BD, labels_B, *gaussians = batch(3)
    order = torch.randperm(len(labels_B), generator=torch.Generator().manual_seed(0))
    network = hist().network
    loss = hist_loss(emb_BD, labels_B, *gaussians, network).item()
    assert hist_loss(emb_BD[order], labels_B[order], *gaussians, network).item() == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("labels", [[3, 3], [0, 3], [1, 1, 1, 1], [0, 1, 2, 3]])
@pytest.mark.parametrize("collapsed", [False, True])
def test_one_class_and_classes_of_one_sample(labels, collapsed):
    emb_BD = batch(4, num_samples=len(labels), dtype=torch.float32)[0]
    if collapsed:
        emb_BD = torch.ones_like(emb_BD)
    emb_BD.requires_grad_()
    loss = hist(dtype=torch.float32)(emb_BD, torch.tensor(labels))
    loss.backward()
    assert loss.isfinite()
    assert emb_BD.grad.isfinite().all()


@pytest.mark.parametrize("norm", [1e3, 1e-6])
def test_extreme_norms(norm):
    emb_BD, labels_B, mean_CD, log_variance_CD = batch(5, dtype=torch.float32)
    emb_BD = (norm * normalize(emb_BD)).requires_grad_()
    loss = hist_loss(emb_BD, labels_B, norm * mean_CD, norm * log_variance_CD, hist(dtype=torch.float32).network)
    loss.backward()
    assert loss.isfinite()
    assert emb_BD.grad.isfinite().all()


def test_samples_far_from_their_class_keep_their_gradient():
    emb_BD = torch.eye(2).requires_grad_()
    mean_CD = -torch.eye(2)
    loss = hist_loss(emb_BD, torch.tensor([0, 1]), mean_CD, torch.zeros(2, 2), edges, tau=1e3, lambda_s=0.0)
    loss.backward()
    assert loss.item() == pytest.approx(2e3, rel=1e-6)  # a softmax that underflows to probability 0
    assert emb_BD.grad.abs().max() > 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_and_autocast_compute_in_float32(dtype):
    emb_BD, labels_B, *_ = batch(6)
    module = hist(dtype=torch.float32)
    check_half_input(lambda emb_BD: module(emb_BD, labels_B), emb_BD, dtype)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_named(bad):
    emb_BD, *others = batch(7)
    emb_BD[2, 1] = bad
    with pytest.raises(ValueError, match="emb_BD holds NaN or inf"):
        hist_loss(emb_BD, *others, edges)


def test_shapes_and_labels_are_checked():
    emb_BD, labels_B, mean_CD, log_variance_CD = batch(8)
    with pytest.raises(ValueError, match="emb_BD has shape"):
        hist_loss(emb_BD[0], labels_B, mean_CD, log_variance_CD, edges)
    with pytest.raises(ValueError, match="mean_CD and log_variance_CD have shapes"):
        hist_loss(emb_BD, labels_B, mean_CD, log_variance_CD[:-1], edges)
    with pytest.raises(ValueError, match="mean_CD and log_variance_CD have shapes"):
        hist_loss(emb_BD, labels_B, mean_CD[:, 1:], log_variance_CD[:, 1:], edges)
    for label in (-1, NUM_CLASSES):
        labels_B[0] = label
        with pytest.raises(ValueError, match="labels_B reaches"):
            hist_loss(emb_BD, labels_B, mean_CD, log_variance_CD, edges)


def test_with_deferred_checks_nothing_waits_for_the_device():
    # A meta tensor has no values: an operation that needs one on the host raises.
    emb_BD = torch.randn(8, 5, device="meta", requires_grad=True)
    with deferred_checks():
        hist().float().to("meta")(emb_BD, torch.zeros(8, dtype=torch.int64, device="meta")).backward()
    assert emb_BD.grad.shape == (8, 5)
