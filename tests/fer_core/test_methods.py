import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fer_core.methods import REGISTRY, Outputs, Recipe
from fer_core.methods.cnn import Cnn
from fer_core.methods.mul_dml import MulDml
from fer_core.methods.sgm import Sgm
from fer_core.targets import Counts, Targets
from fer_core.training import build_network

THRESHOLDS = (0.2, 0.5, 0.9)


def built(name, **options):
    method = REGISTRY[name]
    return method(method.Options(**options))


def terms_of(method, outputs, labels_B, num_labels=3):
    targets = Targets(labels_B, labels_B, labels_B, labels_B)
    return method.objective(Counts(num_labels))(outputs, targets, 0.0)


def said_by(method, outputs, labels_B, num_labels):
    return method.predicted(outputs, Targets(labels_B, labels_B, labels_B, labels_B), Counts(num_labels))


def batch(num_dims, num_samples=9, num_labels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels_B = torch.arange(num_samples) % num_labels
    return torch.randn(num_samples, num_dims, generator=generator), labels_B


def cross_entropy_by_hand(logits_BC, labels_B):
    rows = [[float(value) for value in row] for row in logits_BC]
    log_sums = [math.log(sum(math.exp(value) for value in row)) for row in rows]
    owns = [row[own] for row, own in zip(rows, labels_B.tolist(), strict=True)]
    return (sum(log_sums) - sum(owns)) / len(rows)


def dual_triplet_by_hand(emb_BD, labels_B, margin):
    emb, labels = emb_BD.detach().double().numpy(), labels_B.tolist()
    total, num_anchors = 0.0, 0
    for anchor, own in enumerate(labels):
        positives = [at for at, label in enumerate(labels) if label == own and at != anchor]
        negatives = [at for at, label in enumerate(labels) if label != own]
        if not positives or not negatives:
            continue
        to = {at: np.linalg.norm(emb[anchor] - emb[at]) for at in range(len(labels))}
        positive, negative = max(positives, key=to.__getitem__), min(negatives, key=to.__getitem__)
        other = np.linalg.norm(emb[positive] - emb[negative])
        total += max(0.0, to[positive] - to[negative] + margin) + max(0.0, to[positive] - other + margin)
        num_anchors += 1
    return total / (2 * num_anchors)


def test_cnn_loss_is_the_cross_entropy():
    logits_BC, labels_B = batch(3)
    terms = terms_of(built("cnn"), Outputs(torch.zeros(9, 4), logits_BC), labels_B)
    assert list(terms) == ["cross_entropy"]
    assert terms["cross_entropy"].item() == pytest.approx(cross_entropy_by_hand(logits_BC, labels_B), abs=1e-6)


def test_sgm_loss_is_squared_error_of_the_posterior_and_the_norm():
    emb_BD, labels_B = batch(4)
    method = built("sgm", sigma=0.8, norm_weight=0.3)
    emb = emb_BD.double().numpy()
    centres = [emb[labels_B.numpy() == label].mean(axis=0) for label in range(3)]
    total = 0.0
    for row, own in zip(emb, labels_B.tolist(), strict=True):
        density = np.array([math.exp(-((row - centre) ** 2).sum() / (2 * 0.8**2)) for centre in centres])
        total += ((density / density.sum() - np.eye(3)[own]) ** 2).sum() + 0.3 * math.sqrt((row**2).sum())
    terms = terms_of(method, Outputs(emb_BD), labels_B)
    assert list(terms) == ["sgm"]
    assert terms["sgm"].item() == pytest.approx(total / 9, abs=1e-6)


def test_mul_dml_loss_is_the_weighted_slices_and_the_cross_entropy():
    method = built("mul_dml", thresholds=THRESHOLDS, slice_size=4, triplet_weight=0.7)
    emb_BD, labels_B = batch(12)
    logits_BC = batch(3, seed=1)[0]
    slices = [dual_triplet_by_hand(emb_BD[:, 4 * n : 4 * n + 4], labels_B, tau) for n, tau in enumerate(THRESHOLDS)]
    terms = terms_of(method, Outputs(emb_BD, logits_BC), labels_B)
    assert terms["dual_triplet"].item() == pytest.approx(0.7 / 3 * sum(slices), abs=1e-6)
    assert terms["cross_entropy"].item() == pytest.approx(cross_entropy_by_hand(logits_BC, labels_B), abs=1e-6)
    assert set(terms) == {"dual_triplet", "cross_entropy"}


def test_mul_dml_defaults_are_the_printed_ones():
    options = MulDml.Options()
    assert options.thresholds == pytest.approx([0.15 + 0.1 * n for n in range(7)])
    assert (options.slice_size, options.dropout, options.triplet_weight) == (256, 0.5, 0.5)
    assert Recipe(epochs=70, batch_size=96, lr=5e-6) == MulDml.paper


def test_mul_dml_slices_are_separate_linear_layers_of_unit_norm():
    method = built("mul_dml", thresholds=THRESHOLDS, slice_size=5, dropout=0.0)
    torch.manual_seed(0)
    head, features_BF = method.head(16, Counts(4)), torch.randn(6, 16)
    outputs = head(features_BF)
    assert (outputs.embedding_BD.shape, outputs.logits_BC.shape) == ((6, 15), (6, 4))
    norm_BN = outputs.embedding_BD.unflatten(1, (3, 5)).norm(dim=2)
    torch.testing.assert_close(norm_BN, torch.ones(6, 3), rtol=0, atol=1e-6)
    for number, weight in enumerate(head.slices.weight.split(5)):
        layer = torch.nn.Linear(16, 5, bias=False)
        layer.load_state_dict({"weight": weight})
        expected = layer(features_BF)
        expected = expected / expected.square().sum(dim=1, keepdim=True).sqrt()
        own = outputs.embedding_BD[:, 5 * number : 5 * number + 5]
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-6)


