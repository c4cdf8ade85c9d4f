"""Faces that a decoder draws: along one latent dimension, and of one person with another's expression.

K latent size, S steps, P landmarks, X = 3P. Functions take `encode` and `decode` of a network in eval mode.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

Encode = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""x (B, X), y (B, X) -> mu (B, K), logvar (B, K)."""
Decode = Callable[[Tensor, Tensor], Tensor]
"""y (B, X), z (B, K) -> faces (B, X)."""


class Traversals(NamedTuple):
    """Faces along each latent dimension, those that move the face most first.

    Attributes:
        dimension_K: int64, which latent dimension it is.
        movement_K: float64, mean way of a landmark from the first step to the last, in eye distances; descending.
        value_KS: float64, the latent's value at each step.
        face_KSP3: float32 faces.
    """

    dimension_K: np.ndarray
    movement_K: np.ndarray
    value_KS: np.ndarray
    face_KSP3: np.ndarray

    def as_json(self) -> list[dict[str, Any]]:
        """A dictionary a dimension: dimension, movement, values (S,), faces (S, P, 3) in 4 decimals."""
        return [
            {"dimension": int(k), "movement": float(movement), "values": values.tolist(), "faces": _rounded(faces)}
            for k, movement, values, faces in zip(*self, strict=True)
        ]


class Transfer(NamedTuple):
    """A person's face, their neutral one, another's neutral face, and the other with the person's expression.

    All float32 (P, 3).
    """

    source: np.ndarray
    source_neutral: np.ndarray
    target_neutral: np.ndarray
    transferred: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """The four faces by name, each a list (P, 3) in 4 decimals."""
        return {name: _rounded(face) for name, face in self._asdict().items()}


@torch.no_grad()
def traversals(decode: Decode, z_K: Tensor, y_X: Tensor, spread: float | Tensor = 3.0, steps: int = 7) -> Traversals:
    """Faces with each latent in turn from `spread` below its value in z_K to `spread` above, the others as in z_K.

    Args:
        decode: of a network in eval mode.
        z_K: where it starts; zeros are the prior's mean.
        y_X: the neutral face.
        spread: one number, 3 deviations of the prior by default, or one a dimension (K,), such as those of the data.
        steps: S, 2 or more; with an odd number the middle face is that of z_K.

    Raises:
        ValueError: fewer than two steps, or a spread that is not above 0 or not one a dimension.
    """
    num_latents = len(z_K)
    spread_K = torch.as_tensor(spread, dtype=z_K.dtype, device=z_K.device)
    if steps < 2 or spread_K.shape not in ((), (num_latents,)) or not (spread_K > 0).all():
        raise ValueError(f"{steps} steps (2 or more) and a spread above 0, one or {num_latents} of them, are needed")
    # whole numbers divided once, so that the middle one is exactly 0
    share_S = torch.arange(1 - steps, steps, 2, dtype=z_K.dtype, device=z_K.device) / (steps - 1)
    offset_KS = spread_K.expand(num_latents)[:, None] * share_S
    z_KSK = z_K + torch.diag_embed(offset_KS.T).transpose(0, 1)
    x_BX = decode(y_X.expand(num_latents * steps, -1), z_KSK.reshape(-1, num_latents))
    face_KSP3 = x_BX.reshape(num_latents, steps, -1, 3).float().cpu().numpy()
    movement_K = np.linalg.norm(face_KSP3[:, -1] - face_KSP3[:, 0], axis=2).mean(axis=1, dtype=np.float64)
    order_K = np.argsort(-movement_K, kind="stable")
    value_KS = (z_K[:, None] + offset_KS).double().cpu().numpy()
    return Traversals(order_K, movement_K[order_K], value_KS[order_K], face_KSP3[order_K])


@torch.no_grad()
def transfer(encode: Encode, decode: Decode, x_from: Tensor, y_from: Tensor, y_to: Tensor) -> Transfer:
    """Put the expression of one person on another: decode(y_to, mu(x_from, y_from)).

    Of M1 and M2; the standard VAE does not look at y, so it gives the first person's face back.

    Args:
        encode, decode: of a network in eval mode.
        x_from, y_from: (X,) the person's face and neutral face.
        y_to: (X,) the other's neutral face.
    """
    mu_1K, _ = encode(x_from[None], y_from[None])
    made = decode(y_to[None], mu_1K)
    return Transfer(*(x.reshape(-1, 3).float().cpu().numpy() for x in (x_from, y_from, y_to, made)))


def _rounded(face: np.ndarray) -> list[Any]:
    return np.round(face.astype(np.float64), 4).tolist()
