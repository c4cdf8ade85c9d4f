"""Where the state of a run is kept between its steps."""

from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile, ZipFile

import torch

from fer_core.errors import InputError
from fer_core.files import write_atomically


class CheckpointStore(Protocol):
    """Where checkpoints go: a folder, or the training engine's storage."""

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint that was written whole, or None."""

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        """Keep a checkpoint; called by every worker at the same steps."""


class FolderStore:
    """Checkpoints as one file in a folder, replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "checkpoint.pt"

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, or None.

        Raises:
            InputError: it is damaged; there is no other.
        """
        if not self.file.exists():
            return None
        if not _is_whole(self.file):
            raise InputError(f"{self.file} is damaged; delete it, and the run begins again")
        return torch.load(self.file, weights_only=True)

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        """Replace the checkpoint."""
        write_atomically(self.file, lambda temporary: torch.save(state, temporary))


def _is_whole(file: Path) -> bool:
    """Whether what torch has saved is as it was: a ZIP archive with checksums."""
    try:
        with ZipFile(file) as archive:
            return archive.testzip() is None
    except BadZipFile:
        return False
