"""The published weights of the three networks, read as raw arrays out of the wheel of `mtcnn` 1.0.0 (MIT).

The files are lz4-compressed pickles. They are never unpickled: each is pinned by its hash, so every array lies at
a known offset. The package itself is never imported, as it needs TensorFlow.
"""

import hashlib
from importlib.util import find_spec
from math import prod
from pathlib import Path

import lz4.frame
import numpy as np
import torch

from fer_core.errors import InputError

WAY_OUT = "pip install mtcnn==1.0.0"

SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""Of the compressed files."""

LAYOUT: dict[str, dict[str, tuple[int, tuple[int, ...]]]] = {
    "pnet": {
        "conv1.weight": (240, (3, 3, 3, 10)),
        "conv1.bias": (1376, (10,)),
        "prelu1.weight": (1472, (10,)),
        "conv2.weight": (1568, (3, 3, 10, 16)),
        "conv2.bias": (7376, (16,)),
        "prelu2.weight": (7504, (16,)),
        "conv3.weight": (7632, (3, 3, 16, 32)),
        "conv3.bias": (26112, (32,)),
        "prelu3.weight": (26304, (32,)),
        "box.weight": (26496, (1, 1, 32, 4)),
        "box.bias": (27056, (4,)),
        "face.weight": (27136, (1, 1, 32, 2)),
        "face.bias": (27440, (2,)),
    },
    "rnet": {
        "conv1.weight": (240, (3, 3, 3, 28)),
        "conv1.bias": (3312, (28,)),
        "prelu1.weight": (3488, (28,)),
        "conv2.weight": (3664, (3, 3, 28, 48)),
        "conv2.bias": (52096, (48,)),
        "prelu2.weight": (52352, (48,)),
        "conv3.weight": (52608, (2, 2, 48, 64)),
        "conv3.bias": (101808, (64,)),
        "prelu3.weight": (102128, (64,)),
        "dense.weight": (102448, (3, 3, 64, 128)),
        "dense.bias": (397408, (128,)),
        "prelu4.weight": (397968, (128,)),
        "box.weight": (398528, (128, 4)),
        "box.bias": (400624, (4,)),
        "face.weight": (400688, (128, 2)),
        "face.bias": (401760, (2,)),
    },
    "onet": {
        "conv1.weight": (240, (3, 3, 3, 32)),
        "conv1.bias": (3744, (32,)),
        "prelu1.weight": (3936, (32,)),
        "conv2.weight": (4128, (3, 3, 32, 64)),
        "conv2.bias": (77904, (64,)),
        "prelu2.weight": (78224, (64,)),
        "conv3.weight": (78544, (3, 3, 64, 64)),
        "conv3.bias": (226048, (64,)),
        "prelu3.weight": (226368, (64,)),
        "conv4.weight": (226688, (2, 2, 64, 128)),
        "conv4.bias": (357808, (128,)),
        "prelu4.weight": (358384, (128,)),
        "dense.weight": (358960, (3, 3, 128, 256)),
        "dense.bias": (1538656, (256,)),
        "prelu5.weight": (1539728, (256,)),
        "box.weight": (1540816, (256, 4)),
        "box.bias": (1544960, (4,)),
        "landmarks.weight": (1545040, (256, 10)),
        "landmarks.bias": (1555328, (10,)),
        "face.weight": (1555424, (256, 2)),
        "face.bias": (1557520, (2,)),
    },
}
"""Network -> name here -> byte offset in the decompressed file and shape there, all float32.

Kernels are (height, width, in, out). The first dense layer reads its picture column by column, so its rows are
(width, height, channel): written out as four dimensions.
"""


def published_weights(network: str) -> dict[str, torch.Tensor]:
    """The state dict of one network of `fer_core.detection.networks`: `pnet`, `rnet` or `onet`.

    Raises:
        InputError: the wheel is not installed, or its file is not the one that the offsets are for.
    """
    data = lz4.frame.decompress(_checked(weights_file(network), SHA256[network]))
    return {name: _in_torch_order(name, _array(data, *place)) for name, place in LAYOUT[network].items()}


def weights_file(network: str) -> Path:
    """Where the installed wheel has the file of `pnet`, `rnet` or `onet`.

    Raises:
        InputError: the wheel is not installed.
    """
    package = find_spec("mtcnn")
    if package is None or package.origin is None:
        raise InputError(f"face detection needs the weights in the wheel of mtcnn, which is not installed: {WAY_OUT}")
    return Path(package.origin).parent / "assets" / "weights" / f"{network}.lz4"


def _checked(file: Path, sha256: str) -> bytes:
    if not file.exists():
        raise InputError(f"{file} is missing: {WAY_OUT}")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{file} is not the file of mtcnn 1.0.0 (its SHA-256 differs): {WAY_OUT}")
    return data


def _array(data: bytes, offset: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(data, np.float32, prod(shape), offset).reshape(shape)


def _in_torch_order(name: str, array: np.ndarray) -> torch.Tensor:
    """Outputs first, then channels, rows, columns; the first dense layer flattened in that order."""
    if array.ndim == 1:
        return torch.from_numpy(array.copy())
    if name == "dense.weight":
        array = array.transpose(1, 0, 2, 3)
    ordered = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    flat = ordered.reshape(len(ordered), -1) if name == "dense.weight" else ordered
    return torch.from_numpy(np.ascontiguousarray(flat))
