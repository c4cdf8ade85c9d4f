import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_fixtures import (  # noqa: F401
    MemoryStore,
    TinyBackbone,
    finished,
    one_thread,
    plan_of,
    posed_rows,
    silent,
    train_with_stops,
)
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import interpolate

from fer_core import backbones, runs
from fer_core.backbones.weights import CHANNELS
from fer_core.methods import Outputs, Recipe
from fer_core.methods.dml_net import DmlNet
from fer_core.methods.face_channels import FaceChannels
from fer_core.shards import write_picture_shard
from fer_core.targets import Counts, Targets
from fer_core.training import build_network, keeping, train
from fer_core.world import World

COUNTS = Counts(labels=3, expressions=3, poses=2, identities=4)
SMALL = {"fused_size": 16, "embedding_size": 8, "branch_size": 16}
VARIANTS = ("resnet50", "mfe", "mfe_hpe", "mfe_hpe_jefl", "mfe_hpe_jefl_adw")
TERMS = {
    "resnet50": ["expression"],
    "mfe": ["expression"],
    "mfe_hpe": ["expression", "pose"],
    "mfe_hpe_jefl": ["expression", "pose", "triplet"],
    "mfe_hpe_jefl_adw": ["expression", "pose", "triplet"],
}


def method_of(**options):
    return DmlNet(DmlNet.Options(**{**SMALL, **options}))


def batch(seed=0, num_samples=15, poses=True):
    generator = torch.Generator().manual_seed(seed)
    columns = [torch.randint(levels, (num_samples,), generator=generator) for levels in (3, 2, 4)]
    emb_BD, logits_BC, pose_logits_BP = (torch.randn(num_samples, size, generator=generator) for size in (8, 3, 2))
    outputs = Outputs(emb_BD, logits_BC, pose_logits_BP if poses else None)
    return outputs, Targets(columns[0], *columns)


def cross_entropy_by_hand(logits, labels):
    total, known = 0.0, [(row, own) for row, own in zip(logits.tolist(), labels.tolist(), strict=True) if own >= 0]
    for row, own in known:
        total += math.log(sum(math.exp(value) for value in row)) - row[own]
    return total / max(1, len(known))


def triplets_by_hand(emb, expression, aspect, margin, hinge, known):
    total = 0.0
    for a in range(len(emb)):
        to = {b: sum((x - y) ** 2 for x, y in zip(emb[a], emb[b], strict=True)) for b in range(len(emb)) if known[b]}
        if not known[a]:
            continue
        positives = [to[b] for b in to if expression[b] == expression[a] and aspect[b] != aspect[a]]
        negatives = [to[b] for b in to if expression[b] != expression[a] and aspect[b] == aspect[a]]
        if positives and negatives:
            value = margin + max(positives) - min(negatives)
            total += max(0.0, value) if hinge else value
    return total


def losses_by_hand(outputs, targets, options):
    columns = (targets.expression_B, targets.pose_B, targets.identity_B)
    expression, pose, identity = (column.tolist() for column in columns)
    known = [min(of_all) >= 0 for of_all in zip(expression, pose, identity, strict=True)]
    emb = outputs.embedding_BD.double().tolist()
    of_pose, of_identity = (
        triplets_by_hand(emb, expression, aspect, margin, options.hinge, known)
        for aspect, margin in ((pose, options.pose_margin), (identity, options.identity_margin))
    )
    triplet = {"none": 0, "pose": of_pose, "identity": of_identity, "both": of_pose + of_identity}[options.triplets]
    triplet *= options.triplet_scale
    logits, pose_logits = outputs.logits_BC, outputs.pose_logits_BP
    of_branch = None if pose_logits is None else cross_entropy_by_hand(pose_logits, targets.pose_B)
    return {"expression": cross_entropy_by_hand(logits, targets.label_B), "pose": of_branch, "triplet": triplet}


def values_of(terms):
    return {name: term.item() for name, term in terms.items()}


