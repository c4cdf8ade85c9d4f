import pytest
import torch

from fer_core.backbones import REGISTRY
from fer_core.backbones.fmpnet import StochasticPool


def maps(height, width, num_channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, num_channels, height, width, generator=generator).relu()


def windows(x):
    """Row, column and values of each window of one map, by the definition."""
    for row in range(0, x.shape[0] - 1, 2):
        for column in range(0, x.shape[1] - 1, 2):
            yield row // 2, column // 2, x[row : row + 3, column : column + 3]


SIDES = [(9, 9), (8, 8), (7, 10), (3, 3), (2, 2), (11, 2)]


@pytest.mark.parametrize("sides", SIDES)
def test_in_eval_mode_a_window_gives_what_is_expected(sides):
    x = maps(*sides)
    pooled = StochasticPool().eval()(x)
    expected = torch.full_like(pooled, torch.nan)
    for sample in range(2):
        for channel in range(3):
            for row, column, window in windows(x[sample, channel]):
                total = window.sum()
                expected[sample, channel, row, column] = (window * window).sum() / total if total > 0 else 0
    torch.testing.assert_close(pooled, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("sides", SIDES)
def test_in_training_a_window_gives_one_of_its_values(sides):
    torch.manual_seed(0)
    x = maps(*sides)
    pooled = StochasticPool()(x)
    assert pooled.shape == StochasticPool().eval()(x).shape
    for sample in range(2):
        for row, column, window in windows(x[sample, 0]):
            assert pooled[sample, 0, row, column] in window
            assert pooled[sample, 0, row, column] > 0 or not window.any()


def test_values_are_drawn_in_proportion():
    torch.manual_seed(1)
    num = 40_000
    window = torch.tensor([[0.0, 1, 2], [3, 0, 4], [0, 0, 10]])
    pooled = StochasticPool()(window.expand(1, num, 3, 3)).flatten()
    for value in (1, 2, 3, 4, 10):
        share = value / 20
        deviation = (share * (1 - share) / num) ** 0.5
        assert (pooled == value).float().mean().item() == pytest.approx(share, abs=4 * deviation)
    assert not (pooled == 0).any()


def test_windows_that_share_values_are_drawn_apart():
    torch.manual_seed(2)
    num = 40_000
    x = torch.zeros(1, num, 3, 5)
    x[:, :, 1] = torch.tensor([1.0, 0, 2, 0, 1])
    first, second = StochasticPool()(x)[0, :, 0].T == 2
    joint, deviation = (first & second).float().mean().item(), (4 / 9 * 5 / 9 / num) ** 0.5
    assert first.float().mean().item() == pytest.approx(2 / 3, abs=4 * deviation)
    assert joint == pytest.approx(4 / 9, abs=4 * deviation)


def test_the_gradient_goes_to_the_value_that_was_drawn():
    torch.manual_seed(3)
    x = (maps(8, 9) + 0.1).requires_grad_()
    pooled = StochasticPool()(x)
    pooled.sum().backward()
    assert x.grad.sum() == pooled.numel()
    assert (x.grad == x.grad.round()).all()
    assert (x.grad * x).sum().item() == pytest.approx(pooled.sum().item(), rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_window_of_zeros_gives_zero_and_finite_gradients(training):
    x = torch.zeros(1, 2, 6, 6, requires_grad=True)
    pooled = StochasticPool().train(training)(x)
    pooled.sum().backward()
    assert torch.equal(pooled, torch.zeros(1, 2, 3, 3))
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_stays_bfloat16(training):
    torch.manual_seed(4)
    x = maps(8, 8).bfloat16()
    pooled = StochasticPool().train(training)(x)
    assert pooled.dtype == torch.bfloat16
    assert pooled.isfinite().all()


def test_draws_come_from_torchs_current_generator():
    backbone = REGISTRY["fmpnet"](44).train()
    x = torch.randn(4, 3, 44, 44, generator=torch.Generator().manual_seed(0))
    features = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        features.append(backbone(x))
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])


def test_in_eval_mode_nothing_is_drawn():
    backbone = REGISTRY["fmpnet"](44).eval()
    x = torch.randn(2, 3, 44, 44, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    assert torch.equal(backbone(x), backbone(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_pooling_halves_the_map():
    backbone = REGISTRY["fmpnet"](48).eval()
    assert backbone.features(torch.rand(1, 1, 48, 48)).shape == (1, 128, 6, 6)


@pytest.mark.parametrize(("drawn", "value"), [(0.0, 3), (1 - 2**-24, 4)])
def test_the_ends_of_the_range_of_draws_never_give_a_zero(monkeypatch, drawn, value):
    monkeypatch.setattr(torch, "rand", lambda shape, device: torch.full(shape, drawn, device=device))
    window = torch.tensor([[0.0, 0, 3], [0, 0, 4], [0, 0, 0]])
    assert StochasticPool()(window[None, None]).item() == value
