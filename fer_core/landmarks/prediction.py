"""A model of landmarks in use: landmarks of faces in, what its network says of them out. B faces, P landmarks."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fer_core.embedding import Embeddings, embed
from fer_core.errors import InputError
from fer_core.landmarks.points import input_vectors
from fer_core.predictor import Predictor

Landmarks = Sequence[float] | np.ndarray
"""x0, y0, z0, x1, ... of a face: y downwards as in pictures, z larger nearer to the viewer."""


def embed_landmarks(
    predictor: Predictor,
    landmarks: Sequence[Landmarks | None],
    yaws: Sequence[float | None],
    neutral: Sequence[Landmarks | None],
    neutral_yaws: Sequence[float | None],
) -> Embeddings:
    """Embed faces beside the same person's neutral one, or the training people's mean where that is None.

    Args:
        predictor: of a method that looks at points.
        landmarks, neutral: of B faces, P each as in training.
        yaws, neutral_yaws: degrees that they are turned by to the viewer's right; None or NaN where unknown, which
            only faces with depth may be.

    Raises:
        InputError: a face has no landmarks, another number of them, or such as no vector is made of; it is named.
    """
    num_points = predictor.description.counts["numbers"] // 6
    x_BX = _vectors("landmarks", landmarks, yaws, num_points)
    unknown = [at for at, face in enumerate(neutral) if face is None]
    # a row's own face stands in until the mean does, so that rows keep their numbers in messages
    faces = [own if face is None else face for own, face in zip(landmarks, neutral, strict=True)]
    angles = [own if face is None else yaw for own, face, yaw in zip(yaws, neutral, neutral_yaws, strict=True)]
    y_BX = _vectors("neutral landmarks", faces, angles, num_points)
    mean_X = predictor.network.neutral_X
    assert isinstance(mean_X, Tensor)
    y_BX[unknown] = mean_X
    return embed(predictor.network, torch.cat([x_BX, y_BX], dim=1))


def _vectors(what: str, faces: Sequence[Landmarks | None], yaws: Sequence[float | None], num_points: int) -> Tensor:
    for at, face in enumerate(faces):
        if face is None or len(face) != 3 * num_points:
            found = 0 if face is None else len(face)
            raise InputError(f"the {what} of face {at} are {found} numbers; x, y, z of {num_points} points are needed")
    points_BP3 = np.asarray(faces, dtype=np.float64).reshape(-1, num_points, 3)
    try:
        return torch.from_numpy(input_vectors(points_BP3, np.asarray(yaws, dtype=np.float64), y_down=True))
    except ValueError as error:
        raise InputError(f"the {what} cannot be used: {error}") from error