@pytest.mark.parametrize("variant", VARIANTS[:-1])
@pytest.mark.parametrize("hinge", [True, False])
def test_terms_are_those_of_the_variant_with_equal_weights(variant, hinge):
    method = method_of(variant=variant, pose_margin=0.3, identity_margin=5.0, hinge=hinge)
    outputs, targets = batch(poses="hpe" in variant)
    by_hand = losses_by_hand(outputs, targets, method.options)
    terms = values_of(method.objective(COUNTS)(outputs, targets, 0.5))
    assert list(terms) == TERMS[variant]
    assert terms == pytest.approx({name: by_hand[name] for name in terms}, rel=1e-5)


@pytest.mark.parametrize("triplets", ["pose", "identity", "both", "none"])
def test_triplets_are_those_that_are_asked_for(triplets):
    method = method_of(variant="mfe_hpe_jefl", triplets=triplets)
    outputs, targets = batch(1)
    terms = values_of(method.objective(COUNTS)(outputs, targets, 0.5))
    by_hand = losses_by_hand(outputs, targets, method.options)
    assert list(terms) == ["expression", "pose", *(["triplet"] if triplets != "none" else [])]
    assert terms == pytest.approx({name: by_hand[name] for name in terms}, rel=1e-5)
    assert min(terms.values()) > 0.1


@pytest.mark.parametrize("triplets", ["both", "none"])
def test_dynamic_weights_follow_the_means_of_five_steps(triplets):
    method = method_of(triplets=triplets)
    objective = method.objective(COUNTS).train()
    names = ["expression", "pose", *(["triplet"] if triplets == "both" else [])]
    losses, weights = [], []
    for step in range(12):
        outputs, targets = batch(step)
        losses.append([losses_by_hand(outputs, targets, method.options)[name] for name in names])
        terms = values_of(objective(outputs, targets, 0.5))
        assert list(terms) == names
        weights.append([terms[name] / loss for name, loss in zip(names, losses[-1], strict=True)])
        assert values_of(objective.trace) == pytest.approx(
            {f"loss_{name}": loss for name, loss in zip(names, losses[-1], strict=True)}
            | {f"weight_{name}": weight for name, weight in zip(names, weights[-1], strict=True)},
            rel=1e-4,
        )
        assert not any(value.requires_grad for value in objective.trace.values())
    np.testing.assert_allclose(weights[:10], 2 / len(names), rtol=1e-4)
    before, after = (np.mean(losses[start : start + 5], axis=0) for start in (0, 5))
    powers = np.exp(after / before / 2)
    np.testing.assert_allclose(weights[10:], np.tile(2 * powers / powers.sum(), (2, 1)), rtol=1e-4)
    assert np.ptp(weights[10]) > 0.01


def test_dynamic_weights_stand_still_while_validating():
    objective = method_of().objective(COUNTS)
    outputs, targets = batch()
    with torch.no_grad():
        for _ in range(11):
            objective.train()(outputs, targets, 0.5)
        before = {name: value.clone() for name, value in objective.state_dict().items()}
        for _ in range(11):
            objective.eval()(*batch(3), 0.5)
    after = objective.state_dict()
    assert before
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("unknown", ["pose", "identity"])
def test_a_sample_of_which_something_is_not_known_is_in_no_triplet(unknown):
    method = method_of(variant="mfe_hpe_jefl")
    outputs, targets = batch(2)
    column = f"{unknown}_B"
    targets = replace(targets, **{column: torch.where(torch.arange(15) % 3 == 0, -1, getattr(targets, column))})
    by_hand = losses_by_hand(outputs, targets, method.options)
    terms = values_of(method.objective(COUNTS)(outputs, targets, 0.5))
    assert terms == pytest.approx(by_hand, rel=1e-5)
    nothing = replace(targets, **{column: torch.full((15,), -1)})
    terms = method.objective(COUNTS)(outputs.mapped(lambda part: part.requires_grad_()), nothing, 0.5)
    assert terms["triplet"].item() == 0
    if unknown == "pose":
        assert terms["pose"].item() == 0
    sum(terms.values()).backward()
    assert terms["expression"].item() == pytest.approx(by_hand["expression"], rel=1e-5)
    assert torch.isfinite(outputs.embedding_BD.grad).all()


