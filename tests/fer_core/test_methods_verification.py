import io
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from model_fixtures import MemoryStore, Stopped, faces_path, one_thread, plan_of, silent  # noqa: F401
from pydantic import ValidationError

from fer_core.errors import InputError
from fer_core.losses.arcface import arcface_loss, centroid_arcface_loss
from fer_core.losses.geometry import fbv_loss
from fer_core.methods.base import Outputs
from fer_core.methods.verification import Composer, Verification
from fer_core.reading import read_faces
from fer_core.targets import UNKNOWN, Counts, Targets, TrainingRows
from fer_core.training import build_network, build_objective, train
from fer_core.world import World

TERMS = ("pdm", "pdp", "fbv", "ce", "mtl")
IDENTITY = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 1]
EXPRESSION = [0, 0, 1, 2, 0, 1, 1, 1, 0, 2, UNKNOWN, UNKNOWN]
COUNTS = Counts(3, 3, 0, 3)


def built(**options):
    return Verification(Verification.Options(**options))


def batch(num_dims=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    emb_BD = torch.randn(len(IDENTITY), num_dims, generator=generator).double()
    identity_B, expression_B = torch.tensor(IDENTITY), torch.tensor(EXPRESSION)
    return emb_BD, Targets(identity_B, expression_B, torch.full_like(identity_B, UNKNOWN), identity_B)


def objective_of(**options):
    return build_objective(built(embedding_size=4, **options), COUNTS, seed=1).double()


def terms_of(objective, emb_BD, targets, **more):
    return {name: term.item() for name, term in objective(Outputs(emb_BD, more=more), targets, 0.0).items()}


def sq(first, second):
    return float(((first - second) ** 2).sum())


def same_person():
    """Pairs of rows of one person, of known expressions."""
    pairs = combinations(range(len(IDENTITY)), 2)
    return [(a, b) for a, b in pairs if IDENTITY[a] == IDENTITY[b] and UNKNOWN not in (EXPRESSION[a], EXPRESSION[b])]


def test_the_origin_of_fbv_is_the_neutral_expression_else_the_first():
    embedded = {}
    for neutral in (UNKNOWN, 0, 2):
        objective = build_objective(
            built(embedding_size=4, base="none", fbv=1.0), replace(COUNTS, neutral=neutral), seed=1
        )
        emb_BD, targets = batch()
        embedded[neutral] = terms_of(objective, emb_BD, targets)["fbv"]
        expected = fbv_loss(emb_BD, targets.identity_B, targets.expression_B, max(neutral, 0)).item()
        assert embedded[neutral] == pytest.approx(expected)
    assert embedded[UNKNOWN] == embedded[0] != embedded[2]


def triplet_by_hand(emb, margin):
    hinges = []
    for anchor, positive, negative in permutations(range(len(emb)), 3):
        if IDENTITY[anchor] == IDENTITY[positive] != IDENTITY[negative]:
            hinges.append(max(0, sq(emb[anchor], emb[positive]) - sq(emb[anchor], emb[negative]) + margin))
    return np.mean(hinges)


def pdm_by_hand(emb):
    return np.mean([sq(emb[a], emb[b]) for a, b in same_person() if EXPRESSION[a] == EXPRESSION[b]])


def pdp_by_hand(emb):
    ordered = [pair for a, b in same_person() for pair in ((a, b), (b, a)) if EXPRESSION[a] != EXPRESSION[b]]
    shown = [(IDENTITY[a], (EXPRESSION[a], EXPRESSION[b]), sq(emb[a], emb[b])) for a, b in ordered]
    both = permutations(shown, 2)
    return np.mean([(one[2] - two[2]) ** 2 for one, two in both if one[0] != two[0] and one[1] == two[1]])


def fbv_by_hand(emb):
    vector = np.vstack([np.zeros(4), np.eye(4)])
    pairs = [(a, b) for a, b in same_person() if EXPRESSION[a] != EXPRESSION[b]]
    return np.mean([sq(emb[b] - emb[a], vector[EXPRESSION[b]] - vector[EXPRESSION[a]]) for a, b in pairs])


def ce_by_hand(emb, composer):
    layers = [layer for layer in composer.layers if isinstance(layer, torch.nn.Linear)]
    weights = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers]
    assert [weight.shape[0] for weight, _ in weights] == [100, 100, 4]

    def composed(a, b):
        value = np.concatenate([emb[a], np.eye(3)[EXPRESSION[a]], np.eye(3)[EXPRESSION[b]]])
        for weight, bias in weights[:-1]:
            value = np.maximum(weight @ value + bias, 0)
        return weights[-1][0] @ value + weights[-1][1]

    pairs = [pair for a, b in same_person() for pair in ((a, b), (b, a)) if EXPRESSION[a] != EXPRESSION[b]]
    return np.mean([sq(composed(a, b), emb[b]) for a, b in pairs])


