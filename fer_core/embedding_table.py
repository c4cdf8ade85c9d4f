"""What a model says about a set of images: one row an image. Legend: N images, D embedding size, C classes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Embedded:
    """The embeddings, and where the model has a classifier the probabilities, of N images.

    sample_id    (N,) strings
    subject      (N,) strings: the person; the sample id where a data set does not know its people
    label        (N,) integers, index into the classes the table is used with
    embedding    (N, D) float32
    probability  (N, C) float32, or None for a method without a classifier

    Raises ValueError, naming the array, for another shape or type, a negative label, a NaN or an infinity.
    """

    sample_id: np.ndarray
    subject: np.ndarray
    label: np.ndarray
    embedding: np.ndarray
    probability: np.ndarray | None = None

    def __post_init__(self) -> None:
        num_images = len(self.embedding)
        for name in ("sample_id", "subject", "label"):
            shape = getattr(self, name).shape
            if shape != (num_images,):
                raise ValueError(f"{name} has shape {shape}; one entry for each of {num_images} embeddings is needed.")
        if self.sample_id.dtype.kind != "U" or self.subject.dtype.kind != "U":
            raise ValueError("sample_id and subject must be arrays of strings.")
        if self.label.dtype.kind not in "iu" or (self.label < 0).any():
            raise ValueError("label must hold integers from 0 on.")
        _check_matrix("embedding", self.embedding, num_images)
        if self.probability is not None:
            _check_matrix("probability", self.probability, num_images)

    def __len__(self) -> int:
        return len(self.embedding)


def _check_matrix(name: str, matrix: np.ndarray, num_rows: int) -> None:
    if matrix.ndim != 2 or len(matrix) != num_rows or matrix.dtype != np.float32:
        raise ValueError(f"{name} is {matrix.dtype} {matrix.shape}; float32 with {num_rows} rows is needed.")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} holds a NaN or an infinity.")
