import math
from typing import get_args

import numpy as np
import pytest
import torch
from model_fixtures import MemoryStore, faces_path, one_thread, plan_of, silent, train_with_stops  # noqa: F401
from pydantic import ValidationError

from fer_core.losses.hist import hist_loss
from fer_core.methods.cnn import Cnn
from fer_core.methods.mul_dml import MulDml
from fer_core.methods.mul_dml_variants import VARIANTS, voted
from fer_core.targets import Counts, Targets
from fer_core.training import build_network, train
from fer_core.world import World

THRESHOLDS, SINGLE, SIZE, WEIGHT, NUM_LABELS = (0.2, 0.5, 0.9), 0.4, 4, 0.7, 3
SMALL = {"thresholds": THRESHOLDS, "single_threshold": SINGLE, "slice_size": SIZE, "triplet_weight": WEIGHT}
SMALL |= {"circle_margin": 0.2, "circle_gamma": 20, "hist_tau": 8, "hist_alpha": 2}
MULTASK = ("cnn_multask", "mul_dml_multask_same", "mul_dml_multask")
ONE_SLICE = ("s_trad_triplet", "s_dual_triplet", "circle", "hist")
variants = pytest.mark.parametrize("variant", VARIANTS)


def built(variant, **options):
    return MulDml(MulDml.Options(variant=variant, **{**SMALL, **options}))


def targets_of(label_B):
    return Targets(label_B, label_B, label_B, label_B)


def cross_entropy_by_hand(logits_BC, labels):
    rows = logits_BC.tolist()
    return np.mean([math.log(sum(map(math.exp, row))) - row[own] for row, own in zip(rows, labels, strict=True)])


def triplet_by_hand(emb_BD, labels, margin, dual):
    """Batch Hard, one anchor after the other: eq. 10, or eq. 2."""
    emb = emb_BD.detach().double().numpy()
    hinges = []
    for anchor, own in enumerate(labels):
        to = [np.linalg.norm(emb[anchor] - other) for other in emb]
        positive = max((at for at, label in enumerate(labels) if label == own and at != anchor), key=to.__getitem__)
        negative = min((at for at, label in enumerate(labels) if label != own), key=to.__getitem__)
        hinge = max(0.0, to[positive] - to[negative] + margin)
        if dual:
            to_other = np.linalg.norm(emb[positive] - emb[negative])
            hinge = (hinge + max(0.0, to[positive] - to_other + margin)) / 2
        hinges.append(hinge)
    return np.mean(hinges)


def circle_by_hand(emb_BD, labels, margin, gamma):
    emb = emb_BD.detach().double().numpy()
    losses = []
    for anchor, own in enumerate(labels):
        pull = push = 0.0
        for at, label in enumerate(labels):
            similarity = emb[anchor] @ emb[at]
            if label != own:
                push += math.exp(gamma * max(0.0, similarity + margin) * (similarity - margin))
            elif at != anchor:
                pull += math.exp(-gamma * max(0.0, 1 + margin - similarity) * (similarity - 1 + margin))
        losses.append(math.log(1 + push * pull))
    return np.mean(losses)


def metric_by_hand(variant, emb_BD, labels, objective):
    """(name of the term, its value) from the paper's own words, or None."""
    slices = emb_BD.split(SIZE, dim=1)

    def over_slices(margins):
        return (
            WEIGHT / 3 * sum(triplet_by_hand(own, labels, tau, True) for own, tau in zip(slices, margins, strict=True))
        )

    match variant:
        case "cnn" | "cnn_multask":
            return None
        case "s_trad_triplet":
            return "triplet", WEIGHT * triplet_by_hand(emb_BD, labels, SINGLE, dual=False)
        case "s_dual_triplet" | "s_dml":
            return "dual_triplet", WEIGHT * triplet_by_hand(emb_BD, labels, SINGLE, dual=True)
        case "mul_dml_same" | "mul_dml_multask_same":
            return "dual_triplet", over_slices([SINGLE] * 3)
        case "mul_dml" | "mul_dml_multask":
            return "dual_triplet", over_slices(THRESHOLDS)
        case "circle":
            return "circle", WEIGHT * circle_by_hand(emb_BD, labels, 0.2, 20)
        case "hist":
            own = objective.metrics["hist"].loss
            gaussians = own.mean_CD, own.log_variance_CD, own.network
            return "hist", WEIGHT * hist_loss(emb_BD, torch.tensor(labels), *gaussians, tau=8, alpha=2).item()