def mtl_by_hand(logits):
    own = [(row, label) for row, label in zip(logits, EXPRESSION, strict=True) if label != UNKNOWN]
    return np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in own])


def by_hand(name, emb, objective, logits):
    return {
        "pdm": lambda: pdm_by_hand(emb),
        "pdp": lambda: pdp_by_hand(emb),
        "fbv": lambda: fbv_by_hand(emb),
        "ce": lambda: ce_by_hand(emb, objective.composer),
        "mtl": lambda: mtl_by_hand(logits),
    }[name]()


@pytest.mark.parametrize("name", TERMS)
def test_each_term_is_its_formula_times_its_weight(name):
    emb_BD, targets = batch()
    logits_BE = batch(3, seed=5)[0]
    objective = objective_of(margin=0.3, **{name: 0.7})
    terms = terms_of(objective, emb_BD, targets, expression_logits=logits_BE)
    assert list(terms) == ["triplet", name]
    assert terms["triplet"] == pytest.approx(triplet_by_hand(emb_BD.numpy(), 0.3), rel=1e-9)
    expected = by_hand(name, emb_BD.numpy(), objective, logits_BE.numpy())
    assert terms[name] == pytest.approx(0.7 * expected, rel=1e-9)
    alone = terms_of(objective_of(base="none", **{name: 0.7}), emb_BD, targets, expression_logits=logits_BE)
    assert list(alone) == [name]


def test_arcface_has_learnt_centres_and_by_centroids_none():
    emb_BD, targets = batch()
    objective = objective_of(base="arcface", angular_margin=0.4, scale=8)
    assert objective.centers_ID.shape == (3, 4)
    expected = arcface_loss(emb_BD, targets.identity_B, objective.centers_ID, 0.4, 8).item()
    assert terms_of(objective, emb_BD, targets) == {"arcface": expected}
    objective = objective_of(base="arcface_centroid", angular_margin=0.4)
    assert not list(objective.parameters())
    expected = centroid_arcface_loss(emb_BD, targets.identity_B, 0.4).item()
    assert terms_of(objective, emb_BD, targets) == {"arcface": expected}


def test_terms_that_are_put_together_are_those_alone():
    emb_BD, targets = batch()
    logits_BE = batch(3, seed=5)[0]
    weights = dict(zip(TERMS, (0.1, 0.2, 0.3, 0.4, 0.5), strict=True))
    objective = objective_of(base="arcface", **weights)
    terms = terms_of(objective, emb_BD, targets, expression_logits=logits_BE)
    assert list(terms) == ["arcface", *TERMS]
    for name, weight in weights.items():
        assert terms[name] == pytest.approx(weight * by_hand(name, emb_BD.numpy(), objective, logits_BE.numpy()))
    plain = objective_of(base="arcface")
    assert torch.equal(plain.centers_ID, objective.centers_ID)


