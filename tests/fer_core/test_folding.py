import copy

import pytest
import torch
from torch import fx, nn

from fer_core.backbones import REGISTRY
from fer_core.backbones.weights import build_backbone
from fer_core.folding import folded

NUM_PAIRS = {"resnet18": 20, "fmpnet": 0, "cvgg13": 0, "alexnet": 0, "preact_resnet18": 9, "resnet50": 53}


def trained(name, patch):
    """A backbone in training mode whose batch norms are those of no fresh network."""
    backbone = build_backbone(name, patch, seed=3)
    generator = torch.Generator().manual_seed(3)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
            nn.init.normal_(module.running_mean, 0, 0.2, generator=generator)
            nn.init.uniform_(module.running_var, 0.5, 4, generator=generator)
    return backbone


def pairs(backbone):
    """Names of the batch norms that take the output of a convolution which nothing else takes, by a trace."""
    modules, found = dict(backbone.named_modules()), []
    for node in fx.symbolic_trace(backbone.eval()).graph.nodes:
        if isinstance(modules.get(node.target), nn.BatchNorm2d):
            before = node.args[0]
            if isinstance(modules.get(before.target), nn.Conv2d) and len(before.users) == 1:
                found.append(node.target)
    return found


@pytest.mark.parametrize("name", list(REGISTRY))
@pytest.mark.parametrize("patch", [44, 96])
@torch.no_grad()
def test_the_outputs_are_those_of_the_network(name, patch):
    backbone = trained(name, patch)
    x = torch.randn(3, 3, patch, patch, generator=torch.Generator().manual_seed(4))
    found, expected = folded(backbone)(x), backbone.eval()(x)
    scale = expected.abs().max().item()
    assert scale > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_every_pair_is_folded_and_no_other_norm(name):
    with torch.device("meta"):
        backbone = REGISTRY[name](44)
    found = pairs(copy.deepcopy(backbone))
    norms = {key for key, module in backbone.named_modules() if isinstance(module, nn.BatchNorm2d)}
    left = {key for key, module in folded(backbone).named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert len(found) == NUM_PAIRS[name]
    assert left == norms - set(found)


@pytest.mark.parametrize("name", ["resnet18", "fmpnet"])
def test_the_given_network_is_not_touched(name):
    backbone = trained(name, 44)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    result = folded(backbone)
    assert backbone.training
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert before.keys() == backbone.state_dict().keys()
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    own = {value.data_ptr() for value in backbone.state_dict().values()}
    assert own.isdisjoint(value.data_ptr() for value in result.state_dict().values())


@torch.no_grad()
def test_a_backbone_inside_a_network_is_folded():
    network = nn.Sequential(trained("resnet18", 44), nn.Dropout(0.5), nn.Linear(512, 7))
    x = torch.randn(2, 3, 44, 44, generator=torch.Generator().manual_seed(5))
    result = folded(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in result.modules())
    assert not any(module.training for module in result.modules())
    assert not any(parameter.requires_grad for parameter in result.parameters())
    torch.testing.assert_close(result(x), network.eval()(x), rtol=1e-4, atol=1e-5)


def test_a_network_without_pairs_is_copied():
    network = nn.Linear(3, 2)
    result = folded(network)
    assert result is not network
    assert torch.equal(result.weight, network.weight)
    assert not result.training
