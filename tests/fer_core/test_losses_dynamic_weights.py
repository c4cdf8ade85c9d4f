import math

import pytest
import torch

from fer_core.losses.dynamic_weights import DynamicWeights


def weights_by_loops(steps, total, temperature, window):
    """The weights after each step, from the list of all losses so far."""
    weights, history = [], []
    for losses in steps:
        history.append(losses)
        num_windows = len(history) // window
        if num_windows < 2:
            weights.append([total / len(losses)] * len(losses))
            continue
        means = []
        for i in (num_windows - 1, num_windows - 2):
            rows = history[i * window : (i + 1) * window]
            means.append([sum(column) / window for column in zip(*rows, strict=True)])
        powers = [math.exp(now / before / temperature) for now, before in zip(*means, strict=True)]
        weights.append([total * power / sum(powers) for power in powers])
    return weights


@pytest.mark.parametrize("window", [1, 2, 5])
@pytest.mark.parametrize(("num_tasks", "total", "temperature"), [(3, 2.0, 2.0), (2, 1.0, 0.5), (4, 4.0, 10.0)])
def test_weights_equal_the_loops(num_tasks, total, temperature, window):
    generator = torch.Generator().manual_seed(window)
    steps_SK = 0.1 + torch.rand(23, num_tasks, generator=generator)
    dynamic = DynamicWeights(num_tasks, total, temperature, window)
    expected = weights_by_loops(steps_SK.tolist(), total, temperature, window)
    assert dynamic.weights.tolist() == pytest.approx([total / num_tasks] * num_tasks)
    for losses_K, weights in zip(steps_SK, expected, strict=True):
        assert dynamic.update(losses_K).tolist() == pytest.approx(weights, rel=1e-5)
        assert dynamic.weights.tolist() == pytest.approx(weights, rel=1e-5)
        assert dynamic.weights.sum().item() == pytest.approx(total, rel=1e-6)


def test_defaults_are_the_papers_and_the_slow_task_gains():
    dynamic = DynamicWeights()
    for step in range(10):
        weights_K = dynamic.update([1.0, 1.0, 1.0] if step < 5 else [1.0, 0.5, 0.1])
        if step < 9:
            assert weights_K.tolist() == pytest.approx([2 / 3] * 3)
    assert weights_K[0] > weights_K[1] > weights_K[2]
    powers = [math.exp(ratio / 2) for ratio in (1.0, 0.5, 0.1)]
    assert weights_K.tolist() == pytest.approx([2 * power / sum(powers) for power in powers], rel=1e-6)


def test_losses_that_reach_zero():
    dynamic = DynamicWeights(num_tasks=3, window=1)
    weights_K = dynamic.update([0.0, 0.0, 1.0])  # the first window is compared with none
    assert weights_K.tolist() == pytest.approx([2 / 3] * 3)
    weights_K = dynamic.update([0.0, 0.0, 1.0])  # 0 after 0 is no change, as is 1 after 1
    assert weights_K.tolist() == pytest.approx([2 / 3] * 3)
    weights_K = dynamic.update([1e-30, 0.0, 0.0])
    assert weights_K.tolist() == pytest.approx([2.0, 0.0, 0.0], abs=1e-6)
    for losses in ([0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [3e38, 1e-38, 0.0], [1.0, 1.0, 1.0]):
        weights_K = dynamic.update(losses)
        assert weights_K.isfinite().all()
        assert weights_K.sum().item() == pytest.approx(2.0)


def test_the_bound_is_out_of_reach_of_the_papers_temperature():
    bounded, free = DynamicWeights(window=1), DynamicWeights(window=1, max_ratio=1e6)
    for dynamic in (bounded, free):
        dynamic.update([1e-3, 1.0, 1.0])
        dynamic.update([1.0, 0.9, 1.0])
    torch.testing.assert_close(bounded.weights, free.weights, rtol=0, atol=1e-15)


def test_no_gradient_and_earlier_weights_keep_their_value():
    dynamic = DynamicWeights(window=1)
    losses_K = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    first_K = dynamic.update(losses_K)
    (first_K * losses_K).sum().backward()
    second_K = dynamic.update([loss * 2 for loss in losses_K])
    dynamic.update([loss * loss for loss in losses_K])
    assert not second_K.requires_grad
    assert first_K.tolist() == pytest.approx([2 / 3] * 3)
    assert losses_K.grad.tolist() == pytest.approx([2 / 3] * 3)


def test_state_goes_with_the_checkpoint():
    generator = torch.Generator().manual_seed(0)
    steps_SK = torch.rand(17, 3, generator=generator)
    whole, before, after = DynamicWeights(), DynamicWeights(), DynamicWeights()
    for step, losses_K in enumerate(steps_SK):
        if step == 8:
            after.load_state_dict(before.state_dict())
        expected_K = whole.update(losses_K)
        weights_K = (before if step < 8 else after).update(losses_K)
        assert torch.equal(weights_K, expected_K)
    assert not torch.equal(expected_K, torch.full((3,), 2 / 3))
    assert list(whole.parameters()) == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_losses_of_any_precision(dtype):
    dynamic = DynamicWeights(window=1)
    dynamic.update(torch.tensor([1.0, 2.0, 4.0], dtype=dtype))
    weights_K = dynamic.update(torch.tensor([0.5, 2.0, 2.0], dtype=dtype))
    assert weights_K.dtype == torch.float32
    assert weights_K.tolist() == pytest.approx(weights_by_loops([[1, 2, 4], [0.5, 2, 2]], 2, 2, 1)[-1])


def test_nan_is_not_hidden():
    dynamic = DynamicWeights(window=1)
    dynamic.update([1.0, 1.0, 1.0])
    assert dynamic.update([1.0, math.nan, 1.0]).isnan().all()


def test_shapes_and_numbers_are_checked():
    with pytest.raises(ValueError, match="losses have shape"):
        DynamicWeights().update(torch.ones(2))
    with pytest.raises(ValueError, match="losses have shape"):
        DynamicWeights().update(torch.ones(3, 1))
    for wrong in ({"num_tasks": 0}, {"total": 0.0}, {"temperature": -1.0}, {"window": 0}, {"max_ratio": 0.0}):
        with pytest.raises(ValueError, match="must be positive"):
            DynamicWeights(**wrong)


def test_nothing_waits_for_the_device():
    # A meta tensor has no values: an operation that needs one on the host raises.
    dynamic = DynamicWeights(window=2).to("meta")
    for _ in range(5):
        weights_K = dynamic.update([torch.ones((), device="meta") for _ in range(3)])
    assert weights_K.device.type == "meta"