def test_unknown_expressions_teach_identities_alone():
    emb_BD, targets = batch()
    emb_BD.requires_grad_()
    unknown_B = torch.full_like(targets.expression_B, UNKNOWN)
    nothing = replace(targets, expression_B=unknown_B)
    logits_BE = torch.randn(len(IDENTITY), 3, requires_grad=True)
    objective = objective_of(base="triplet", **dict.fromkeys(TERMS, 1.0))
    terms = objective(Outputs(emb_BD, more={"expression_logits": logits_BE}), nothing, 0.0)
    assert {name: term.item() for name, term in terms.items() if name != "triplet"} == dict.fromkeys(TERMS, 0.0)
    assert terms["triplet"].item() > 0
    sum(terms.values()).backward()
    assert emb_BD.grad.abs().sum() > 0
    assert all(not part.grad.any() for part in (logits_BE, *objective.parameters()))


def test_the_embedding_has_unit_norm_except_with_fbv():
    features_BF = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    for options, has_unit_norm in (({}, True), ({"pdp": 1}, True), ({"base": "arcface"}, True), ({"fbv": 1}, False)):
        torch.manual_seed(0)
        head = built(**options).head(16, COUNTS)
        emb_BD = head(features_BF).embedding_BD
        assert emb_BD.shape == (5, 100)
        plain_BD = head.embedding(features_BF)
        expected = plain_BD / plain_BD.norm(dim=1, keepdim=True) if has_unit_norm else plain_BD
        torch.testing.assert_close(emb_BD, expected)


def test_the_expression_classifier_sees_the_embedding():
    torch.manual_seed(0)
    head = built(mtl=1, embedding_size=8).head(16, COUNTS)
    outputs = head(torch.randn(5, 16))
    assert outputs.logits_BC is None
    expected = outputs.embedding_BD @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(outputs.more["expression_logits"], expected)
    assert not built(embedding_size=8).head(16, COUNTS)(torch.randn(5, 16)).more


def test_what_is_compared_starts_from_the_same_network():
    compared = [{}, {"base": "arcface"}, {"mtl": 1, "ce": 1}, {"fbv": 1, "base": "none"}]
    states = [build_network(built(**options), "resnet18", 24, COUNTS, seed=1).state_dict() for options in compared]
    for state in states[1:]:
        assert all(torch.equal(state[name], value) for name, value in states[0].items())


def test_the_composer_takes_no_pair():
    assert Composer(4, 3)(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long()).shape == (0, 4)


def test_it_decides_by_distance():
    assert (Verification.label, Verification.decides_by, Verification.protocol) == ("identity", "distance", "pairs")
    emb_BD, targets = batch()
    assert built().predicted(Outputs(emb_BD), targets, COUNTS) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"base": "none"}, "give a weight to one of pdm, pdp, fbv, ce, mtl"),
        ({"base": "cosface"}, "base"),
        ({"pdm": -1}, "pdm"),
        ({"angular_margin": 3.2}, "angular_margin"),
        ({"images_per_identity": 1}, "images_per_identity"),
        ({"alpha": 0.2}, "alpha"),
    ],
)
def test_impossible_options_are_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        built(**wrong)


def rows(identity, expression, rotations=2):
    identity_N, expression_N = np.repeat(identity, rotations), np.repeat(expression, rotations)
    nothing_N = np.full(len(identity_N), UNKNOWN)
    sample_N = np.repeat(np.arange(len(identity)), rotations)
    return TrainingRows(identity_N, expression_N, nothing_N, identity_N, nothing_N.astype(float), sample_N)


