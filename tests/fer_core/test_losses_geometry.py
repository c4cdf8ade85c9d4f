import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from loss_checks import check_half_input
from torch import nn
from torch.autograd import gradcheck

from fer_core.losses import geometry, people
from fer_core.losses.compositional import ce_loss
from fer_core.losses.geometry import fbv_loss, pdm_loss, pdp_loss, squared_triplet_loss
from fer_core.losses.numerics import deferred_checks

BASIS = torch.tensor([[0.3, -1.0, 0.2, 0.5], [2.0, 0.0, 0.1, -0.4], [-0.7, 0.6, 0.0, 1.1], [0.0, 0.0, 0.9, 0.0]])


def g_plain(emb_ND, from_N, to_N):
    return emb_ND.roll(1, dims=1) * (1 + 0.1 * from_N[:, None]) - 0.5 * to_N[:, None]


LOSSES = {
    "triplet": lambda emb, identity, expression: squared_triplet_loss(emb, identity, 0.7),
    "pdm": pdm_loss,
    "pdp": pdp_loss,
    "fbv": lambda emb, identity, expression: fbv_loss(emb, identity, expression, 1),
    "fbv_basis": lambda emb, identity, expression: fbv_loss(emb, identity, expression, 1, BASIS),
    "ce": lambda emb, identity, expression: ce_loss(emb, identity, expression, g_plain, 3),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
expression_loss = pytest.mark.parametrize("name", [name for name in LOSSES if name != "triplet"])


def batch(seed, num_samples=12, num_people=3, num_expressions=3, dtype=torch.float64):
    """Random labels, an unknown expression now and then, and embeddings of 4 dimensions."""
    generator = torch.Generator().manual_seed(seed)
    emb_BD = torch.randn(num_samples, 4, generator=generator, dtype=dtype)
    identity_B = torch.randint(num_people, (num_samples,), generator=generator)
    return emb_BD, identity_B, torch.randint(-1, num_expressions, (num_samples,), generator=generator)


def planned_batch(dtype=torch.float64):
    """Three people with three expressions each, two images of each: every term has pairs."""
    emb_BD, _, _ = batch(11, num_samples=18, dtype=dtype)
    return emb_BD, torch.arange(18) // 6, torch.arange(18) % 3


def sq_distance(first, second):
    return sum((x - y) ** 2 for x, y in zip(first, second, strict=True))


def mean(terms):
    terms = list(terms)
    return sum(terms) / max(len(terms), 1)


def by_loops(name, emb_BD, identity_B, expression_B):
    """The terms as printed, one tuple of samples at a time, from plain lists: B^4 for PDP."""
    f, c, e = emb_BD.tolist(), identity_B.tolist(), expression_B.tolist()
    everyone = range(len(f))
    known = [i for i in everyone if e[i] != -1]
    step_pairs = [(a, b) for a in known for b in known if a != b and c[a] == c[b] and e[a] != e[b]]
    if name == "triplet":
        triplets = [t for t in itertools.product(everyone, repeat=3) if c[t[0]] == c[t[1]] != c[t[2]] and t[0] != t[1]]
        return mean(max(0.0, sq_distance(f[a], f[p]) - sq_distance(f[a], f[n]) + 0.7) for a, p, n in triplets)
    if name == "pdm":
        pairs = [(a, b) for a, b in itertools.combinations(known, 2) if c[a] == c[b] and e[a] == e[b]]
        return mean(sq_distance(f[a], f[b]) for a, b in pairs)
    if name == "pdp":
        return mean(
            (sq_distance(f[i], f[j]) - sq_distance(f[k], f[m])) ** 2
            for i, j, k, m in itertools.product(known, repeat=4)
            if c[i] == c[j] and c[k] == c[m] and c[i] != c[k] and e[i] == e[k] and e[j] == e[m] and e[i] != e[j]
        )
    if name == "ce":
        guesses = [g_plain(emb_BD[[a]], expression_B[[a]], expression_B[[b]])[0].tolist() for a, b in step_pairs]
        return mean(sq_distance(guess, f[b]) for guess, (_, b) in zip(guesses, step_pairs, strict=True))
    v = BASIS.double().tolist() if name == "fbv_basis" else [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    terms = []
    for a, b in step_pairs:
        wanted = [x + w - u for x, u, w in zip(f[a], v[e[a]], v[e[b]], strict=True)]
        terms.append(sq_distance(f[b], wanted))
    return mean(terms)


@every_loss
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 6])  # each gives every term something to sum
def test_value_equals_the_loops(name, seed):
    emb_BD, identity_B, expression_B = batch(seed, 18, num_people=2 + seed % 3, num_expressions=2 + seed % 2)
    expected = by_loops(name, emb_BD, identity_B, expression_B)
    assert expected > 0
    assert LOSSES[name](emb_BD, identity_B, expression_B).item() == pytest.approx(expected, rel=1e-12)
    single = LOSSES[name](emb_BD.float(), identity_B, expression_B)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(expected, rel=1e-5)


