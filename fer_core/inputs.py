"""What a network sees of rows: patches of their pictures, or their landmarks.

B rows of a batch, X numbers of an input of points.
"""

from threading import Lock
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from fer_core.patches import Patches
from fer_core.reading import FaceTable
from fer_core.sections import UNTIMED, Sections
from fer_core.turning import corners, cut_patches, turned_patches
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
    """uint8 patches (B, patch, patch, 3); float32 where rows of a virtual form are turned.

    May be asked by several threads: pictures are read and cut for one at a time.

    Args:
        faces: the rows.
        face_size, patch: pixels.
        device: where the patches go.
        sections: what drawing a batch takes the host: "read, decode", "pin" (to send it), "cut".
    """

    numbers = 0

    def __init__(
        self,
        faces: FaceTable,
        face_size: int,
        patch: int,
        device: torch.device = CPU,
        sections: Sections = UNTIMED,
    ) -> None:
        self.faces, self.face_size, self.patch, self.device, self.sections = faces, face_size, patch, device, sections
        self._patches = Patches(face_size, patch)
        self._corner_52 = corners(face_size, patch, device)
        self._host = Lock()  # training reads ahead while its validation rows are read, by the same reader

    def drawn(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """The patch that each view names. A GPU is sent whole crops and cuts them; rows of a virtual form are turned.

        On a GPU all of it is only begun, on the current stream.
        """
        with self._host, self.sections("read, decode"):
            wide = self.faces.wide_images(rows)
        if self.device.type == "cpu" and not self.faces.margin:
            with self._host, self.sections("cut"):  # four times as fast there as cut_patches, 96 crops of 236 pixels
                return torch.from_numpy(self._patches.drawn(wide, views))
        with self.sections("pin"):
            wide_BWWC, view_B = sent(wide, self.device), sent(views, self.device)
        with self.sections("cut"):
            if not self.faces.margin:
                return cut_patches(wide_BWWC, view_B, self._corner_52, self.patch)
            angle_B = sent(self.faces.rotation[rows], self.device)
            return turned_patches(wide_BWWC, angle_B, view_B, self._corner_52, self.face_size, self.patch)

    def plain(self, rows: np.ndarray) -> Tensor:
        """The central patches."""
        with self._host:
            central = np.ascontiguousarray(self._patches.central(self.faces.images(rows)))
        return sent(central, self.device)


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
        return self._points_N2X[sent(rows, self._points_N2X.device)]


def sent(values: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on the device. To a GPU it goes by pinned memory and is on its way: nobody waits for it."""
    values_on_host = torch.from_numpy(values)
    return values_on_host if device.type == "cpu" else values_on_host.pin_memory().to(device, non_blocking=True)


def inputs_of(
    kind: Literal["pictures", "points"],
    faces: FaceTable,
    face_size: int,
    patch: int,
    device: torch.device = CPU,
    sections: Sections = UNTIMED,
) -> Inputs:
    """What a method that sees `kind` gets of the rows."""
    if kind == "points":
        return PointInputs(faces, device)
    return PatchInputs(faces, face_size, patch, device, sections)
