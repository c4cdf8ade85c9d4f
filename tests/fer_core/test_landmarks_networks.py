import numpy as np
import pytest
import torch
from torch import nn

from fer_core.landmarks.networks import LandmarkNetwork
from fer_core.losses.vae import elbo_loss


def widths(layers, head):
    linears = [*(layer for layer in layers if isinstance(layer, nn.Linear)), head]
    return [linears[0].in_features, *(layer.out_features for layer in linears)]


def vectors(num_rows, num_points=83, seed=0):
    return torch.randn(num_rows, 6 * num_points, generator=torch.Generator().manual_seed(seed))


def test_layers_are_the_printed_ones():
    network = LandmarkNetwork()
    assert widths(network.encoder, network.mu) == [498, 480, 240, 120, 60, 30]
    assert widths(network.encoder, network.logvar) == [498, 480, 240, 120, 60, 30]
    assert widths(network.decoder, network.output) == [279, 300, 400, 300, 249]
    vae = LandmarkNetwork(with_neutral=False)
    assert widths(vae.encoder, vae.mu) == [249, 480, 240, 120, 60, 30]
    assert widths(vae.decoder, vae.output) == [30, 60, 120, 240, 480, 249]
    assert [type(layer) for layer in network.encoder[:3]] == [nn.Linear, nn.ELU, nn.Dropout]
    assert {layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)} == {0.1}


@pytest.mark.parametrize("num_points", [5, 68, 468])
def test_ends_follow_the_number_of_landmarks(num_points):
    network = LandmarkNetwork(num_points, latent_size=7, encoder_hidden=(40, 20), decoder_hidden=(50,))
    size = 3 * num_points
    assert widths(network.encoder, network.mu) == [2 * size, 40, 20, 7]
    assert widths(network.decoder, network.output) == [size + 7, 50, size]


@pytest.mark.parametrize("with_neutral", [False, True])
def test_forward_is_encode_sample_decode(with_neutral):
    network = LandmarkNetwork(6, with_neutral, num_samples=4).eval()
    xy_B2X = vectors(5, 6)
    network.set_mean(xy_B2X)
    torch.manual_seed(0)
    coded = network(xy_B2X)
    x_BX, y_BX = xy_B2X[:, :18], xy_B2X[:, 18:]
    mu_BK, logvar_BK = network.encode(x_BX, y_BX)
    assert torch.equal(coded.mu_BK, mu_BK)
    assert torch.equal(coded.logvar_BK, logvar_BK)
    assert mu_BK.shape == (5, 30)
    assert torch.equal(coded.target_BX, x_BX - network.mean_X)
    assert coded.decoded_BLX.shape == (5, 4, 18)
    torch.manual_seed(0)
    noise_LBK = torch.randn(4, 5, 30)
    for sample in range(4):
        z_BK = mu_BK + (logvar_BK / 2).exp() * noise_LBK[sample]
        expected = network.decode(y_BX, z_BK) - network.mean_X
        torch.testing.assert_close(coded.decoded_BLX[:, sample], expected, rtol=0, atol=1e-5)


def test_the_training_mean_is_of_x_and_part_of_the_state():
    xy_N2X = vectors(40, 5) + 3
    network = LandmarkNetwork(5)
    network.set_mean(xy_N2X)
    np.testing.assert_allclose(network.state_dict()["mean_X"], xy_N2X[:, :15].mean(dim=0), atol=1e-6)


def test_shifted_faces_with_their_mean_are_decoded_shifted():
    xy_N2X = vectors(8, 5)
    torch.manual_seed(0)
    network = LandmarkNetwork(5).eval()
    network.set_mean(xy_N2X)
    x_NX, y_NX = xy_N2X.chunk(2, dim=1)
    z_NK = network.encode(x_NX, y_NX)[0]
    decoded = network.decode(y_NX, z_NK)
    network.set_mean(xy_N2X + 5)
    torch.testing.assert_close(network.encode(x_NX + 5, y_NX + 5)[0], z_NK, rtol=0, atol=1e-4)
    torch.testing.assert_close(network.decode(y_NX + 5, z_NK), decoded + 5, rtol=0, atol=1e-4)


def test_only_m1_looks_at_the_neutral_face():
    xy_B2X = vectors(3, 5)
    other = torch.cat([xy_B2X[:, :15], vectors(3, 5, seed=1)[:, 15:]], dim=1)
    for with_neutral in (False, True):
        torch.manual_seed(0)
        network = LandmarkNetwork(5, with_neutral).eval()
        z_BK = torch.zeros(3, 30)
        assert torch.equal(network(xy_B2X).mu_BK, network(other).mu_BK) != with_neutral
        same = torch.equal(network.decode(xy_B2X[:, 15:], z_BK), network.decode(other[:, 15:], z_BK))
        assert same != with_neutral


def test_dropout_only_in_training():
    network = LandmarkNetwork(5)
    xy_B2X = vectors(2, 5)
    assert not torch.equal(network(xy_B2X).mu_BK, network(xy_B2X).mu_BK)
    network.eval()
    assert torch.equal(network(xy_B2X).mu_BK, network(xy_B2X).mu_BK)


@pytest.mark.parametrize("with_neutral", [False, True])
def test_every_parameter_learns(with_neutral):
    network = LandmarkNetwork(5, with_neutral)
    coded = network(vectors(4, 5))
    elbo_loss(coded.target_BX, coded.decoded_BLX, coded.mu_BK, coded.logvar_BK).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_impossible_sizes():
    for sizes in ({"num_points": 4}, {"latent_size": 0}, {"num_samples": 0}):
        with pytest.raises(ValueError, match="5 or more"):
            LandmarkNetwork(**sizes)