def test_dropout_reaches_the_classifier_alone():
    torch.manual_seed(0)
    for name in ("cnn", "mul_dml"):
        head, features_BF = built(name).head(16, Counts(3)).train(), torch.randn(6, 16)
        first, second = head(features_BF), head(features_BF)
        assert torch.equal(first.embedding_BD, second.embedding_BD)
        assert not torch.equal(first.logits_BC, second.logits_BC)


def test_heads_give_the_promised_shapes():
    features_BF = torch.randn(6, 16)
    plain = built("cnn").head(16, Counts(3)).eval()(features_BF)
    assert plain.embedding_BD is features_BF
    assert plain.logits_BC.shape == (6, 3)
    manifold = built("sgm", embedding_size=5).head(16, Counts(3))(features_BF)
    assert manifold.embedding_BD.shape == (6, 5)
    assert manifold.logits_BC is None


@pytest.mark.parametrize("name", ["cnn", "mul_dml"])
def test_a_classifier_says_the_largest_logit(name):
    logits_BC = torch.tensor([[0.1, 2.0, 0.3], [5.0, 1.0, 1.0]])
    said = said_by(built(name), Outputs(torch.zeros(2, 4), logits_BC), torch.tensor([0, 0]), 3)
    assert said.tolist() == [1, 0]


def test_sgm_says_the_class_of_the_nearest_centre():
    emb_BD, labels_B = batch(2, num_samples=12)
    centre_CD = torch.stack([emb_BD[labels_B == label].mean(dim=0) for label in range(3)])
    said = said_by(built("sgm"), Outputs(emb_BD), labels_B, 5)
    assert torch.equal(said, torch.cdist(emb_BD, centre_CD).argmin(dim=1))
    assert not torch.equal(said, labels_B)


