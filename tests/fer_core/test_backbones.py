import pytest
import torch
from torch import nn

from fer_core.backbones import REGISTRY
from fer_core.backbones.weights import build_backbone

NUM_FEATURES = {
    "resnet18": 512,
    "fmpnet": 1024,
    "cvgg13": 1024,
    "alexnet": 4096,
    "preact_resnet18": 512,
    "resnet50": 2048,
}
NUM_PARAMETERS = {
    "resnet18": 11_689_512 - 513_000,
    # 5x5x64, 3x3x64 twice, 3x3x128 twice, three batch norms, 4608 x 1024, 1024 x 1024
    "fmpnet": 1_664 + 2 * 36_928 + 73_856 + 147_584 + 2 * (64 + 64 + 128) + 4_719_616 + 1_049_600,
    # the published FER+ network has 8,757,704, of which 8,200 belong to its 8 classes
    "cvgg13": 8_757_704 - 8_200,
    "alexnet": 61_100_840 - 4_097_000,
    # its three shortcuts have no norm; that of the first block is gone and one of 512 stands behind the last
    "preact_resnet18": 11_176_512 - 2 * (128 + 256 + 512),
    "resnet50": 25_557_032 - 2_049_000,
}


def pictures(patch, num=2, seed=0):
    return torch.randn(num, 3, patch, patch, generator=torch.Generator().manual_seed(seed))


def without_values(name, patch):
    with torch.device("meta"):
        return REGISTRY[name](patch)


every = pytest.mark.parametrize("name", list(REGISTRY))
light = pytest.mark.parametrize("name", [name for name in REGISTRY if name != "alexnet"])
"""AlexNet's 57 million weights take a second to draw; it draws them as FMPNet and CVGG13 do."""


def test_every_backbone_is_described_here():
    assert REGISTRY.keys() == NUM_FEATURES.keys() == NUM_PARAMETERS.keys()


@every
@pytest.mark.parametrize("patch", [16, 24, 32, 44, 48, 64, 95, 96, 224])
def test_features_of_every_patch_have_the_promised_size(name, patch):
    backbone = without_values(name, patch).eval()
    features_BF = backbone(torch.empty(2, 3, patch, patch, device="meta"))
    assert features_BF.shape == (2, backbone.num_features) == (2, NUM_FEATURES[name])
    assert sum(value.numel() for value in backbone.parameters()) == NUM_PARAMETERS[name]


@every
def test_names_and_shapes_do_not_depend_on_the_patch(name):
    small, large = without_values(name, 44).state_dict(), without_values(name, 224).state_dict()
    assert [(key, value.shape) for key, value in small.items()] == [(key, value.shape) for key, value in large.items()]


@every
def test_features_tell_pictures_apart_and_every_parameter_learns(name):
    backbone = build_backbone(name, 44, seed=0)
    torch.manual_seed(0)
    features_BF = backbone(pictures(44, num=4))
    assert features_BF.isfinite().all()
    assert not torch.allclose(features_BF[0], features_BF[1], rtol=1e-3)
    features_BF.square().sum().backward()
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@light
def test_initial_weights_go_by_the_seed_alone(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_backbone(name, 24, seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = build_backbone(name, 224, seed=7).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = build_backbone(name, 24, seed=8).state_dict()
    assert all(not torch.equal(first[key], other[key]) for key in first if first[key].ndim > 1)


def test_a_seed_gives_resnet18_the_weights_it_always_gave():
    backbone = build_backbone("resnet18", 44, seed=7)
    assert backbone.conv1.weight.flatten()[:2].tolist() == pytest.approx([0.0214281362, -0.0116656804], rel=1e-6)
    last = backbone.layer4[1].conv2.weight.flatten()[-2:].tolist()
    assert last == pytest.approx([-0.0034472754, 0.0140381185], rel=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "preact_resnet18"])
@pytest.mark.parametrize(("patch", "stride"), [(24, 1), (95, 1), (96, 2), (224, 2)])
def test_the_first_convolution_of_a_resnet_keeps_the_resolution_of_small_patches(name, patch, stride):
    assert without_values(name, patch).conv1.stride == (stride, stride)


@torch.no_grad()
@pytest.mark.parametrize(("patch", "side"), [(32, 3), (44, 4), (95, 11), (96, 2), (224, 6)])
def test_alexnet_leaves_a_map_of_small_patches(patch, side):
    # at 44 its published stem leaves none
    backbone = without_values("alexnet", patch)
    assert backbone.features(torch.empty(2, 3, patch, patch, device="meta")).shape == (2, 256, side, side)


@torch.no_grad()
@pytest.mark.parametrize(("name", "patch"), [("fmpnet", 48), ("cvgg13", 64), ("alexnet", 224)])
def test_the_published_size_fills_the_first_full_connection_as_published(name, patch):
    backbone = REGISTRY[name](patch).eval()  # with values: a map without any equals every other
    pool = backbone.avgpool if name == "alexnet" else backbone.pool
    seen = []
    pool.register_forward_hook(lambda module, arguments, output: seen.append((arguments[0], output)))
    backbone(pictures(patch))
    assert torch.equal(*seen[0])


@torch.no_grad()
@pytest.mark.parametrize("name", ["fmpnet", "cvgg13"])
def test_networks_for_grey_see_the_mean_of_the_channels(name):
    backbone, x = REGISTRY[name](44).eval(), pictures(44)
    mean = x.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(backbone(x), backbone(mean), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backbone(x), backbone(x.flip(1)), rtol=1e-4, atol=1e-5)


def test_cvgg13_is_the_published_sequence():
    kinds = {nn.Conv2d: "C", nn.ReLU: "", nn.MaxPool2d: "M", nn.Dropout: "D", nn.Linear: "F"}
    backbone = without_values("cvgg13", 64)
    layers = [*backbone.features, *backbone.classifier]
    assert "".join(kinds[type(layer)] for layer in layers) == "CCMD" * 2 + "CCCMD" * 2 + "FD" * 2
    assert [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)] == [64] * 2 + [128] * 2 + [256] * 6
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.25] * 4 + [0.5] * 2


@torch.no_grad()
def test_the_first_block_of_the_preactivated_network_shares_its_activation():
    # He et al. 2016: right after the first convolution and before the two paths part
    block = REGISTRY["preact_resnet18"](44).layer1[0].eval()
    x = pictures(8)[:, :1].expand(-1, 64, -1, -1)
    nn.init.zeros_(block.conv2.weight)
    assert block.bn1 is None
    assert torch.equal(block(x), x)


@torch.no_grad()
def test_a_preactivated_block_passes_its_input_on_unchanged():
    block = REGISTRY["preact_resnet18"](44).layer2[1].eval()
    x = pictures(8)[:, :1].expand(-1, 128, -1, -1)
    nn.init.zeros_(block.conv2.weight)
    assert torch.equal(block(x), x)
