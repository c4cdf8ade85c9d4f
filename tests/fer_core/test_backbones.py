import pickle

import pytest
import torch
from safetensors.torch import save_file

from fer_core.backbones import REGISTRY
from fer_core.backbones.weights import build_backbone, load_published_weights
from fer_core.errors import InputError


def norm_shapes(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def block_shapes(name, before, after):
    shapes = {f"{name}.conv1.weight": (after, before, 3, 3), f"{name}.conv2.weight": (after, after, 3, 3)}
    return shapes | norm_shapes(f"{name}.bn1", after) | norm_shapes(f"{name}.bn2", after)


def published_shapes():
    """Names and shapes of torchvision's resnet18, without its classifier."""
    shapes = {"conv1.weight": (64, 3, 7, 7)} | norm_shapes("bn1", 64)
    for layer, before, after in (("layer1", 64, 64), ("layer2", 64, 128), ("layer3", 128, 256), ("layer4", 256, 512)):
        shapes |= block_shapes(f"{layer}.0", before, after) | block_shapes(f"{layer}.1", after, after)
        if before != after:
            shapes[f"{layer}.0.downsample.0.weight"] = (after, before, 1, 1)
            shapes |= norm_shapes(f"{layer}.0.downsample.1", after)
    return shapes


def floats_of(backbone):
    return {name: value for name, value in backbone.state_dict().items() if "num_batches" not in name}


def published_state(seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.rand(shape, generator=generator) for name, shape in published_shapes().items()}
    return state | {"fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}


@pytest.mark.parametrize("patch", [24, 44, 224])
def test_names_and_shapes_are_torchvisions(patch):
    backbone = REGISTRY["resnet18"](patch)
    assert {name: tuple(value.shape) for name, value in floats_of(backbone).items()} == published_shapes()
    assert len(published_shapes()) == 100
    assert sum(value.numel() for value in backbone.parameters()) == 11_176_512


@pytest.mark.parametrize(("patch", "stride"), [(24, 1), (95, 1), (96, 2), (224, 2)])
def test_the_first_convolution_keeps_the_resolution_of_small_patches(patch, stride):
    assert REGISTRY["resnet18"](patch).conv1.stride == (stride, stride)


def test_features_have_the_promised_size():
    backbone = REGISTRY["resnet18"](24).eval()
    features_BF = backbone(torch.rand(2, 3, 24, 24))
    assert features_BF.shape == (2, backbone.num_features) == (2, 512)
    assert features_BF.isfinite().all()


def test_initial_weights_go_by_the_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_backbone("resnet18", 24, seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = build_backbone("resnet18", 24, seed=7).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = build_backbone("resnet18", 24, seed=8).state_dict()
    assert not torch.equal(first["layer3.1.conv2.weight"], other["layer3.1.conv2.weight"])


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_published_weights_load_without_their_classifier(tmp_path, ending):
    state, file = published_state(), tmp_path / f"resnet18{ending}"
    (save_file if ending == ".safetensors" else torch.save)(state, file)
    loaded = floats_of(build_backbone("resnet18", 224, seed=0, weights=file))
    assert all(torch.equal(loaded[name], state[name]) for name in loaded)


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
