import pytest
import torch
import torch.nn.functional as F

from fer_core.losses import mining
from fer_core.losses.mining import mine_batch_hard, mine_hardest


def spread(generator, num_samples, scale):
    return scale * torch.randn(num_samples, 2, 32, generator=generator)


def clusters(generator, labels_B, radius):
    """A tight cluster for each class, the classes far apart."""
    return F.normalize(spread(generator, 4, 1.0)[labels_B] + spread(generator, len(labels_B), radius), dim=-1)


REGIMES = {
    "unit": lambda generator, labels_B: F.normalize(spread(generator, len(labels_B), 1.0), dim=-1),
    "collapsed": lambda generator, labels_B: F.normalize(1 + spread(generator, len(labels_B), 1e-4), dim=-1),
    "clusters": lambda generator, labels_B: clusters(generator, labels_B, 1e-3),
    "clusters across classes": lambda generator, labels_B: clusters(generator, labels_B // 2, 1e-3),
    "one far away": lambda generator, labels_B: (
        spread(generator, len(labels_B), 1.0) + 1e4 * (torch.arange(len(labels_B)) == 3)[:, None, None]
    ),
    "duplicates": lambda generator, labels_B: spread(generator, 8, 1.0)[torch.arange(len(labels_B)) % 8],
    "one point": lambda generator, labels_B: torch.ones(len(labels_B), 2, 32),
    "one slice collapsed": lambda generator, labels_B: (
        torch.tensor([1e-4, 1.0])[:, None] * spread(generator, len(labels_B), 1.0) + torch.tensor([1.0, 0.0])[:, None]
    ),
    "norm 1e3": lambda generator, labels_B: spread(generator, len(labels_B), 1e3),
    "squares underflow": lambda generator, labels_B: spread(generator, len(labels_B), 1e-22),
    "squares overflow": lambda generator, labels_B: spread(generator, len(labels_B), 1e20),
}


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("seed", range(3))
def test_float32_mining_finds_the_hardest_pairs_of_float64(regime, seed):
    labels_B = torch.arange(60) % 4
    emb_BND = REGIMES[regime](torch.Generator().manual_seed(seed), labels_B)
    mined = mine_batch_hard(emb_BND, labels_B)
    same_BB = labels_B[:, None] == labels_B
    for i in range(2):
        exact_BD = emb_BND[:, i].double()
        distance_BB = (exact_BD[:, None] - exact_BD).norm(dim=-1)
        # Not the indices: equal samples are equally hard.
        farthest_B = distance_BB.gather(1, mined.positive_BN[:, i : i + 1])[:, 0]
        nearest_B = distance_BB.gather(1, mined.negative_BN[:, i : i + 1])[:, 0]
        assert same_BB[torch.arange(60), mined.positive_BN[:, i]].all()
        assert not same_BB[torch.arange(60), mined.negative_BN[:, i]].any()
        expected_B = distance_BB.masked_fill(~same_BB, -1).amax(dim=1)
        torch.testing.assert_close(farthest_B, expected_B, rtol=1e-9, atol=0)
        expected_B = distance_BB.masked_fill(same_BB, torch.inf).amin(dim=1)
        torch.testing.assert_close(nearest_B, expected_B, rtol=1e-9, atol=0)


@pytest.mark.parametrize("regime", ["unit", "collapsed", "norm 1e3"])
def test_few_anchors_are_mined_again_in_float64(regime, monkeypatch):
    rows = []

    def spy(anchor_NRD, *others, mine_rows=mining._mine_rows):
        rows.append(anchor_NRD.shape[1])
        return mine_rows(anchor_NRD, *others)

    monkeypatch.setattr(mining, "_mine_rows", spy)
    labels_B = torch.arange(60) % 4
    for seed in range(5):
        mine_batch_hard(REGIMES[regime](torch.Generator().manual_seed(seed), labels_B), labels_B)
    assert sum(rows) <= 0.05 * 5 * 60


def test_float64_is_taken_where_matmul_may_round():
    labels_B = torch.arange(60) % 4
    emb_BND = REGIMES["unit"](torch.Generator().manual_seed(0), labels_B)
    assert mining._float32_is_worth_it(emb_BND)
    assert not mining._float32_is_worth_it(emb_BND.double())
    assert not mining._float32_is_worth_it(emb_BND.to("meta"))
    precision = torch.backends.mkldnn.matmul.fp32_precision
    try:
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        assert not mining._float32_is_worth_it(emb_BND)
        mined = mine_batch_hard(emb_BND, labels_B)
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = precision
    for rounded, exact in zip(mined, mine_batch_hard(emb_BND, labels_B), strict=True):
        assert torch.equal(rounded[mined.valid_B], exact[mined.valid_B])


def test_mining_is_exact_far_from_the_origin():
    generator = torch.Generator().manual_seed(0)
    emb_BD = 1e3 + 1e-2 * torch.randn(40, 8, generator=generator)
    labels_B = torch.arange(40) % 4
    mined = mine_batch_hard(emb_BD[:, None], labels_B)
    distance_BB = (emb_BD.double()[:, None] - emb_BD.double()).norm(dim=-1)
    same_BB = labels_B[:, None] == labels_B
    assert torch.equal(mined.positive_BN[:, 0], distance_BB.masked_fill(~same_BB, -1).argmax(dim=1))
    assert torch.equal(mined.negative_BN[:, 0], distance_BB.masked_fill(same_BB, torch.inf).argmin(dim=1))


def test_slices_mine_their_own_triplets():
    labels_B = torch.arange(30) % 3
    emb_BND = torch.randn(30, 3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    mined = mine_batch_hard(emb_BND, labels_B)
    assert not torch.equal(mined.positive_BN[:, 0], mined.positive_BN[:, 1])
    assert not mined.positive_BN.requires_grad


def test_positives_and_negatives_may_be_any():
    emb_B1D = torch.tensor([0.0, 1.0, 3.0, 7.0])[:, None, None]
    positive_BB = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)
    negative_BB = torch.tensor([[0, 0, 0, 1], [1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], dtype=torch.bool)
    for dtype in (torch.float32, torch.float64):
        mined = mine_hardest(emb_B1D.to(dtype), positive_BB, negative_BB)
        assert mined.valid_B.tolist() == [True, False, True, False]
        assert mined.positive_BN[mined.valid_B].flatten().tolist() == [2, 0]
        assert mined.negative_BN[mined.valid_B].flatten().tolist() == [3, 1]