def embedded(variant, num_samples=9):
    """The head's outputs for a small batch, and its labels."""
    torch.manual_seed(0)
    head = built(variant, dropout=0.0).head(16, Counts(NUM_LABELS))
    return head, head(torch.randn(num_samples, 16)), torch.arange(num_samples) % NUM_LABELS


def test_the_table_holds_the_variants_that_can_be_chosen():
    assert set(VARIANTS) == set(get_args(MulDml.Options.model_fields["variant"].annotation))
    assert len(VARIANTS) == 11
    assert MulDml.Options().variant == "mul_dml"


@variants
def test_the_loss_is_that_of_a_loop(variant):
    _, outputs, label_B = embedded(variant)
    labels = label_B.tolist()
    objective = built(variant).objective(Counts(NUM_LABELS))
    terms = objective(outputs, targets_of(label_B), 0.0)
    if variant in MULTASK:
        logits = outputs.more["slice_logits"].unbind(dim=1)
        expected = np.mean([cross_entropy_by_hand(own, labels) for own in logits])
    else:
        expected = cross_entropy_by_hand(outputs.logits_BC, labels)
    assert terms.pop("cross_entropy").item() == pytest.approx(expected, abs=1e-6)
    metric = metric_by_hand(variant, outputs.embedding_BD, labels, objective)
    if metric is None:
        assert not terms
    else:
        name, value = metric
        assert list(terms) == [name]
        assert value > 0.01
        assert terms[name].item() == pytest.approx(value, rel=1e-6)


@variants
def test_shapes(variant):
    head, outputs, _ = embedded(variant)
    size = 16 if variant == "cnn" else SIZE if variant in ONE_SLICE else 3 * SIZE
    assert (outputs.embedding_BD.shape, outputs.logits_BC.shape) == ((9, size), (9, NUM_LABELS))
    assert {name: value.shape for name, value in outputs.more.items()} == (
        {"slice_logits": (9, 3, NUM_LABELS)} if variant in MULTASK else {}
    )
    if variant != "cnn":
        assert head.slices.weight.shape == (size, 16)
        assert head.slices.bias is None


@variants
def test_what_the_thresholds_are_for_has_norm_one(variant):
    _, outputs, _ = embedded(variant)
    if variant == "cnn":
        return
    size = 3 * SIZE if variant == "s_dml" else SIZE
    norm_BN = outputs.embedding_BD.unflatten(1, (-1, size)).norm(dim=2)
    torch.testing.assert_close(norm_BN, torch.ones_like(norm_BN), rtol=0, atol=1e-6)


def test_shapes_that_are_shared_start_from_the_same_weights():
    states = {
        variant: build_network(built(variant), "resnet18", 24, Counts(NUM_LABELS), seed=1).head.state_dict()
        for variant in VARIANTS
    }
    other = build_network(built("mul_dml"), "resnet18", 24, Counts(NUM_LABELS), seed=2).head.state_dict()
    assert not torch.equal(states["mul_dml"]["slices.weight"], other["slices.weight"])

    def same(reference, others, name):
        return all(torch.equal(states[variant][name], states[reference][name]) for variant in others)

    assert same("mul_dml", ("s_dml", "mul_dml_same", *MULTASK), "slices.weight")
    assert same("mul_dml", ("s_dml", "mul_dml_same"), "classifier.weight")
    assert same("s_dual_triplet", ONE_SLICE, "slices.weight")
    assert same("s_dual_triplet", ONE_SLICE, "classifier.weight")
    assert all(same(MULTASK[0], MULTASK, name) for name in states[MULTASK[0]])
    # the one slice is the first of the many
    assert torch.equal(states["s_dual_triplet"]["slices.weight"], states["mul_dml"]["slices.weight"][:SIZE])


def test_the_variant_cnn_is_the_method_cnn():
    networks = [
        build_network(method, "resnet18", 24, Counts(NUM_LABELS), seed=1)
        for method in (MulDml(MulDml.Options(variant="cnn")), Cnn(Cnn.Options()))
    ]
    states = [network.state_dict() for network in networks]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert networks[0].head.dropout.p == networks[1].head.dropout.p == 0.5


@variants
def test_dropout_reaches_the_classifier_alone(variant):
    head, features_BF = built(variant, dropout=0.9).head(16, Counts(NUM_LABELS)).train(), torch.randn(6, 16)
    first, second = head(features_BF), head(features_BF)
    assert torch.equal(first.embedding_BD, second.embedding_BD)
    name = "slice_logits"
    one, other = (part.more.get(name, part.logits_BC) for part in (first, second))
    assert not torch.equal(one, other)


