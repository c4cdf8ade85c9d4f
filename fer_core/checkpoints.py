"""Where the state of a run is kept between its steps."""

from pathlib import Path
from typing import Any, Protocol

import torch

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
        """The last checkpoint, or None."""
        return torch.load(self.file, weights_only=True) if self.file.exists() else None

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        """Replace the checkpoint."""
        write_atomically(self.file, lambda temporary: torch.save(state, temporary))
