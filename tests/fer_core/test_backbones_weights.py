import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fer_core.backbones import REGISTRY
from fer_core.backbones.weights import build_backbone, load_published_weights
from fer_core.errors import InputError


def norm_shapes(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def basic_block(name, before, channels):
    shapes = {f"{name}.conv1.weight": (channels, before, 3, 3)} | norm_shapes(f"{name}.bn1", channels)
    shapes |= {f"{name}.conv2.weight": (channels, channels, 3, 3)} | norm_shapes(f"{name}.bn2", channels)
    return shapes | shortcut(name, before, channels), channels


def bottleneck(name, before, channels):
    shapes = {f"{name}.conv1.weight": (channels, before, 1, 1)} | norm_shapes(f"{name}.bn1", channels)
    shapes |= {f"{name}.conv2.weight": (channels, channels, 3, 3)} | norm_shapes(f"{name}.bn2", channels)
    shapes |= {f"{name}.conv3.weight": (4 * channels, channels, 1, 1)} | norm_shapes(f"{name}.bn3", 4 * channels)
    return shapes | shortcut(name, before, 4 * channels), 4 * channels


def shortcut(name, before, after):
    if before == after:
        return {}
    return {f"{name}.downsample.0.weight": (after, before, 1, 1)} | norm_shapes(f"{name}.downsample.1", after)


def resnet_shapes(block, num_blocks):
    """Names and shapes of torchvision's ResNets, without their classifier."""
    shapes, before = {"conv1.weight": (64, 3, 7, 7)} | norm_shapes("bn1", 64), 64
    for layer, num in enumerate(num_blocks):
        for number in range(num):
            more, before = block(f"layer{layer + 1}.{number}", before, 64 * 2**layer)
            shapes |= more
    return shapes


ALEXNET_SHAPES = {
    "features.0.weight": (64, 3, 11, 11),
    "features.0.bias": (64,),
    "features.3.weight": (192, 64, 5, 5),
    "features.3.bias": (192,),
    "features.6.weight": (384, 192, 3, 3),
    "features.6.bias": (384,),
    "features.8.weight": (256, 384, 3, 3),
    "features.8.bias": (256,),
    "features.10.weight": (256, 256, 3, 3),
    "features.10.bias": (256,),
    "classifier.1.weight": (4096, 9216),
    "classifier.1.bias": (4096,),
    "classifier.4.weight": (4096, 4096),
    "classifier.4.bias": (4096,),
}
"""Of torchvision's AlexNet, without classifier.6."""

PUBLISHED = {
    "resnet18": (resnet_shapes(basic_block, (2, 2, 2, 2)), 100),
    "resnet50": (resnet_shapes(bottleneck, (3, 4, 6, 3)), 265),
    "alexnet": (ALEXNET_SHAPES, 14),
}


def floats_of(backbone):
    return {name: value for name, value in backbone.state_dict().items() if "num_batches" not in name}


def state_of(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def published_state(seed=0):
    state = state_of(PUBLISHED["resnet18"][0], seed)
    return state | {"fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}


@pytest.mark.parametrize("name", list(PUBLISHED))
@pytest.mark.parametrize("patch", [44, 224])
def test_names_and_shapes_are_torchvisions(name, patch):
    with torch.device("meta"):
        backbone = REGISTRY[name](patch)
    shapes, num_tensors = PUBLISHED[name]
    assert {key: tuple(value.shape) for key, value in floats_of(backbone).items()} == shapes
    assert len(shapes) == num_tensors


def test_torchvisions_names_are_spelt_so():
    # literally, as the tables above are made by a rule
    assert PUBLISHED["resnet50"][0]["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert PUBLISHED["resnet50"][0]["layer2.0.conv1.weight"] == (128, 256, 1, 1)
    assert PUBLISHED["resnet50"][0]["layer3.5.bn3.running_var"] == (1024,)
    assert PUBLISHED["resnet50"][0]["layer4.2.conv2.weight"] == (512, 512, 3, 3)
    assert "layer3.6.conv1.weight" not in PUBLISHED["resnet50"][0]
    assert PUBLISHED["resnet18"][0]["layer4.0.downsample.1.running_mean"] == (512,)
    assert "layer1.0.downsample.0.weight" not in PUBLISHED["resnet18"][0]


def test_the_stride_of_a_bottleneck_is_in_its_3x3():
    with torch.device("meta"):
        block = REGISTRY["resnet50"](224).layer2[0]
    assert [convolution.stride for convolution in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_published_weights_load_without_their_classifier(tmp_path, ending):
    state, file = published_state(), tmp_path / f"resnet18{ending}"
    (save_file if ending == ".safetensors" else torch.save)(state, file)
    loaded = floats_of(build_backbone("resnet18", 224, seed=0, weights=file))
    assert all(torch.equal(loaded[name], state[name]) for name in loaded)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet50", {"fc.weight": (1000, 2048), "fc.bias": (1000,)}),
        ("alexnet", {"classifier.6.weight": (1000, 4096), "classifier.6.bias": (1000,)}),
    ],
)
def test_each_backbone_leaves_out_its_own_published_classifier(tmp_path, name, head):
    shapes, file = PUBLISHED[name][0] | head, tmp_path / "published.safetensors"
    state = {key: torch.full(shape, float(number)) for number, (key, shape) in enumerate(shapes.items())}
    save_file(state, file)
    loaded = floats_of(build_backbone(name, 44, seed=0, weights=file))
    file.unlink()  # AlexNet has 240 MB
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)
    assert loaded.keys() | head.keys() == state.keys()


class Run(nn.Module):
    """Like the network of a run: a backbone and a head of its own."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.num_features, 7)


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
@pytest.mark.parametrize("name", ["resnet18", "fmpnet", "cvgg13", "preact_resnet18"])
def test_the_network_of_a_run_lends_its_backbone_at_another_patch(tmp_path, name, ending):
    file = tmp_path / f"network{ending}"
    run = Run(build_backbone(name, 44, seed=1))
    run.backbone(torch.rand(4, 3, 44, 44))  # moves the statistics of the batch norms
    (save_file if ending == ".safetensors" else torch.save)(run.state_dict(), file)
    loaded, trained = floats_of(build_backbone(name, 96, seed=2, weights=file)), floats_of(run.backbone)
    assert loaded.keys() == trained.keys()
    assert all(torch.equal(loaded[key], trained[key]) for key in loaded)


def test_the_network_of_a_run_with_another_backbone_is_refused(tmp_path):
    torch.save(Run(build_backbone("fmpnet", 44, seed=1)).state_dict(), tmp_path / "network.pt")
    with pytest.raises(InputError, match=r"has no tensor conv1\.weight; is it a ResNet18"):
        build_backbone("resnet18", 44, seed=2, weights=tmp_path / "network.pt")


def test_weights_with_batch_counters_load_too(tmp_path):
    state = build_backbone("resnet18", 24, seed=1).state_dict()
    torch.save(state, tmp_path / "own.pt")
    loaded = floats_of(build_backbone("resnet18", 24, seed=2, weights=tmp_path / "own.pt"))
    assert all(torch.equal(loaded[name], state[name]) for name in loaded)


def test_a_missing_tensor_is_named(tmp_path):
    state = published_state()
    del state["layer2.0.downsample.0.weight"]
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"has no tensor layer2\.0\.downsample\.0\.weight; is it a ResNet18"):
        build_backbone("resnet18", 24, seed=0, weights=tmp_path / "other.safetensors")


def test_a_deeper_network_is_not_taken_in_part(tmp_path):
    # ResNet34 has every tensor of ResNet18, and more
    state = state_of(resnet_shapes(basic_block, (3, 4, 6, 3)))
    torch.save(state, tmp_path / "resnet34.pth")
    with pytest.raises(InputError, match=r"has a tensor layer1\.2\.conv1\.weight, which a ResNet18 has not"):
        build_backbone("resnet18", 24, seed=0, weights=tmp_path / "resnet34.pth")


def test_a_tensor_of_another_shape_is_named_and_nothing_is_loaded(tmp_path):
    state = published_state() | {"layer4.1.conv2.weight": torch.zeros(512, 512, 1, 1)}
    torch.save(state, tmp_path / "other.pth")
    backbone = build_backbone("resnet18", 24, seed=0)
    before = backbone.conv1.weight.clone()
    with pytest.raises(InputError, match=r"layer4\.1\.conv2\.weight is \(512, 512, 1, 1\), expected \(512, 512, 3"):
        load_published_weights(backbone, tmp_path / "other.pth")
    assert torch.equal(backbone.conv1.weight, before)


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


@pytest.mark.parametrize("write", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))])
def test_a_pickle_with_code_is_refused_unread(tmp_path, write):
    marker, file = tmp_path / "it-ran", tmp_path / "hostile.pt"
    write({"conv1.weight": Hostile(marker)}, file)
    with pytest.raises(InputError, match="cannot be read as a state dict"):
        build_backbone("resnet18", 24, seed=0, weights=file)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["text.pt", "text.safetensors", "folder"])
def test_what_is_no_weights_file_is_named(tmp_path, name):
    file = tmp_path / name
    file.mkdir() if name == "folder" else file.write_text("not tensors")
    with pytest.raises(InputError, match=f"{name} cannot be read as a state dict"):
        build_backbone("resnet18", 24, seed=0, weights=file)


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_an_absent_weights_file_is_named(tmp_path, ending):
    with pytest.raises(InputError, match=f"absent{ending} does not exist"):
        build_backbone("resnet18", 24, seed=0, weights=tmp_path / f"absent{ending}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], "holds a list, not a state dict"),
        ({"state_dict": {"conv1.weight": torch.zeros(2)}, "epoch": 3}, r"has no tensor conv1\.weight"),
        ({"conv1.weight": 3}, r"has no tensor conv1\.weight"),
    ],
)
def test_other_content_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(InputError, match=message):
        build_backbone("resnet18", 24, seed=0, weights=tmp_path / "other.pt")