@every_loss
@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(name, seed):
    emb_BD, identity_B, expression_B = batch(seed)
    assert gradcheck(lambda emb: LOSSES[name](emb, identity_B, expression_B), emb_BD.requires_grad_())


def pdp_of_formed_quadruples(emb_BD, identity_B, expression_B):
    """PDP of one term a quadruple, on the graph."""
    a_P, b_P = geometry._expression_pairs(identity_B, expression_B).nonzero(as_tuple=True)
    distance_P = (emb_BD[a_P] - emb_BD[b_P]).square().sum(dim=1)
    valid_PP = identity_B[a_P][:, None] != identity_B[a_P]
    for end_P in (a_P, b_P):
        valid_PP = valid_PP & (expression_B[end_P][:, None] == expression_B[end_P])
    return (distance_P[:, None] - distance_P).square()[valid_PP].mean()


def triplet_of_formed_triplets(emb_BD, identity_B, expression_B):
    distance_BB = (emb_BD[:, None] - emb_BD).square().sum(dim=-1)
    same_BB = identity_B[:, None] == identity_B
    positive_BB = same_BB & ~torch.eye(len(emb_BD), dtype=torch.bool)
    hinge_BBB = (distance_BB[:, :, None] - distance_BB[:, None, :] + 0.7).relu()
    return hinge_BBB[positive_BB[:, :, None] & ~same_BB[:, None, :]].mean()


@pytest.mark.parametrize(
    ("name", "oracle"), [("pdp", pdp_of_formed_quadruples), ("triplet", triplet_of_formed_triplets)]
)
def test_gradient_equals_the_formed_tuples(name, oracle):
    emb_BD, identity_B, expression_B = batch(4, num_samples=60, num_people=6)
    emb_BD.requires_grad_()
    expected, loss = oracle(emb_BD, identity_B, expression_B), LOSSES[name](emb_BD, identity_B, expression_B)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    (gradient,), (expected_gradient,) = torch.autograd.grad(loss, emb_BD), torch.autograd.grad(expected, emb_BD)
    assert gradient.abs().max() > 1e-3
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-13)


@every_loss
def test_invariances(name):
    emb_BD, identity_B, expression_B = batch(5)
    loss = LOSSES[name](emb_BD, identity_B, expression_B).item()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(5))
    reordered = LOSSES[name](emb_BD[order], identity_B[order], expression_B[order]).item()
    assert reordered == pytest.approx(loss, rel=1e-12)
    renamed_B = torch.tensor([-7, 1000, 41])[identity_B]
    assert LOSSES[name](emb_BD, renamed_B, expression_B).item() == pytest.approx(loss, rel=1e-12)
    if name != "ce":
        assert LOSSES[name](emb_BD + 3.0, identity_B, expression_B).item() == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("loss", [pdm_loss, pdp_loss])
def test_expressions_may_be_any_integers(loss):
    emb_BD, identity_B, expression_B = batch(6)
    renamed_B = torch.tensor([500, -9, 77, -1])[expression_B]
    assert loss(emb_BD, identity_B, renamed_B).item() == loss(emb_BD, identity_B, expression_B).item()


