"""What a network sees of rows: patches of their pictures, or their landmarks.

B rows of a batch, X numbers of an input of points.
"""

from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from fer_core.patches import Patches
from fer_core.reading import FaceTable
from fer_core.turning import turned_patches
from fer_core.world import CPU


class Inputs(Protocol):
    """Inputs of rows of a FaceTable, by position."""

    @property
    def numbers(self) -> int:
        """X of one input of points; 0 for pictures."""

    def drawn(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """As they are trained on, on the device: augmented as `views` (B,) says."""

    def plain(self, rows: np.ndarray) -> Tensor:
        """As they are embedded and tested, on the device."""


class PatchInputs:
    """uint8 patches (B, patch, patch, 3).

    Args:
        faces: the rows.
        face_size, patch: pixels.
        device: where the patches go.
    """

    numbers = 0

    def __init__(self, faces: FaceTable, face_size: int, patch: int, device: torch.device = CPU) -> None:
        self.faces, self.face_size, self.patch, self.device = faces, face_size, patch, device
        self._patches = Patches(face_size, patch)

    def drawn(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """The patch that each view names: cut here, or of a virtual form turned and cut on the device."""
        if not self.faces.margin:
            pixels = self._patches.drawn(self.faces.images(rows), views)
            return torch.from_numpy(pixels).to(self.device, non_blocking=True)
        wide = torch.from_numpy(self.faces.wide_images(rows)).to(self.device, non_blocking=True)
        angle = torch.from_numpy(self.faces.rotation[rows]).to(self.device, non_blocking=True)
        drawn = torch.from_numpy(views).to(self.device)
        return turned_patches(wide, angle, drawn, self.face_size, self.patch)

    def plain(self, rows: np.ndarray) -> Tensor:
        """The central patches."""
        return torch.from_numpy(np.ascontiguousarray(self._patches.central(self.faces.images(rows)))).to(self.device)


class PointInputs:
    """float32 (B, 2X): the rows' landmarks beside those of the person's neutral face; nothing is augmented."""

    def __init__(self, faces: FaceTable, device: torch.device = CPU) -> None:
        assert faces.points is not None
        self.numbers = faces.points.shape[1]
        self._points_N2X = torch.from_numpy(faces.points).to(device)

    def drawn(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """As they are."""
        return self.plain(rows)

    def plain(self, rows: np.ndarray) -> Tensor:
        """As they are."""
        return self._points_N2X[torch.from_numpy(rows)]


def inputs_of(
    kind: Literal["pictures", "points"], faces: FaceTable, face_size: int, patch: int, device: torch.device = CPU
) -> Inputs:
    """What a method that sees `kind` gets of the rows."""
    return PatchInputs(faces, face_size, patch, device) if kind == "pictures" else PointInputs(faces, device)
