"""The networks of the landmark VAE, M1 and M2 (section V-C and D).

B batch, X = 3P numbers of P landmarks, K latent size, L samples of a latent.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fer_core.losses.vae import sample_latent

LATENT_SIZE = 30
ENCODER_HIDDEN = (480, 240, 120, 60)
DECODER_HIDDEN = (300, 400, 300)
"""Of M1 and M2 at 83 landmarks, as printed: encoder [498, 480, 240, 120, 60, 30], decoder [279, 300, 400, 300, 249].
The ends of both follow the number of landmarks; what lies between stays."""


class Coded(NamedTuple):
    """What a network makes of a batch.

    Attributes:
        mu_BK, logvar_BK: of q(z | x, y); mu is the embedding.
        target_BX: x less the training mean.
        decoded_BLX: f(y, z) for each sample of z, less the training mean.
    """

    mu_BK: Tensor
    logvar_BK: Tensor
    target_BX: Tensor
    decoded_BLX: Tensor


class LandmarkNetwork(nn.Module):
    """Encoder q(z | x, y) and decoder f(y, z) of landmark vectors x and the person's neutral y.

    `with_neutral` False makes the standard VAE, which sees no y: encoder [X, hidden, K], and the decoder its mirror
    (the paper: symmetrical; it prints no sizes). M1 and M2 have the same network and differ in the loss.

    Layers are fully connected with ELU and dropout after each hidden one; mu and logvar are two linear layers on the
    last of the encoder. The training mean is part of the network: all vectors that go in and out have it in them.

    Args:
        num_points: P.
        with_neutral: whether y is seen.
        latent_size: K.
        encoder_hidden, decoder_hidden: sizes of the layers between; None are the printed ones.
        dropout: share of the values that is dropped; 0.1 is the paper's "dropout 0.9", which is what is kept.
        num_samples: L.

    Raises:
        ValueError: fewer than 5 landmarks, no latent dimension, or no sample.
    """

    mean_X: Tensor

    def __init__(
        self,
        num_points: int = 83,
        with_neutral: bool = True,
        latent_size: int = LATENT_SIZE,
        encoder_hidden: Sequence[int] | None = None,
        decoder_hidden: Sequence[int] | None = None,
        dropout: float = 0.1,
        num_samples: int = 3,
    ) -> None:
        super().__init__()
        if num_points < 5 or latent_size < 1 or num_samples < 1:
            raise ValueError(
                f"{num_points} landmarks (5 or more), {latent_size} latents, {num_samples} samples (1 or more)"
            )
        self.num_points, self.with_neutral, self.num_samples = num_points, with_neutral, num_samples
        size, seen = 3 * num_points, 3 * num_points if with_neutral else 0
        encoder_hidden = tuple(encoder_hidden or ENCODER_HIDDEN)
        decoder_hidden = tuple(decoder_hidden or (DECODER_HIDDEN if with_neutral else encoder_hidden[::-1]))
        self.encoder = _hidden_layers((size + seen, *encoder_hidden), dropout)
        self.mu = nn.Linear(encoder_hidden[-1], latent_size)
        self.logvar = nn.Linear(encoder_hidden[-1], latent_size)
        self.decoder = _hidden_layers((seen + latent_size, *decoder_hidden), dropout)
        self.output = nn.Linear(decoder_hidden[-1], size)
        self.register_buffer("mean_X", torch.zeros(size))

    def set_mean(self, xy_N2X: Tensor) -> None:
        """Take the mean of the training part's x, the first half of each row of (N, 2X)."""
        self.mean_X.copy_(xy_N2X[:, : len(self.mean_X)].double().mean(dim=0))

    def forward(self, xy_B2X: Tensor) -> Coded:
        """Encode x, the first half of each row, beside y, the second, and decode samples of the latent.

        The noise comes from torch's current generator, as that of dropout. The standard VAE does not look at y.
        """
        x_BX, y_BX = xy_B2X.chunk(2, dim=1)
        mu_BK, logvar_BK = self.encode(x_BX, y_BX)
        z_LBK = sample_latent(mu_BK, logvar_BK, self.num_samples)
        decoded_LBX = self.decode(y_BX, z_LBK) - self.mean_X
        return Coded(mu_BK, logvar_BK, x_BX - self.mean_X, decoded_LBX.transpose(0, 1))

    def encode(self, x_BX: Tensor, y_BX: Tensor) -> tuple[Tensor, Tensor]:
        """mu (B, K) and logvar (B, K) of q(z | x, y), eq. 3."""
        parts = (x_BX, y_BX) if self.with_neutral else (x_BX,)
        hidden = self.encoder(torch.cat([part - self.mean_X for part in parts], dim=1))
        return self.mu(hidden), self.logvar(hidden)

    def decode(self, y_BX: Tensor, z_BK: Tensor) -> Tensor:
        """The face f(y, z), (B, X), eq. 2; for z of (L, B, K) one for each sample, (L, B, X)."""
        if self.with_neutral:
            z_BK = torch.cat([(y_BX - self.mean_X).expand(*z_BK.shape[:-1], -1), z_BK], dim=-1)
        return self.output(self.decoder(z_BK)) + self.mean_X


def _hidden_layers(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for num_in, num_out in pairwise(sizes):
        layers += [nn.Linear(num_in, num_out), nn.ELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)