@expression_loss
def test_unknown_expression_takes_no_part(name):
    emb_BD, identity_B, expression_B = planned_batch()
    unknown_B = torch.arange(18) % 5 == 0
    labels_B = expression_B.masked_fill(unknown_B, -1)
    emb_BD.requires_grad_()
    loss = LOSSES[name](emb_BD, identity_B, labels_B)
    known_B = ~unknown_B
    assert loss.item() == pytest.approx(
        LOSSES[name](emb_BD[known_B], identity_B[known_B], expression_B[known_B]).item(), rel=1e-12
    )
    (gradient,) = torch.autograd.grad(loss, emb_BD)
    assert (gradient[unknown_B] == 0).all()
    assert (gradient[known_B] != 0).any()


@expression_loss
def test_all_unknown_is_zero_on_the_graph(name):
    emb_BD, identity_B, _ = planned_batch()
    loss = LOSSES[name](emb_BD.requires_grad_(), identity_B, torch.full((18,), -1))
    loss.backward()
    assert loss.item() == 0.0
    assert (emb_BD.grad == 0).all()


@every_loss
@pytest.mark.parametrize(
    ("identity", "expression"),
    [
        ([4], [0]),
        ([4, 9], [0, 1]),  # two people, one image each
        ([0, 1, 2, 3], [0, 1, 2, 0]),
    ],
)
def test_no_tuple_gives_zero_on_the_graph(name, identity, expression):
    emb_BD = torch.randn(len(identity), 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = LOSSES[name](emb_BD, torch.tensor(identity), torch.tensor(expression))
    assert loss.item() == 0.0
    assert loss.requires_grad
    loss.backward()
    assert (emb_BD.grad == 0).all()


def test_one_person_only():
    emb_BD, _, expression_B = planned_batch()
    one_B = torch.zeros(18, dtype=torch.int64)
    zero = {name for name, loss in LOSSES.items() if loss(emb_BD, one_B, expression_B).item() == 0}
    assert zero == {"triplet", "pdp"}


def test_two_samples_of_one_person():
    emb_BD = torch.tensor([[0.0, 0.0, 0.0, 0.0], [3.0, 4.0, 0.0, 0.0]])
    same_B = torch.tensor([5, 5])
    assert pdm_loss(emb_BD, same_B, torch.tensor([2, 2])).item() == 25.0
    assert fbv_loss(emb_BD, same_B, torch.tensor([0, 1]), origin=0).item() == pytest.approx(4.0 + 16.0)
    assert fbv_loss(emb_BD, same_B, torch.tensor([1, 2]), origin=0).item() == pytest.approx(16.0 + 9.0)


def test_squared_triplet_has_margin_and_hinge_in_squared_distance():
    emb_BD = torch.tensor([[0.0], [1.0], [2.0]])
    # (0, 1, 2): 1 - 4 + m; (1, 0, 2): 1 - 1 + m; the third image has no positive.
    assert squared_triplet_loss(emb_BD, torch.tensor([8, 8, 3]), 2.0).item() == pytest.approx((0.0 + 2.0) / 2)
    assert squared_triplet_loss(emb_BD, torch.tensor([8, 8, 3]), 4.0).item() == pytest.approx((1.0 + 4.0) / 2)


def test_fbv_is_zero_on_its_own_basis():
    identity_B, expression_B = torch.arange(20) // 5, torch.arange(20) % 5
    for origin in range(5):
        v = torch.eye(5)[[k if k < origin else k - 1 for k in range(5)]]
        v[origin] = 0.0
        place_BD = 100.0 * torch.randn(4, 5, generator=torch.Generator().manual_seed(origin))[identity_B]
        emb_BD = place_BD.double() + v[expression_B]
        assert fbv_loss(emb_BD, identity_B, expression_B, origin).item() == pytest.approx(0.0, abs=1e-24)
        moved = fbv_loss(emb_BD, identity_B, expression_B, (origin + 1) % 5)
        assert moved.item() > 0.1
        assert fbv_loss(emb_BD, identity_B, expression_B, origin, v).item() == pytest.approx(0.0, abs=1e-24)


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_pdp_of_equal_distances_is_zero_up_to_rounding(offset):
    """The same shape for every person, moved and turned: all distances of two expressions are equal, but not zero."""
    generator = torch.Generator().manual_seed(1)
    shape_ED = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    turned = [shape_ED @ torch.linalg.qr(torch.randn(6, 6, generator=generator).double())[0] for _ in range(5)]
    emb_BD = torch.cat([person + offset * i for i, person in enumerate(turned)]).requires_grad_()
    identity_B, expression_B = torch.arange(20) // 4, torch.arange(20) % 4
    loss = pdp_loss(emb_BD, identity_B, expression_B)
    loss.backward()
    assert 0 <= loss.item() < 1e-20 + (1e-13 * offset) ** 2
    assert emb_BD.grad.abs().max() < 1e-9
    assert pdm_loss(shape_ED[[0, 0, 1]], torch.zeros(3).long(), torch.tensor([0, 0, 1])).item() == 0.0


def test_small_differences_of_large_distances_keep_their_digits():
    """n sum d^2 - (sum d)^2 would be wrong in the first digit here; so would distances in float32."""
    emb_BD = torch.tensor([[0.0], [1e3], [5e4], [5e4 + 1e3 + 1e-6]], dtype=torch.float64, requires_grad=True)
    loss = pdp_loss(emb_BD, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))
    span = emb_BD[3] - emb_BD[2]
    expected = (span.item() ** 2 - 1e6) ** 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert emb_BD.grad[3].item() == pytest.approx(4 * (span.item() ** 2 - 1e6) * span.item(), rel=1e-5)