class Whole(nn.Module):
    """Features -> head, without a backbone."""

    def __init__(self, method):
        super().__init__()
        torch.manual_seed(0)
        self.head = method.head(16, COUNTS)

    def forward(self, features_BF):
        return self.head(features_BF)


def gradients(variant, progress):
    method = method_of(variant=variant, phase_one=0.25)
    model = Whole(method)
    _, targets = batch()
    outputs = model(torch.randn(15, 16, generator=torch.Generator().manual_seed(1)))
    sum(method.objective(COUNTS)(outputs, targets, progress).values()).backward()
    return {name: value.grad for name, value in model.named_parameters()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_learns_in_phase_two(variant):
    made = gradients(variant, 0.25)
    assert made
    assert all(gradient.abs().max() > 0 for gradient in made.values())


@pytest.mark.parametrize("variant", ["mfe_hpe", "mfe_hpe_jefl", "mfe_hpe_jefl_adw"])
def test_the_pose_branch_is_frozen_in_phase_one(variant):
    made = gradients(variant, 0.2499)
    of_pose = {name for name in made if name.startswith("head.pose.")}
    assert len(of_pose) == 4
    assert all((made[name] == 0).all() for name in of_pose)
    assert all(made[name].abs().max() > 0 for name in made.keys() - of_pose)


def test_triplets_count_from_their_share_of_the_steps_on_and_are_traced_before():
    objective = method_of(variant="mfe_hpe_jefl", triplets_from=0.3).objective(COUNTS)
    early, trace = objective(*batch(), 0.2999), objective.trace
    late = objective(*batch(), 0.3)
    assert early["triplet"].item() == 0 < late["triplet"].item()
    assert trace["loss_triplet"].item() == late["triplet"].item()
    # the weight that is traced is that of eq. 8, before the triplets begin too
    assert (trace["weight_triplet"].item(), objective.trace["weight_triplet"].item()) == (1, 1)


@pytest.mark.parametrize("unit_norm", [True, False])
def test_embeddings_are_of_unit_length_and_branches_see_them_before(unit_norm):
    torch.manual_seed(0)
    head, features_BF = method_of(unit_norm=unit_norm).head(16, COUNTS), 5 * torch.randn(6, 16)
    with torch.no_grad():
        outputs = head(features_BF)
        emb_BD = features_BF @ head.embedding.weight.T
        expected = emb_BD / emb_BD.norm(dim=1, keepdim=True) if unit_norm else emb_BD
        torch.testing.assert_close(outputs.embedding_BD, expected, rtol=0, atol=1e-6)
        for branch, logits in ((head.expression, outputs.logits_BC), (head.pose, outputs.pose_logits_BP)):
            features = (emb_BD @ branch[0].weight.T).clamp(min=0)
            torch.testing.assert_close(logits, features @ branch[2].weight.T, rtol=0, atol=1e-6)
    plain = method_of(variant="mfe_hpe").head(16, COUNTS)(features_BF).embedding_BD
    assert plain is features_BF


def test_initial_weights_are_the_printed_ones():
    method = DmlNet(DmlNet.Options())
    network = build_network(method, "tiny", 24, Counts(7, 7, 5, 20), seed=0)
    linear = {name: part for name, part in network.named_modules() if isinstance(part, nn.Linear)}
    assert set(linear) == {
        *("backbone.local", "backbone.fused", "head.embedding"),
        *("head.expression.0", "head.expression.2", "head.pose.0", "head.pose.2"),
    }
    for name, layer in linear.items():
        deviation = 1 / 512 if name.endswith(".2") else 0.04
        weights = layer.weight.detach()
        assert weights.std().item() == pytest.approx(deviation, rel=5 / math.sqrt(2 * weights.numel())), name
        assert abs(weights.mean().item()) < 5 * deviation / math.sqrt(weights.numel()), name
        assert (layer.bias == 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_are_those_of_the_variant(variant):
    method = method_of(variant=variant)
    network = build_network(method, "tiny", 24, COUNTS, seed=0).eval()
    outputs = network(torch.zeros(2, 24, 24, 3, dtype=torch.uint8))
    size = {"resnet50": 8, "mfe": 16, "mfe_hpe": 16}.get(variant, 8)
    assert (outputs.embedding_BD.shape, outputs.logits_BC.shape) == ((2, size), (2, 3))
    assert getattr(outputs.pose_logits_BP, "shape", None) == ((2, 2) if "hpe" in variant else None)
    channels = [network.backbone.face, network.backbone.eyes, network.backbone.mouth] if variant != "resnet50" else []
    first = [channel.conv.weight for channel in channels]
    assert len(channels) in (0, 3)
    assert not any(torch.equal(one, other) for one, other in zip(first, first[1:] + first[:1], strict=True))


@pytest.fixture(scope="module", autouse=True)
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.REGISTRY, "tiny", TinyBackbone)
        yield


class Mean(nn.Module):
    """The mean of each colour."""

    num_features = 3

    def forward(self, x):
        assert x.shape[2] == x.shape[3]
        return x.mean(dim=(2, 3))


def test_channels_are_fused_as_printed():
    torch.manual_seed(0)
    body = FaceChannels(Mean, eyes_top=1 / 6, num_features=6, deviation=0.5)
    x = torch.randn(2, 3, 12, 12)
    eyes, mouth = (interpolate(x[:, :, at : at + 4], size=(12, 12), mode="bilinear") for at in (2, 8))
    with torch.no_grad():
        local = (torch.cat([eyes.mean((2, 3)), mouth.mean((2, 3))], 1) @ body.local.weight.T).clamp(min=0)
        fused = (torch.cat([x.mean((2, 3)), local], 1) @ body.fused.weight.T).clamp(min=0)
        torch.testing.assert_close(body(x), fused, rtol=0, atol=1e-6)
    assert fused.max() > 0


def start_of(variant, seed, weights=None):
    network = build_network(method_of(variant=variant), "tiny", 44, COUNTS, seed, weights)
    return {name: value for name, value in network.state_dict().items() if "num_batches" not in name}


def of(state, prefix):
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def is_same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_network_of_three_channels_lends_another_its_face(tmp_path):
    lent = start_of("mfe_hpe_jefl_adw", 1)
    save_file(lent, tmp_path / "network.safetensors")
    begun = start_of("resnet50", 2, tmp_path / "network.safetensors")
    assert is_same(of(begun, "backbone."), of(lent, "backbone.face."))
    assert not is_same(of(begun, "backbone."), of(lent, "backbone.eyes."))


def test_a_network_of_three_channels_lends_another_of_three_each_to_its_own(tmp_path):
    lent = start_of("mfe_hpe_jefl_adw", 1)
    save_file(lent, tmp_path / "network.safetensors")
    begun = start_of("mfe", 2, tmp_path / "network.safetensors")
    for channel in CHANNELS:
        assert is_same(of(begun, f"backbone.{channel}."), of(lent, f"backbone.{channel}."))
    assert not torch.equal(begun["backbone.local.weight"], lent["backbone.local.weight"])


@pytest.mark.parametrize("is_run", [True, False])
def test_one_backbone_starts_all_three_channels(tmp_path, is_run):
    lent = start_of("resnet50", 1)
    save_file(lent if is_run else of(lent, "backbone."), tmp_path / "one.safetensors")
    begun = start_of("mfe", 2, tmp_path / "one.safetensors")
    for channel in CHANNELS:
        assert is_same(of(begun, f"backbone.{channel}."), of(lent, "backbone."))


@pytest.mark.parametrize(("side", "top", "rows"), [(44, 0.0, (0, 15)), (44, 1 / 6, (7, 22)), (224, 2 / 3, (149, 224))])
def test_strips_are_a_third_of_the_patch(side, top, rows):
    body = FaceChannels(Mean, eyes_top=top, num_features=2, deviation=1.0)
    x = torch.arange(side).float().view(1, 1, side, 1).expand(1, 3, side, side)
    eyes, mouth = body.strips(x)
    assert eyes.shape == mouth.shape == x.shape
    assert (eyes.min().item(), eyes.max().item()) == (rows[0], rows[1] - 1)
    assert (mouth.min().item(), mouth.max().item()) == (side - round(side / 3), side - 1)


def test_defaults_are_the_printed_ones():
    assert (DmlNet.paper.epochs, DmlNet.paper.batch_size, DmlNet.paper.lr) == (500, 15, 0.01)
    assert (DmlNet.paper.lr_decay, DmlNet.paper.averaging, DmlNet.backbone) == (0.8, 0.9999, "resnet50")
    assert DmlNet.paper.weight_decay == DmlNet.from_scratch.weight_decay == 0  # it would move the frozen branch
    objective = method_of().objective(COUNTS)
    assert (objective.dynamic.total, objective.dynamic.temperature, objective.dynamic.window) == (2, 2, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"variant": "mfe_jefl"},
        {"triplets": "all"},
        {"pose_margin": 0},
        {"phase_one": 1},
        {"triplets_from": 1},
        {"eyes_top": 0.7},
    ],
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        method_of(**wrong)