def majority_by_hand(logits_NC):
    """The class with the most votes, and of several the one with the highest summed probability."""
    probabilities = [[math.exp(value) / sum(map(math.exp, row)) for value in row] for row in logits_NC]
    votes = [max(range(len(row)), key=row.__getitem__) for row in probabilities]
    count = [votes.count(label) for label in range(len(probabilities[0]))]
    summed = [sum(row[label] for row in probabilities) for label in range(len(count))]
    share = [(own + total / len(votes)) / (len(votes) + 1) for own, total in zip(count, summed, strict=True)]
    most = max(count)
    tied = [label for label, own in enumerate(count) if own == most]
    return max(tied, key=summed.__getitem__), share, len(tied)


@pytest.mark.parametrize(("num_slices", "num_labels", "scale"), [(7, 7, 1), (4, 3, 5), (6, 2, 0.1), (1, 3, 1)])
def test_the_vote_is_the_majority_with_ties_by_probability(num_slices, num_labels, scale):
    generator = torch.Generator().manual_seed(num_slices)
    logits_BNC = torch.randn(300, num_slices, num_labels, generator=generator) * scale
    vote_BC = voted(logits_BNC)
    num_ties = 0
    for row, vote in zip(logits_BNC.tolist(), vote_BC, strict=True):
        winner, share, num_tied = majority_by_hand(row)
        assert vote.argmax().item() == winner
        torch.testing.assert_close(vote.softmax(dim=0), torch.tensor(share), rtol=0, atol=1e-6)
        num_ties += num_tied > 1
    assert num_ties > 20 or num_slices == 1


def test_a_majority_stands_against_any_probability():
    sure, unsure = [50.0, 0.0, 0.0], [0.0, 1e-3, 0.0]
    assert voted(torch.tensor([[sure, sure, sure, unsure, unsure, unsure, unsure]])).argmax() == 1
    assert voted(torch.tensor([[sure, sure, sure, unsure, unsure, unsure]])).argmax() == 0


def test_a_vote_is_finite_and_has_no_gradient():
    logits_BNC = torch.tensor([[[1e4, 0.0, -1e4]] * 3]).requires_grad_()
    vote_BC = voted(logits_BNC)
    assert vote_BC.isfinite().all()
    assert not vote_BC.requires_grad
    torch.testing.assert_close(vote_BC.softmax(dim=1), torch.tensor([[1.0, 0.0, 0.0]]))
    assert voted(logits_BNC.bfloat16()).dtype == torch.float32


@variants
def test_one_threshold_is_given_as_such(variant):
    if VARIANTS[variant].thresholds == "each":
        assert built(variant, thresholds=(0.3,)).options.slices == (1, SIZE)
        return
    with pytest.raises(ValidationError, match="single_threshold"):
        built(variant, thresholds=(0.3,))


def test_the_single_threshold_is_checked():
    with pytest.raises(ValidationError, match="single_threshold"):
        MulDml.Options(single_threshold=2.0)
    with pytest.raises(ValidationError, match="variant"):
        MulDml.Options(variant="mul-dml")


def small_plan(faces, variant, **plan):
    options = {"variant": variant, "thresholds": [0.2, 0.5], "slice_size": 8}
    return plan_of(faces, "mul_dml", method_options=options, epochs=2, backbone="fmpnet", **plan)


def trained(faces, variant):
    return train(small_plan(faces, variant), World(), MemoryStore(), silent)


@variants
def test_each_variant_trains(faces_path, variant):  # noqa: F811
    made = trained(faces_path, variant)
    assert made.history[-1]["loss"] < made.history[0]["loss"]
    assert 0 <= made.history[-1]["accuracy"] <= 1
    assert all(value.isfinite().all() for value in made.state.values())
    names = {name.split(".")[1] for name in made.state if name.startswith("head.")}
    slices = set() if variant == "cnn" else {"slices"}
    assert names == slices | {"classifiers" if variant in MULTASK else "classifier"}


@pytest.mark.parametrize("variant", ["mul_dml_multask", "hist"])
def test_a_run_that_is_stopped_ends_with_the_same_bits(faces_path, variant):  # noqa: F811
    whole = trained(faces_path, variant)
    again, store = train_with_stops(small_plan(faces_path, variant, checkpoint_steps=1))
    assert store.num_saves == 3
    assert again.history == whole.history
    assert all(torch.equal(again.state[name], value) for name, value in whole.state.items())