def test_decisions():
    assert [method.decides_by for method in (Cnn, Sgm, MulDml)] == ["classifier", "neighbours", "classifier"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("mul_dml", {"thresholds": ()}),
        ("mul_dml", {"thresholds": (2.0,)}),
        ("mul_dml", {"thresholds": (0.0,)}),
        ("mul_dml", {"dropout": 1.0}),
        ("mul_dml", {"margin": 0.2}),
        *[("mul_dml", {"thresholds": (0.3, bad)}) for bad in (math.nan, math.inf)],
        *[("mul_dml", {"single_threshold": bad}) for bad in (math.nan, math.inf)],
        *[("triplet", {"margin": bad}) for bad in (math.nan, math.inf, -math.inf, 0.0)],
        ("sgm", {"sigma": 0}),
        ("sgm", {"norm_weight": -0.1}),
        ("cnn", {"dropout": 0.5}),
    ],
)
def test_impossible_options_are_refused(name, wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        built(name, **wrong)


def test_paper_recipes_have_the_printed_rate_at_first_and_no_weight_decay():
    for name, method in REGISTRY.items():
        rates = [method.paper.rate(step, 100) for step in range(100)]
        assert rates[0] == method.paper.lr
        assert method.paper.weight_decay == 0
        assert (len(set(rates)) > 1) == (name == "dml_net")  # the only one whose paper prints a decay


def test_one_cycle_rises_over_a_tenth_and_falls_to_zero():
    recipe = Recipe(epochs=1, batch_size=4, lr=2e-3, one_cycle=True)
    rates = [recipe.rate(step, 200) for step in range(200)]
    peak = rates.index(max(rates))
    assert rates[0] == pytest.approx(2e-3 / 20)
    assert 15 <= peak <= 20
    assert max(rates) == pytest.approx(2e-3, rel=0.03)
    assert all(after > before for before, after in pairwise(rates[: peak + 1]))
    assert all(after < before for before, after in pairwise(rates[peak:]))
    assert 0 < rates[-1] < 2e-3 * 1e-4
    assert rates[100] == pytest.approx(1e-3)


@pytest.mark.parametrize("num_steps", [1, 2, 9])
def test_one_cycle_of_few_steps_is_positive(num_steps):
    recipe = Recipe(epochs=1, batch_size=4, lr=1.0, one_cycle=True)
    assert all(0 < recipe.rate(step, num_steps) <= 1 for step in range(num_steps))


def test_replaced_keeps_the_rest():
    recipe = Recipe(3, 12, 1e-3, one_cycle=True, weight_decay=0.05)
    assert recipe.replaced(lr=0.1) == Recipe(3, 12, 0.1, one_cycle=True, weight_decay=0.05)


def test_every_method_starts_from_the_same_backbone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    pictured = [name for name, method in REGISTRY.items() if method.inputs == "pictures"]
    networks = {name: build_network(built(name), "resnet18", 24, Counts(3, 3, 2, 4), seed=1) for name in pictured}
    assert torch.equal(torch.get_rng_state(), before)
    bodies = [getattr(network.backbone, "face", network.backbone) for network in networks.values()]
    states = [body.state_dict() for body in bodies]
    for state in states[1:]:
        assert all(torch.equal(value, states[0][name]) for name, value in state.items())
    again = build_network(built("mul_dml"), "resnet18", 24, Counts(3), seed=1)
    other = build_network(built("mul_dml"), "resnet18", 24, Counts(3), seed=2)
    weight = networks["mul_dml"].head.slices.weight
    assert torch.equal(again.head.slices.weight, weight)
    assert not torch.equal(other.head.slices.weight, weight)
    assert not torch.equal(other.backbone.conv1.weight, states[0]["conv1.weight"])


def test_a_network_normalises_bytes_as_published_weights_expect():
    network = build_network(built("sgm"), "resnet18", 24, Counts(3), seed=1).eval()
    images_BHWC = torch.randint(0, 256, (2, 24, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((images_BHWC / 255 - mean) / deviation).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network.head.embedding(network.backbone(pixels))
        torch.testing.assert_close(network(images_BHWC).embedding_BD, expected, rtol=1e-4, atol=1e-4)
    assert not {"mean", "deviation"} & set(network.state_dict())
