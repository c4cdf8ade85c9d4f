"""The exported network is the model: the same numbers under onnxruntime, for every method and any batch."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

from fer_core.embedding import embed
from fer_core.evaluation.neighbours import knn_predict
from fer_core.files import file_sha256
from fer_core.levels import Level
from fer_core.methods import REGISTRY
from fer_core.onnx_export import DESCRIPTION, NETWORK, TRAINING, export_onnx
from fer_core.predictor import Predictor
from fer_core.runs import RunDescription
from fer_core.targets import Counts
from fer_core.training import build_network

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's exporter's
METHODS = {
    "cnn": {},
    "triplet": {"embedding_size": 6},
    "sgm": {"embedding_size": 6},
    "mul_dml": {"thresholds": [0.2, 0.5], "slice_size": 4},
    "dml_net": {},
    "verification": {"embedding_size": 6},
    "landmark_vae": {"latent_size": 5},
}
FACE, PATCH, POINTS, CLASSES = 30, 24, 83, ["neutral", "happiness", "anger"]
TOLERANCE = 1e-4
UNIT = "mul_dml"
"""To export them all takes too long for the unit lane."""


@pytest.fixture
def predictor(monkeypatch, request):
    """Of a method's network with weights drawn at random, four labels of three classes."""
    method = request.param
    numbers = 6 * POINTS if method == "landmark_vae" else 0
    counts = Counts(labels=4, identities=3, poses=2, numbers=numbers)
    described = RunDescription(
        method=method,
        method_options=METHODS[method],
        backbone="resnet18",
        face_size=FACE,
        patch=PATCH,
        frame_is_face=True,
        classes=CLASSES,
        poses=[0, 45],
        class_of_label=[0, 1, 1, 2],
        counts=vars(counts),
        history=[],
        steps={},
    )
    network = build_network(described.build_method(), "resnet18", PATCH, counts, seed=0).eval()
    randomise(network)
    monkeypatch.setattr("fer_core.predictor.read_description", lambda _: described)
    monkeypatch.setattr("fer_core.predictor.load_network", lambda _: network)
    monkeypatch.setattr("fer_core.predictor.read_level", lambda _: None)
    made = Predictor("run", "level")
    size = embed(made.network, inputs_of(made, 1)).embedding_ND.shape[1] if method == "landmark_vae" else None
    size = size or made.embed_faces(inputs_of(made, 1).numpy()).embedding_ND.shape[1]
    made.level = level_of(size)
    return made


def randomise(network):
    """Statistics of batch norms as after some training, so that folding them away is put to the test."""
    generator = torch.Generator().manual_seed(1)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator) / 10)
        elif name.endswith("running_var"):
            buffer.copy_(1 + torch.rand(buffer.shape, generator=generator))


def level_of(size):
    rng = np.random.default_rng(2)
    empty = np.zeros((0, size))
    label_N = np.arange(24) % 3
    rows = rng.normal(size=(24, size)).astype(np.float32)
    nothing = np.zeros(0)
    return Level(np.arange(24).astype(str), label_N, label_N, rows, empty, empty, nothing, nothing, nothing)


def inputs_of(predictor, count):
    generator = torch.Generator().manual_seed(count)
    if predictor.description.method == "landmark_vae":
        return torch.randn(count, 6 * POINTS, generator=generator)
    return torch.randint(0, 256, (count, FACE, FACE, 3), dtype=torch.uint8, generator=generator)


def test_every_method_is_tried():
    assert set(METHODS) == set(REGISTRY)


@pytest.mark.parametrize(
    "predictor",
    [method if method == UNIT else pytest.param(method, marks=pytest.mark.slow) for method in METHODS],
    indirect=True,
)
def test_onnxruntime_gives_what_torch_gives(predictor, tmp_path):
    said = export_onnx(predictor, tmp_path, {"name": "fer", "version": 3})
    session = onnxruntime.InferenceSession(tmp_path / NETWORK, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == said["outputs"]
    for count in (1, 2, 7):
        inputs = inputs_of(predictor, count)
        found = dict(zip(said["outputs"], session.run(None, {"inputs": inputs.numpy()}), strict=True))
        if predictor.description.method == "landmark_vae":
            given = embed(predictor.network, inputs)
        else:
            given = predictor.embed_faces(inputs.numpy())
        np.testing.assert_allclose(found["embedding"], given.embedding_ND, atol=TOLERANCE)
        assert ("probabilities" in found) == (predictor.decides_by == "classifier")
        if "probabilities" in found:
            share_BC, _ = predictor._by_classifier(given.logits_NC)
            np.testing.assert_allclose(found["probabilities"], share_BC, atol=TOLERANCE)
        assert ("view_probabilities" in found) == (given.pose_logits_NP is not None)
        if "view_probabilities" in found:
            shares = torch.from_numpy(given.pose_logits_NP).softmax(dim=1).numpy()
            np.testing.assert_allclose(found["view_probabilities"], shares, atol=TOLERANCE)
            assert said["views"] == [0, 45]


@pytest.mark.parametrize("predictor", ["sgm"], indirect=True)
def test_what_lies_beside_it_is_enough_to_decide(predictor, tmp_path):
    said = export_onnx(predictor, tmp_path, {"name": "fer", "version": 3})
    assert json.loads((tmp_path / DESCRIPTION).read_text()) == said
    assert (said["name"], said["version"], said["classes"], said["decides_by"]) == ("fer", 3, CLASSES, "neighbours")
    assert said["inputs"] == {"name": "inputs", "type": "uint8", "shape": ["batch", FACE, FACE, 3]}
    assert said["sha256"] == {name: file_sha256(tmp_path / name) for name in (NETWORK, TRAINING)}
    inputs = inputs_of(predictor, 9).numpy()
    session = onnxruntime.InferenceSession(tmp_path / NETWORK, providers=["CPUExecutionProvider"])
    (embedding,) = session.run(["embedding"], {"inputs": inputs})
    training = load_file(tmp_path / TRAINING)
    _, expression = predictor._by_neighbours(predictor.embed_faces(inputs).embedding_ND)
    assert knn_predict(embedding, training["embedding"], training["class"]).tolist() == expression.tolist()
    assert str(Path(__file__).parents[2]).encode() not in (tmp_path / NETWORK).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([NETWORK, DESCRIPTION, TRAINING])