def test_float32_embeddings_have_distances_in_float64():
    """1e6 and 1e6 + 1e-4 are the same float32."""
    emb_BD = torch.tensor([[0.0, 0.0], [1e3, 0.0], [0.0, 0.0], [1e3, 1e-2]])
    loss = pdp_loss(emb_BD, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))
    assert loss.item() == pytest.approx(1e-8, rel=1e-4)


@every_loss
def test_equal_embeddings_have_a_finite_gradient(name):
    emb_BD, identity_B, expression_B = planned_batch(torch.float32)
    emb_BD = emb_BD[:1].repeat(18, 1).requires_grad_()
    loss = LOSSES[name](emb_BD, identity_B, expression_B)
    loss.backward()
    assert emb_BD.grad.isfinite().all()
    if name == "triplet":
        assert loss.item() == pytest.approx(0.7)
    if name in ("pdm", "pdp"):
        assert loss.item() == pytest.approx(0.0, abs=1e-12)


@every_loss
@pytest.mark.parametrize("norm", [1e3, 1e-6])
def test_extreme_norms(name, norm):
    emb_BD, identity_B, expression_B = planned_batch(torch.float32)
    emb_BD = (norm * F.normalize(emb_BD)).requires_grad_()
    loss = LOSSES[name](emb_BD, identity_B, expression_B)
    loss.backward()
    assert loss.item() == pytest.approx(by_loops(name, emb_BD.detach(), identity_B, expression_B), rel=1e-5)
    assert emb_BD.grad.isfinite().all()
    assert (emb_BD.grad != 0).any()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_input_and_autocast_compute_in_full_precision(name, dtype):
    emb_BD, identity_B, expression_B = planned_batch(torch.float32)
    check_half_input(lambda emb_BD: LOSSES[name](emb_BD, identity_B, expression_B), emb_BD, dtype)


@every_loss
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_named(name, bad):
    emb_BD, identity_B, expression_B = planned_batch()
    emb_BD[7, 2] = bad
    with pytest.raises(ValueError, match="emb_BD holds NaN or inf"):
        LOSSES[name](emb_BD, identity_B, expression_B)


