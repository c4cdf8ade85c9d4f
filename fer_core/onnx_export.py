"""A model as ONNX: the network as one file, what it means as JSON, and the training embeddings that it is decided by.

B inputs of a batch, S side of a face crop and P of its patch (pixels), X numbers of a face's landmarks, L labels,
C classes, D embedding size, N training faces.
"""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from fer_core.files import file_sha256, write_atomically, write_json
from fer_core.methods.landmark_vae import PointNetwork
from fer_core.patches import places
from fer_core.predictor import NEIGHBOURS, Predictor
from fer_core.runs import RunDescription

NETWORK, DESCRIPTION, TRAINING = "network.onnx", "model.json", "training.safetensors"
OPSET = 20
DECISIONS = {
    "classifier": "the expression is the class with the largest of `probabilities`",
    "neighbours": f"the {NEIGHBOURS} rows of `embedding` in {TRAINING} that are nearest to the network's `embedding` "
    "in Euclidean distance vote with their `class`; among equals the class of the nearest of them wins",
    "distance": "two faces show one person where their embeddings' Euclidean distance is below a threshold, which "
    "the model's evaluation gives for a rate of false accepts",
}
"""By what a model decides, see methods.Method.decides_by."""


class _Exported(nn.Module):
    """A model's network from face crops (or landmarks) on, which gives its outputs one after the other."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        described = predictor.description
        self.network, self.patch = predictor.network, described.patch
        self.corner = places(described.face_size, described.patch)[0][0]
        self.register_buffer("class_LC", _class_of_label(described) if _classifies(predictor) else None)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.network, PointNetwork):  # its decoder is for training, and draws at random
            return (self.network.coder.encode(*inputs.chunk(2, dim=1))[0],)
        if inputs.ndim == 4:
            own = slice(self.corner, self.corner + self.patch)
            inputs = inputs[:, own, own]
        outputs = self.network(inputs)
        found = [outputs.embedding_BD]
        if self.class_LC is not None:
            found.append(outputs.logits_BC.softmax(dim=1) @ self.class_LC)
        if outputs.pose_logits_BP is not None:
            found.append(outputs.pose_logits_BP.softmax(dim=1))
        return tuple(found)


def export_onnx(predictor: Predictor, folder: Path, of: dict[str, Any]) -> dict[str, Any]:
    """Write a model's three files to a folder; what its `model.json` says.

    `network.onnx` takes `inputs`: uint8 face crops (B, S, S, 3) RGB, or of a method of landmarks float32 (B, 2X), which
    are landmarks.points.input_vectors of faces beside those of their neutral ones. It gives float32 `embedding` (B, D);
    `probabilities` (B, C) of a model that a classifier decides; `view_probabilities` of one that tells views apart.
    `training.safetensors` has `embedding` (N, D) and `class` (N,) of the faces that were trained on.

    Args:
        of: what else is said of the model, as its name and version.
    """
    inputs, exported = _inputs(predictor.description), _Exported(predictor).eval()
    names = _output_names(predictor, exported, inputs)
    write_atomically(folder / NETWORK, lambda file: _write_network(exported, inputs, names, file))
    level = predictor.level
    training: dict[str, np.ndarray] = {
        "embedding": level.embedding_ND.astype(np.float32),
        "class": level.class_N.astype(np.int64),
    }
    write_atomically(folder / TRAINING, lambda file: save_file(training, file))
    digests = {name: file_sha256(folder / name) for name in (NETWORK, TRAINING)}
    said = {**of, **_described(predictor, inputs, names), "sha256": digests}
    write_json(folder / DESCRIPTION, said)
    return said


def _inputs(described: RunDescription) -> Tensor:
    """Two of what the network takes, so that the exporter does not take the batch for a constant."""
    if described.build_method().inputs == "points":
        return torch.zeros(2, described.counts["numbers"])
    return torch.zeros(2, described.face_size, described.face_size, 3, dtype=torch.uint8)


def _classifies(predictor: Predictor) -> bool:
    return predictor.decides_by == "classifier"


def _class_of_label(described: RunDescription) -> Tensor:
    """(L, C): 1 where the label is of the class."""
    return torch.eye(len(described.classes))[described.class_of_label]


@torch.inference_mode()
def _output_names(predictor: Predictor, exported: nn.Module, inputs: Tensor) -> list[str]:
    wanted = ["embedding", *(["probabilities"] if _classifies(predictor) else []), "view_probabilities"]
    return wanted[: len(exported(inputs))]


def _write_network(exported: nn.Module, inputs: Tensor, names: list[str], file: Path) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch's exporter about its own parts
        program = torch.onnx.export(
            exported,
            (inputs,),
            input_names=["inputs"],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where on this machine its code lies
    program.save(file, external_data=False)


def _described(predictor: Predictor, inputs: Tensor, names: list[str]) -> dict[str, Any]:
    described = predictor.description
    sees_pictures = described.build_method().inputs == "pictures"
    return {
        "method": described.method,
        "inputs": {"name": "inputs", "type": str(inputs.numpy().dtype), "shape": ["batch", *inputs.shape[1:]]},
        "outputs": names,
        "face_size": described.face_size if sees_pictures else None,
        "patch": described.patch if sees_pictures else None,
        "normalisation": "part of the network, as is the cut of the patch out of the crop",
        "classes": list(predictor.classes),
        "views": described.poses if "view_probabilities" in names else None,
        "decides_by": predictor.decides_by,
        "decision": DECISIONS[predictor.decides_by],
        "files": {"network": NETWORK, "training": TRAINING},
    }
