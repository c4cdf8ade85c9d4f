"""What is kept of training: the moving average against a loop, the best state, means and steps."""

import pytest
import torch
from torch import nn

from fer_core.training.keeping import MOST_STEPS, Average, Best, Means, Steps


def network_of(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def change(network, step):
    """New weights, and new statistics of batch norm."""
    draw = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for value in network.parameters():
            value += torch.randn(value.shape, generator=draw, dtype=value.dtype)
    network.train()
    network(torch.randn(8, 3, generator=draw, dtype=torch.float64))


def averaged_by_loop(decay, num_steps):
    """The first weights as they are, then each step's by a decay that rises to `decay`."""
    network, made = network_of(), {}
    for step in range(num_steps):
        change(network, step)
        own = min(decay, (1 + step) / (10 + step))
        for name, value in network.named_parameters():
            made[name] = value.detach().clone() if step == 0 else own * made[name] + (1 - own) * value.detach()
    return made


@pytest.mark.parametrize(("decay", "num_steps"), [(0.5, 1), (0.5, 30), (0.9, 5), (0.9, 200), (0.9999, 60)])
def test_the_average_equals_the_loop(decay, num_steps):
    network = network_of()
    average = Average(network, decay)
    for step in range(num_steps):
        change(network, step)
        average.update()
    for name, expected in averaged_by_loop(decay, num_steps).items():
        # the decay itself is computed in float32
        torch.testing.assert_close(average.network.get_parameter(name), expected, rtol=1e-5, atol=1e-6)


def test_a_decay_of_almost_one_forgets_the_initial_weights():
    """Without the rise 0.9999 would keep 99 % of the first weights over 100 steps."""
    network = nn.Linear(1, 1, bias=False)
    average = Average(network, 0.9999)
    for step in range(100):
        nn.init.constant_(network.weight, 1.0 if step == 0 else 0.0)
        average.update()
    assert average.network.weight.item() < 1e-6


def test_far_into_training_the_decay_is_the_one_asked_for():
    network = nn.Linear(1, 1, bias=False).double()
    average = Average(network, 0.9999)
    nn.init.constant_(network.weight, 0.0)
    average.update()
    state = average.state_dict()
    state["num_updates"] = 1_000_000
    average.load_state_dict(state)
    nn.init.constant_(network.weight, 1.0)
    average.update()
    assert average.network.weight.item() == pytest.approx(1e-4, rel=1e-3)


def test_buffers_are_the_networks():
    network = network_of()
    average = Average(network, 0.9)
    for step in range(5):
        change(network, step)
        average.update()
    own, kept = dict(network.named_buffers()), dict(average.network.named_buffers())
    assert own["1.running_mean"].abs().max() > 0.1
    for name, value in own.items():
        torch.testing.assert_close(kept[name], value, rtol=0, atol=0)
        assert kept[name] is not value
    assert not torch.equal(average.network[0].weight, network[0].weight)


def test_the_average_is_no_part_of_the_network():
    network = network_of()
    average = Average(network, 0.9)
    change(network, 0)
    average.update()
    before = average.network[0].weight.clone()
    change(network, 1)
    assert torch.equal(average.network[0].weight, before)


def test_without_a_decay_it_is_the_network_itself():
    network = network_of()
    average = Average(network, 0.0)
    average.update()
    average.load_state_dict(average.state_dict())
    assert average.network is network
    assert average.state_dict() is None


def test_an_average_goes_on_from_its_state():
    def averaged(stopped_at):
        network = network_of()
        average = Average(network, 0.9)
        for step in range(12):
            if step == stopped_at:
                state = average.state_dict()
                average = Average(network, 0.9)
                average.load_state_dict(state)
            change(network, step)
            average.update()
        return average.network.state_dict()

    expected = averaged(None)
    for stopped_at in (1, 7):
        again = averaged(stopped_at)
        assert all(torch.equal(again[name], value) for name, value in expected.items())


def test_the_best_state_is_a_copy_of_the_least_loss():
    network, best = network_of(), Best()
    states = []
    for step, loss in enumerate((3.0, 1.0, 2.0, 1.0)):
        change(network, step)
        best.offer(loss, network.state_dict())
        states.append({name: value.clone() for name, value in network.state_dict().items()})
    assert best.loss == 1.0
    assert all(torch.equal(best.state[name], value) for name, value in states[1].items())
    assert not torch.equal(best.state["0.weight"], network.state_dict()["0.weight"])


def test_a_loss_that_is_no_number_is_never_the_best():
    best = Best()
    best.offer(float("nan"), {"weight": torch.zeros(1)})
    assert best.state is None


@pytest.mark.parametrize("offered", [0, 2])
def test_the_best_goes_on_from_its_state(offered):
    best, again = Best(), Best()
    for loss in range(offered, 0, -1):
        best.offer(float(loss), {"weight": torch.full((1,), float(loss))})
    again.load_state_dict(best.state_dict())
    for one in (best, again):
        one.offer(1.5, {"weight": torch.full((1,), 1.5)})
    assert again.loss == best.loss == (1.0 if offered else 1.5)
    assert torch.equal(again.state["weight"], best.state["weight"])


def test_means_are_of_all_steps_and_go_on_from_sums_and_count():
    values = [{"loss": torch.tensor(float(step)), "term": torch.tensor(float(step**2))} for step in range(5)]
    means = Means()
    for one in values[:2]:
        means.add(one)
    again = Means(means.sums, means.count)
    for one in values[2:]:
        again.add(one)
    assert again.values() == {"loss": 2.0, "term": 6.0}
    assert Means().values() == {}


def test_means_of_many_small_values_do_not_drift():
    means = Means()
    for _ in range(20_000):
        means.add({"loss": torch.tensor(0.1)})
    assert means.values()["loss"] == pytest.approx(float(torch.tensor(0.1)), rel=1e-9)


def test_means_hold_no_graph():
    means = Means()
    means.add({"loss": (torch.ones(1, requires_grad=True) * 2).sum()})
    assert not means.sums["loss"].requires_grad


def test_steps_are_the_first_ones_of_a_run():
    steps = Steps()
    for step in range(MOST_STEPS + 5):
        steps.add({"first": torch.tensor(float(step)), "second": torch.tensor(-float(step))})
    values = steps.values()
    assert values == {"first": list(range(MOST_STEPS)), "second": [-step for step in range(MOST_STEPS)]}


@pytest.mark.parametrize("num_steps", [0, 3])
def test_steps_go_on_from_their_state(num_steps):
    steps, again = Steps(), Steps()
    for step in range(num_steps):
        steps.add({"weight": torch.tensor(float(step))})
    again.load_state_dict(steps.state_dict())
    for one in (steps, again):
        one.add({"weight": torch.tensor(9.0)})
    assert again.values() == steps.values() == {"weight": [*map(float, range(num_steps)), 9.0]}


def test_an_objective_that_traces_nothing_has_no_steps():
    steps = Steps()
    steps.add({})
    again = Steps()
    again.load_state_dict(steps.state_dict())
    assert steps.values() == again.values() == {}
