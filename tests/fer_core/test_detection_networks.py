"""The networks against a slow transcription with the arrays as they are published: (H, W, C) pictures, loops."""

import numpy as np
import pytest
import torch

from fer_core.detection import weights
from fer_core.detection.networks import ONet, PNet, RNet, with_published_weights

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def published(name):
    data = weights.lz4.frame.decompress(weights.weights_file(name).read_bytes())
    return iter([weights._array(data, *place).astype(np.float64) for place in weights.LAYOUT[name].values()])


def convolve(x, kernel, bias):
    rows, columns = x.shape[0] - kernel.shape[0] + 1, x.shape[1] - kernel.shape[1] + 1
    out = np.empty((rows, columns, kernel.shape[3]))
    for row in range(rows):
        for column in range(columns):
            patch = x[row : row + kernel.shape[0], column : column + kernel.shape[1]]
            out[row, column] = np.tensordot(patch, kernel, axes=3) + bias
    return out


def pool(x, side, cut_at_the_end):
    """Maxima over windows of `side`, stride 2; the last may be cut by the edge ("same") or is left out ("valid")."""
    starts = [range(0, size if cut_at_the_end else size - side + 1, 2) for size in x.shape[:2]]
    return np.array([[x[a : a + side, b : b + side].max(axis=(0, 1)) for b in starts[1]] for a in starts[0]])


def prelu(x, slope):
    return np.where(x > 0, x, slope * x)


def block(x, arrays):
    return prelu(convolve(x, next(arrays), next(arrays)), next(arrays))


def flat_by_columns(x, kernel):
    return x.transpose(1, 0, 2).ravel() @ kernel.reshape(-1, kernel.shape[-1])


def face_probability(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True))[..., 1]


def slow_pnet(x):
    arrays = published("pnet")
    x = block(block(pool(block(x, arrays), 2, True), arrays), arrays)
    box = convolve(x, next(arrays), next(arrays))
    return face_probability(convolve(x, next(arrays), next(arrays))), box


def slow_rnet(x):
    arrays = published("rnet")
    x = pool(block(x, arrays), 3, True)
    x = block(pool(block(x, arrays), 3, False), arrays)
    x = prelu(flat_by_columns(x, next(arrays)) + next(arrays), next(arrays))
    box = x @ next(arrays) + next(arrays)
    return face_probability(x @ next(arrays) + next(arrays)), box


def slow_onet(x):
    arrays = published("onet")
    x = pool(block(x, arrays), 3, True)
    x = pool(block(x, arrays), 3, False)
    x = block(pool(block(x, arrays), 2, True), arrays)
    x = prelu(flat_by_columns(x, next(arrays)) + next(arrays), next(arrays))
    box, landmarks = x @ next(arrays) + next(arrays), x @ next(arrays) + next(arrays)
    return face_probability(x @ next(arrays) + next(arrays)), box, landmarks


def pictures(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape)


def judge(network, pictures_NHWC):
    with torch.inference_mode():
        return with_published_weights(network)(torch.from_numpy(pictures_NHWC).float().permute(0, 3, 1, 2))


@pytest.mark.parametrize("size", [(12, 12), (17, 23), (24, 13)])
def test_pnet_is_the_published_one_at_even_and_odd_sizes(size):
    given = pictures(2, *size, 3)
    verdict = judge(PNet(), given)
    for number, picture in enumerate(given):
        face, box = slow_pnet(picture)
        np.testing.assert_allclose(verdict.face[number], face, **TOLERANCE)
        np.testing.assert_allclose(verdict.box[number].permute(1, 2, 0), box, **TOLERANCE)


@pytest.mark.parametrize(("network", "slow"), [(RNet, slow_rnet), (ONet, slow_onet)])
def test_refining_networks_are_the_published_ones(network, slow):
    given = pictures(2, network.SIDE, network.SIDE, 3)
    verdict = judge(network(), given)
    for number, picture in enumerate(given):
        for ours, theirs in zip((part[number] for part in verdict if part is not None), slow(picture), strict=True):
            np.testing.assert_allclose(ours, theirs, **TOLERANCE)