@every_loss
def test_shapes_and_types_are_checked(name):
    emb_BD, identity_B, expression_B = planned_batch()
    with pytest.raises(ValueError, match="emb_BD has shape"):
        LOSSES[name](emb_BD[0], identity_B, expression_B)
    with pytest.raises(ValueError, match=r"(identity|labels)_B has shape"):
        LOSSES[name](emb_BD, identity_B[1:], expression_B)
    with pytest.raises(ValueError, match="expected integers"):
        LOSSES[name](emb_BD, identity_B.double(), expression_B)
    if name != "triplet":
        with pytest.raises(ValueError, match="expression_B has shape"):
            LOSSES[name](emb_BD, identity_B, expression_B[1:])
        with pytest.raises(ValueError, match="expected integers"):
            LOSSES[name](emb_BD, identity_B, expression_B.double())


@every_loss
def test_labels_of_any_integer_type(name):
    emb_BD, identity_B, expression_B = planned_batch()
    expected = LOSSES[name](emb_BD, identity_B, expression_B)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(LOSSES[name](emb_BD, identity_B.to(dtype), expression_B.to(dtype)), expected)


def test_fbv_says_where_a_vector_is_missing():
    emb_BD, identity_B, expression_B = planned_batch()
    with pytest.raises(ValueError, match="emb_BD has 1 dimensions, but the expressions of the batch need 2"):
        fbv_loss(emb_BD[:, :1], identity_B, expression_B, origin=0)
    assert fbv_loss(emb_BD[:, :2], identity_B, expression_B, origin=0) > 0
    with pytest.raises(ValueError, match="emb_BD has 2 dimensions, but the expressions of the batch need 3"):
        fbv_loss(emb_BD[:, :2], identity_B, expression_B, origin=9)
    with pytest.raises(ValueError, match="basis has 2 rows, but the expressions of the batch need 3"):
        fbv_loss(emb_BD, identity_B, expression_B, 0, BASIS[:2])
    with pytest.raises(ValueError, match="basis has shape"):
        fbv_loss(emb_BD, identity_B, expression_B, 0, BASIS[:, :3])
    with pytest.raises(ValueError, match="basis holds NaN or inf"):
        fbv_loss(emb_BD, identity_B, expression_B, 0, BASIS * math.inf)
    with pytest.raises(ValueError, match="origin is -1"):
        fbv_loss(emb_BD, identity_B, expression_B, -1)
    for basis in (None, BASIS):
        with pytest.raises(ValueError, match="expression_B holds -2"):
            fbv_loss(emb_BD, identity_B, expression_B - 2, 0, basis)


@pytest.mark.parametrize("basis", [None, BASIS])
def test_without_the_check_an_expression_without_a_vector_still_is_an_error(basis, monkeypatch):
    monkeypatch.setattr(people, "values_are_checked", lambda _: False)
    emb_BD, identity_B, expression_B = planned_batch()
    for moved_B in (expression_B + 9, expression_B - 2):
        with pytest.raises((RuntimeError, IndexError), match=r"out of (range|bounds)"):
            fbv_loss(emb_BD, identity_B, moved_B, 0, basis)


def test_a_learnt_basis_gets_its_gradient():
    emb_BD, identity_B, expression_B = planned_batch()
    basis = BASIS.double().requires_grad_()
    assert gradcheck(lambda rows: fbv_loss(emb_BD, identity_B, expression_B, 1, rows), basis)


