import json

import numpy as np
import pytest
import torch

from fer_core.landmarks.generation import transfer, traversals
from fer_core.landmarks.networks import LandmarkNetwork


def linear_decoder(directions_KX):
    return lambda y_BX, z_BK: y_BX + z_BK @ directions_KX


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network_of(num_points=6, with_neutral=True):
    torch.manual_seed(0)
    return LandmarkNetwork(num_points, with_neutral, latent_size=4).eval()


@pytest.mark.parametrize("spread", [2.0, torch.tensor([1.0, 2.0, 0.5, 3.0])])
@pytest.mark.parametrize("steps", [2, 5])
def test_traversals_equal_the_loops(spread, steps):
    network = network_of()
    z_K, y_X = normal(4, seed=1), normal(18, seed=2)
    found = traversals(network.decode, z_K, y_X, spread, steps)
    assert found.face_KSP3.shape == (4, steps, 6, 3)
    reach_K = torch.as_tensor(spread).expand(4)
    for place, k in enumerate(found.dimension_K.tolist()):
        for step in range(steps):
            changed = z_K.clone()
            changed[k] += reach_K[k] * (2 * step / (steps - 1) - 1)
            expected = network.decode(y_X[None], changed[None]).detach().reshape(6, 3)
            np.testing.assert_allclose(found.face_KSP3[place, step], expected, atol=1e-5)
            assert found.value_KS[place, step] == pytest.approx(changed[k].item(), abs=1e-6)


def test_most_telling_dimensions_come_first():
    size_K = [0.1, 3.0, 0.0, 1.0]
    directions_KX = torch.stack([size * torch.tensor([0.0, 0.6, 0.8] * 6) for size in size_K])
    found = traversals(linear_decoder(directions_KX), torch.zeros(4), torch.zeros(18), spread=2.0)
    assert found.dimension_K.tolist() == [1, 3, 0, 2]
    np.testing.assert_allclose(found.movement_K, [12.0, 4.0, 0.4, 0.0], rtol=1e-6)
    assert found.face_KSP3.shape == (4, 7, 6, 3)


def test_the_middle_face_is_that_of_the_start():
    network = network_of()
    z_K, y_X = normal(4), normal(18)
    found = traversals(network.decode, z_K, y_X, steps=7)
    expected = network.decode(y_X[None], z_K[None]).detach().reshape(6, 3)
    for faces in found.face_KSP3:
        np.testing.assert_allclose(faces[3], expected, atol=1e-6)
    assert (traversals(network.decode, torch.zeros(4), y_X).value_KS[:, 3] == 0).all()


def test_transfer_is_encode_and_decode_with_the_other_neutral():
    network = network_of()
    x_from, y_from, y_to = normal(3, 18)
    made = transfer(network.encode, network.decode, x_from, y_from, y_to)
    mu_BK, _ = network.encode(x_from[None], y_from[None])
    expected = network.decode(y_to[None], mu_BK).detach().reshape(6, 3)
    np.testing.assert_allclose(made.transferred, expected, atol=1e-6)
    np.testing.assert_array_equal(made.source, x_from.reshape(6, 3))
    np.testing.assert_array_equal(made.source_neutral, y_from.reshape(6, 3))
    np.testing.assert_array_equal(made.target_neutral, y_to.reshape(6, 3))


def test_a_decoder_that_adds_to_the_neutral_carries_the_expression_over():
    directions_KX = torch.eye(18)

    def encode(x_BX, y_BX):
        return x_BX - y_BX, torch.zeros_like(x_BX)

    x_from, y_from, y_to = normal(3, 18)
    made = transfer(encode, linear_decoder(directions_KX), x_from, y_from, y_to)
    np.testing.assert_allclose(made.transferred - made.target_neutral, made.source - made.source_neutral, atol=1e-5)


def test_the_standard_vae_ignores_the_other_person():
    network = network_of(with_neutral=False)
    x_from, y_from, y_to, y_third = normal(4, 18)
    first, second = (transfer(network.encode, network.decode, x_from, y_from, y) for y in (y_to, y_third))
    np.testing.assert_array_equal(first.transferred, second.transferred)


def test_results_are_json():
    network = network_of()
    found = traversals(network.decode, torch.zeros(4), torch.zeros(18), steps=3)
    read = json.loads(json.dumps(found.as_json()))
    assert len(read) == 4
    assert set(read[0]) == {"dimension", "movement", "values", "faces"}
    np.testing.assert_allclose(read[0]["faces"], found.face_KSP3[0], atol=1e-4)
    made = transfer(network.encode, network.decode, *normal(3, 18))
    read = json.loads(json.dumps(made.as_json()))
    np.testing.assert_allclose(read["transferred"], made.transferred, atol=1e-4)
    assert list(read) == ["source", "source_neutral", "target_neutral", "transferred"]


def test_impossible_steps_and_spreads():
    network = network_of()
    for more in ({"steps": 1}, {"spread": 0.0}, {"spread": torch.ones(3)}):
        with pytest.raises(ValueError, match="steps"):
            traversals(network.decode, torch.zeros(4), torch.zeros(18), **more)
