"""What is known of the rows that are trained on. Letters: B batch, N rows, X numbers of an input of points."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

UNKNOWN = -1
"""In place of a label that nobody gave."""


@dataclass(frozen=True)
class Counts:
    """How many of each there are among the rows that are trained on.

    Attributes:
        labels: of what is classified: expressions, sub-classes or identities.
        expressions, poses, identities: distinct known values; 0 where none is known.
        numbers: 2X, in one input of points; 0 for pictures.
        neutral: which expression is the neutral one; UNKNOWN where none is.
    """

    labels: int
    expressions: int = 0
    poses: int = 0
    identities: int = 0
    numbers: int = 0
    neutral: int = UNKNOWN


@dataclass(frozen=True)
class Targets:
    """What the samples of a batch show: int64 (B,) each, from 0 on, UNKNOWN where that is not known."""

    label_B: Tensor
    expression_B: Tensor
    pose_B: Tensor
    identity_B: Tensor

    def stacked(self) -> Tensor:
        """(B, 4), to travel as one."""
        return torch.stack([self.label_B, self.expression_B, self.pose_B, self.identity_B], dim=1)

    @classmethod
    def of(cls, stacked_B4: Tensor) -> "Targets":
        """The inverse of `stacked`."""
        return cls(*stacked_B4.unbind(dim=1))


@dataclass(frozen=True)
class TrainingRows:
    """The rows that batches are drawn from, by position 0..N-1: int64 (N,) each, UNKNOWN where that is not known.

    Attributes:
        label_N: what is classified.
        expression_N, pose_N, identity_N: what the samples show.
        intensity_N: float64, 0..1 or the data set's own degrees; NaN where it is not known.
        sample_N: which sample each row shows; the rows of one differ in their offline rotation.
        block_N: where pictures are streamed, the number of the block that each row's picture lies in.
        name_N: sample ids, strings.
        neutral: which expression is the neutral one; UNKNOWN where none is.
    """

    label_N: np.ndarray
    expression_N: np.ndarray
    pose_N: np.ndarray
    identity_N: np.ndarray
    intensity_N: np.ndarray
    sample_N: np.ndarray
    block_N: np.ndarray | None = None
    name_N: np.ndarray | None = None
    neutral: int = UNKNOWN

    def counts(self, numbers: int = 0) -> Counts:
        """How many of each there are."""
        columns = (self.label_N, self.expression_N, self.pose_N, self.identity_N)
        labels, expressions, poses, identities = (int(column.max(initial=UNKNOWN)) + 1 for column in columns)
        return Counts(labels, expressions, poses, identities, numbers, self.neutral)

    def targets(self, rows: np.ndarray) -> Targets:
        """Those of some rows."""
        columns = (self.label_N, self.expression_N, self.pose_N, self.identity_N)
        return Targets.of(torch.from_numpy(np.stack([column[rows] for column in columns], axis=1)))