ONE_FACE = rows([0, 0, 1, 1], [0, UNKNOWN, 0, UNKNOWN])
"""Everybody once neutral and once unknown."""
TWO_FACES = rows([0, 0, 1, 1], [0, 1, 0, 2])
"""Everybody with two expressions, nobody with the same two and none twice."""
SHARED_FACES = rows([0, 0, 1, 1], [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("term", "lacking", "enough"),
    [
        ("pdm", TWO_FACES, rows([0, 0, 1, 1], [0, 0, 1, 2])),
        ("pdp", TWO_FACES, SHARED_FACES),
        ("fbv", ONE_FACE, TWO_FACES),
        ("ce", ONE_FACE, TWO_FACES),
        ("mtl", ONE_FACE, rows([0, 0, 1, 1], [0, 0, 1, UNKNOWN])),
    ],
)
def test_a_term_without_a_pair_is_refused_before_training(term, lacking, enough):
    with pytest.raises(InputError, match=rf"--verification\.{term} needs .* leave it out"):
        built(**{term: 1}).sampler(lacking, 4, 0)
    assert built(**{term: 1}).sampler(enough, 4, 0).rows_per_batch == 4
    assert built().sampler(lacking, 4, 0).rows_per_batch == 4


def test_fbv_needs_a_dimension_for_each_expression_but_neutral():
    faces = rows([0] * 5 + [1] * 5, [0, 1, 2, 3, 4] * 2)
    assert built(fbv=1, embedding_size=4).sampler(faces, 8, 0).rows_per_batch == 8
    with pytest.raises(InputError, match="embedding-size 3 is less than the 4 basis vectors"):
        built(fbv=1, embedding_size=3).sampler(faces, 8, 0)


# -- training


def plan(faces, epochs=1, **options):
    method_options = {"embedding_size": 8, "scale": 16.0, **options}
    return replace(plan_of(faces, "sgm", epochs=epochs), method="verification", method_options=method_options)


@pytest.mark.parametrize(
    "options",
    [
        {"base": "arcface_centroid"},
        {"base": "triplet", **dict.fromkeys(TERMS, 1.0)},
        {"base": "none", "pdp": 1.0, "fbv": 1.0},
    ],
    ids=["arcface_centroid", "triplet and all terms", "pdp and fbv"],
)
def test_each_base_and_term_takes_real_steps(faces_path, options):  # noqa: F811
    trained = train(plan(faces_path, **options), World(), MemoryStore(), silent)
    (row,) = trained.history
    base = {"none": []}.get(options["base"], [options["base"].split("_")[0]])
    names = [*base, *(name for name in TERMS if name in options)]
    assert row["loss"] == pytest.approx(sum(row[name] for name in names), rel=1e-5)
    assert all(row[name] > 0 for name in names)
    assert trained.classes == ("S01", "S02", "S03", "S04")
    assert "accuracy" not in row


@pytest.mark.parametrize("base", ["triplet", "arcface"])
def test_people_are_told_apart_once_trained(faces_path, base):  # noqa: F811
    trained = train(plan(faces_path, epochs=5, base=base), World(), MemoryStore(), silent)
    assert trained.history[-1]["loss"] < 0.7 * trained.history[0]["loss"]


def test_a_run_that_is_stopped_ends_with_the_same_bits_of_network_and_centres(faces_path):  # noqa: F811
    chosen = plan(faces_path, base="arcface", ce=0.5, mtl=0.5, pdp=1.0, epochs=2)
    chosen = replace(chosen, checkpoint_steps=1)
    whole, stopped = MemoryStore(), MemoryStore(stops=True)
    expected = train(chosen, World(), whole, silent)
    while True:
        try:
            again = train(chosen, World(), stopped, silent)
            break
        except Stopped:
            pass
    assert stopped.num_saves == whole.num_saves == 3
    assert again.history == expected.history
    assert all(torch.equal(value, again.state[name]) for name, value in expected.state.items())
    kept, other = (torch.load(io.BytesIO(store.data), weights_only=True)["objective"] for store in (whole, stopped))
    assert {"centers_ID", "composer.layers.0.weight"} <= kept.keys()
    assert all(torch.equal(value, other[name]) for name, value in kept.items())
    method = chosen.build_method()
    fresh = build_objective(method, expected.counts, chosen.seed).state_dict()
    assert not any(torch.equal(value, fresh[name]) for name, value in kept.items())


def test_batches_of_real_rows_are_of_people_that_are_trained_on(faces_path):  # noqa: F811
    chosen = plan(faces_path)
    faces = read_faces(faces_path, chosen.part, chosen.seed, "identity")
    known = faces.training_rows(faces.rows_of("train", upright=False))
    sampler = chosen.build_method().sampler(known, 24, 0)
    for step in range(sampler.steps_per_epoch):
        batch_B = sampler.batch(0, step)
        assert set(known.identity_N[batch_B]) <= {0, 1, 2, 3}
        assert len(set(known.sample_N[batch_B].tolist())) == 24
