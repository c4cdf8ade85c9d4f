import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_fixtures import MemoryStore, faces_path, one_thread, plan_of, silent, train_with_stops  # noqa: F401
from pydantic import ValidationError

from fer_core.methods.base import Outputs, Recipe
from fer_core.methods.sgm import Sgm
from fer_core.methods.triplet import Triplet
from fer_core.sampling.triplets import RandomTripletSampler
from fer_core.targets import Counts, Targets, TrainingRows
from fer_core.training import build_network, train
from fer_core.world import World


def loss_of(emb_BD, margin=1.0):
    label_B = torch.zeros(len(emb_BD), dtype=torch.int64)
    targets = Targets(label_B, label_B, label_B, label_B)
    method = Triplet(Triplet.Options(margin=margin))
    terms = method.objective(Counts(3))(Outputs(emb_BD), targets, 0.0)
    assert list(terms) == ["triplet"]
    return terms["triplet"]


def by_hand(emb_BD, margin):
    rows = emb_BD.tolist()
    num_triplets, total = len(rows) // 3, 0.0
    for at in range(num_triplets):
        anchor, positive, negative = rows[at], rows[num_triplets + at], rows[2 * num_triplets + at]
        total += max(0.0, math.dist(anchor, positive) - math.dist(anchor, negative) + margin)
    return total / num_triplets


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_the_loss_is_the_mean_hinge_of_the_triplets(margin):
    emb_BD = torch.randn(21, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert loss_of(emb_BD, margin).item() == pytest.approx(by_hand(emb_BD, margin), abs=1e-12)
    emb_BD.requires_grad_()
    assert torch.autograd.gradcheck(lambda emb: loss_of(emb, margin), (emb_BD,))


def test_a_collapsed_batch_costs_the_margin_and_has_no_gradient():
    emb_BD = torch.ones(6, 4, requires_grad=True)
    loss = loss_of(emb_BD, 0.7)
    loss.backward()
    assert loss.item() == pytest.approx(0.7)
    assert torch.equal(emb_BD.grad, torch.zeros(6, 4))


@pytest.mark.parametrize("scale", [1e-6, 1e3])
def test_extreme_embeddings_and_autocast_have_finite_gradients(scale):
    emb_BD = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).mul(scale).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(emb_BD)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_hand(emb_BD, 1.0), rel=1e-5)
    assert emb_BD.grad.isfinite().all()


def test_an_embedding_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="embedding_BD holds NaN"):
        loss_of(torch.full((3, 2), torch.nan))


def test_network_and_decision_are_those_of_sgm():
    assert Triplet.decides_by == Sgm.decides_by == "neighbours"
    networks = [build_network(kind(kind.Options()), "resnet18", 24, Counts(3), seed=1) for kind in (Triplet, Sgm)]
    states = [network.state_dict() for network in networks]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert states[0]["head.embedding.weight"].shape == (64, 512)


def test_the_paper_draws_128_triplets():
    assert Recipe(epochs=500, batch_size=384, lr=1e-4) == Triplet.paper
    label_N = np.repeat([0, 1], 5)
    unknown = np.full(10, -1)
    rows = TrainingRows(label_N, label_N, unknown, unknown, np.full(10, np.nan), np.arange(10))
    sampler = Triplet(Triplet.Options()).sampler(rows, Triplet.paper.batch_size, seed=0)
    assert isinstance(sampler, RandomTripletSampler)
    assert sampler.num_triplets == 128


@pytest.mark.parametrize("wrong", [{"margin": 0}, {"embedding_size": 1}, {"sigma": 0.5}])
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Triplet.Options(**wrong)


def test_the_loss_falls_on_groups_that_a_linear_layer_can_part():
    generator = torch.Generator().manual_seed(0)
    label_N = np.arange(60) % 3
    features_NF = torch.randn(60, 16, generator=generator) + 2 * torch.randn(3, 16, generator=generator)[label_N]
    method = Triplet(Triplet.Options(embedding_size=4))
    sampler = RandomTripletSampler(label_N, np.arange(60), 48, seed=0)
    torch.manual_seed(0)
    head, objective = method.head(16, Counts(3)), method.objective(Counts(3))
    optimizer = torch.optim.Adam(head.parameters(), 0.02)
    losses = []
    for step in range(60):
        drawn = sampler.batch(0, step)
        label_B = torch.from_numpy(label_N[drawn])
        loss = objective(head(features_NF[drawn]), Targets(label_B, label_B, label_B, label_B), 0.0)["triplet"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.1 * np.mean(losses[:5])


def test_a_stopped_run_ends_with_the_same_bits(faces_path):  # noqa: F811
    plan = plan_of(faces_path, "cnn", batch_size=20, backbone="fmpnet", checkpoint_steps=4)
    plan = replace(plan, method="triplet", method_options={"embedding_size": 8})
    trained = train(plan, World(), MemoryStore(), silent)
    assert [row["step"] for row in trained.history] == [3, 6, 9]
    assert all(np.isfinite(row["loss"]) and "accuracy" not in row for row in trained.history)
    assert trained.state["head.embedding.weight"].shape[0] == 8
    again, store = train_with_stops(plan)
    assert store.num_saves == 4
    assert again.history == trained.history
    assert all(torch.equal(again.state[name], value) for name, value in trained.state.items())