class Network(nn.Module):
    """The paper's g for 4 dimensions and 3 expressions, smaller."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4 + 3 + 3, 8), nn.ReLU(), nn.Linear(8, 4))
        self.called_with = None

    def forward(self, emb_ND, from_N, to_N):
        self.called_with = emb_ND, from_N, to_N
        return self.layers(torch.cat([emb_ND, F.one_hot(from_N, 3), F.one_hot(to_N, 3)], dim=1))


def test_ce_trains_f_and_g():
    torch.manual_seed(0)
    emb_BD, identity_B, expression_B = planned_batch(torch.float32)
    expression_B[0] = -1
    g = Network()
    ce_loss(emb_BD.requires_grad_(), identity_B, expression_B, g, 3).backward()
    emb_ND, from_N, to_N = g.called_with
    assert torch.equal(emb_ND.detach()[5::3], emb_BD.detach()[1:])
    assert from_N.unflatten(0, (18, 3)).T.tolist() == [[0, *expression_B[1:].tolist()]] * 3
    assert to_N.tolist() == [0, 1, 2] * 18
    assert all((weight.grad != 0).any() for weight in g.parameters())
    assert (emb_BD.grad[0] == 0).all()
    assert (emb_BD.grad[1:] != 0).any(dim=1).all()


def test_ce_gives_g_the_gradient_of_the_formed_pairs():
    torch.manual_seed(0)
    emb_BD, identity_B, expression_B = batch(4, num_samples=40, num_people=5)
    g = Network().double()
    a_P, b_P = geometry._expression_pairs(identity_B, expression_B).nonzero(as_tuple=True)
    guess_PD = g(emb_BD[a_P], expression_B[a_P], expression_B[b_P])
    expected = (guess_PD - emb_BD[b_P]).square().sum(dim=1).mean()
    loss = ce_loss(emb_BD, identity_B, expression_B, g, 3)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    weights = list(g.parameters())
    for own, formed in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(own, formed, rtol=1e-10, atol=1e-13)


def test_ce_without_a_pair_leaves_a_zero_gradient_in_g():
    torch.manual_seed(0)
    g = Network()
    emb_BD, identity_B, _ = planned_batch(torch.float32)
    ce_loss(emb_BD.requires_grad_(), identity_B, torch.zeros(18).long(), g, 3).backward()
    assert (emb_BD.grad == 0).all()
    assert all((weight.grad == 0).all() for weight in g.parameters())


def test_ce_with_the_step_of_fbv_as_g_is_fbv():
    emb_BD, identity_B, expression_B = batch(8)
    v = BASIS.double()
    loss = ce_loss(emb_BD, identity_B, expression_B, lambda emb_ND, from_N, to_N: emb_ND + v[to_N] - v[from_N], 3)
    assert loss.item() == pytest.approx(fbv_loss(emb_BD, identity_B, expression_B, 0, BASIS).item(), rel=1e-12)


@pytest.mark.parametrize("step", [1, 50])
def test_ce_looks_for_the_expressions_where_it_is_not_told_how_many(step):
    emb_BD, identity_B, expression_B = batch(11)
    sparse_B = torch.where(expression_B < 0, expression_B, expression_B * step + 1)

    def g(emb_ND, from_N, to_N):
        return g_plain(emb_ND, (from_N - 1) // step, (to_N - 1) // step)

    expected = ce_loss(emb_BD, identity_B, expression_B, g_plain, 3)
    assert ce_loss(emb_BD, identity_B, sparse_B, g).item() == pytest.approx(expected.item(), rel=1e-12)
    assert ce_loss(emb_BD, identity_B, torch.full((12,), -1), g).item() == 0


def test_ce_says_what_is_wrong():
    emb_BD, identity_B, expression_B = planned_batch()
    with pytest.raises(ValueError, match=r"g returned shape \(54, 3\), expected \(54, 4\)"):
        ce_loss(emb_BD, identity_B, expression_B, lambda emb_ND, *_: emb_ND[:, :3], 3)
    with pytest.raises(ValueError, match="what g returned holds NaN or inf"):
        ce_loss(emb_BD, identity_B, expression_B, lambda emb_ND, *_: emb_ND / 0, 3)
    with pytest.raises(ValueError, match="num_expressions is 2, but the expressions of the batch need 3"):
        ce_loss(emb_BD, identity_B, expression_B, g_plain, 2)
    with pytest.raises(ValueError, match="expression_B holds -2"):
        ce_loss(emb_BD, identity_B, expression_B - 2, g_plain, 3)


@pytest.mark.parametrize("name", ["triplet", "pdm", "pdp", "fbv", "ce"])
def test_past_the_checks_nothing_waits_for_the_device(name):
    # The meta device has no values: any operation that needs one on the host raises.
    emb_BD = torch.randn(8, 4, requires_grad=True, device="meta")
    with deferred_checks():
        LOSSES[name](emb_BD, torch.arange(8, device="meta") // 4, torch.arange(8, device="meta") % 3).backward()
    assert emb_BD.grad.shape == (8, 4)