@pytest.fixture(scope="module")
def posed_path(tmp_path_factory):
    """model_fixtures' faces, each person's first take of an expression frontal and the second turned."""
    root = tmp_path_factory.mktemp("dml_net")
    return finished(root, "faces", lambda path: write_picture_shard(path, "part-00000.parquet", posed_rows())).path


def plan_at(posed_path, epochs=2, batch_size=5, **options):
    plan = plan_of(posed_path, "cnn", epochs=epochs, batch_size=batch_size)
    recipe = Recipe(epochs, batch_size, lr=1e-3, one_cycle=True, averaging=0.99)
    return replace(plan, backbone="tiny", method="dml_net", method_options={**SMALL, **options}, recipe=recipe)


@pytest.fixture(scope="module")
def uninterrupted(posed_path):
    plan = replace(plan_at(posed_path), checkpoint_steps=4)
    return plan, train(plan, World(), MemoryStore(), silent)


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(uninterrupted):
    plan, trained = uninterrupted
    again, store = train_with_stops(plan)
    assert store.num_saves > 2
    assert (again.history, again.steps) == (trained.history, trained.steps)
    assert all(torch.equal(value, trained.state[name]) for name, value in again.state.items())


def test_the_first_steps_are_traced(tmp_path, monkeypatch, uninterrupted):
    plan, trained = uninterrupted
    num_steps = trained.history[-1]["step"]
    names = [f"{kind}_{name}" for kind in ("loss", "weight") for name in TERMS["mfe_hpe_jefl_adw"]]
    assert (list(trained.steps), {len(of_all) for of_all in trained.steps.values()}) == (names, {num_steps})
    assert num_steps > 10
    assert np.ptp([trained.steps[name][-1] for name in names[3:]]) > 1e-4  # the weights have moved
    runs.save_run(tmp_path, plan, trained)
    assert runs.read_description(tmp_path).steps == trained.steps
    monkeypatch.setattr(keeping, "MOST_STEPS", 3)
    cut = train(plan, World(), MemoryStore(), silent)
    assert cut.steps == {name: of_all[:3] for name, of_all in trained.steps.items()}


def test_a_run_of_phase_one_leaves_the_pose_branch_as_it_was_drawn(posed_path):
    plan = plan_at(posed_path, epochs=1, phase_one=0.99)
    trained = train(plan, World(), MemoryStore(), silent)
    drawn = build_network(plan.build_method(), plan.backbone, plan.patch, trained.counts, plan.seed).state_dict()
    changed = {name for name in drawn if not torch.equal(drawn[name], trained.state[name])}
    assert not any(name.startswith("head.pose") for name in changed)
    assert {"head.expression.2.weight", "head.embedding.weight", "backbone.local.weight"} <= changed


def test_no_picture_is_mirrored_as_poses_tell_left_from_right(posed_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "fer_core.inputs.PatchInputs.drawn",
        lambda inputs, rows, views: seen.extend(views.tolist()) or inputs.plain(rows),
    )
    train(plan_at(posed_path, epochs=1, variant="resnet50"), World(), MemoryStore(), silent)
    assert len(set(seen)) > 2
    assert all(view % 2 == 0 for view in seen)
