"""Checkpoints in Ray Train's storage: uploaded beside the training, committed by Ray, checked when they are read."""

import hashlib
import io
import threading
from pathlib import PurePosixPath
from typing import Any

import torch
import torch.distributed as dist
from pyarrow.fs import PyFileSystem
from ray import train as ray_train
from ray.train import collective

from fer_core.checkpoints import CheckpointStore
from fer_core.world import World
from infra.patient_files import PatientFiles
from infra.run_events import LOST, WENT_ON, RunEvents

CHECKPOINT, DIGEST = "checkpoint.pt", "checkpoint.sha256"
NUM_KEPT = 2
"""Checkpoints: the last, and the one before it, for when the last proves to be damaged."""


class DamagedError(Exception):
    """A checkpoint is not what was written."""


class RayStore:
    """Checkpoints as Ray Train commits them: written by rank 0 in the background, the same for all workers.

    While one is on its way, no other is made, so that a slow storage does not fill the memory: a loss of workers then
    costs the steps since the last that arrived.
    """

    def __init__(self, world: World, events: RunEvents) -> None:
        self.world, self.events = world, events
        context = ray_train.get_context().get_storage()
        self.filesystem: PyFileSystem = context.storage_filesystem
        self.files: PatientFiles = self.filesystem.handler
        self.folder = context.experiment_fs_path
        self._uploading = threading.Event()

    def load(self) -> dict[str, Any] | None:
        """The last committed checkpoint that is whole, the same on every worker; None where there is none."""
        found = self._newest_whole() if self.world.rank == 0 else None
        name = collective.broadcast_from_rank_zero(found and found[0])
        if name is None:
            return None
        return found[1] if found else self._read(name)

    def _newest_whole(self) -> tuple[str, dict[str, Any]] | None:
        committed = ray_train.get_all_reported_checkpoints(
            consistency_mode=ray_train.CheckpointConsistencyMode.COMMITTED
        )
        for reported in reversed(committed):
            name = PurePosixPath(reported.checkpoint.path).name
            try:
                return name, self._read(name)
            except (DamagedError, FileNotFoundError) as error:
                self.events.add(LOST, f"the checkpoint {name} is damaged ({error})")
        return None

    def _read(self, name: str) -> dict[str, Any]:
        data = self.files.get(f"{self.folder}/{name}/{CHECKPOINT}")
        if hashlib.sha256(data).hexdigest() != self.files.get(f"{self.folder}/{name}/{DIGEST}").decode():
            raise DamagedError(f"its {len(data)} bytes are not those that were written")
        return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        """Begin to upload, unless one is on its way; all workers call this at the same steps."""
        if self._is_busy():
            return
        if self.world.rank == 0:
            self._uploading.set()
            data = io.BytesIO()
            torch.save(state, data)
            self._data = data.getvalue()
        ray_train.report(
            metrics,
            # Ray wants to be given a place to copy from; what is written comes from memory
            checkpoint=ray_train.Checkpoint(self.folder, self.filesystem) if self.world.rank == 0 else None,
            checkpoint_upload_mode=ray_train.CheckpointUploadMode.ASYNC,
            delete_local_checkpoint_after_upload=False,
            checkpoint_upload_fn=self._upload,
        )

    def _is_busy(self) -> bool:
        """Whether rank 0 is uploading, said to all."""
        busy = torch.tensor([self._uploading.is_set()], dtype=torch.uint8, device=self.world.device)
        if self.world.size > 1:
            dist.broadcast(busy, 0)
        return bool(busy)

    def _upload(self, _: ray_train.Checkpoint, name: str) -> ray_train.Checkpoint:
        """In a thread of Ray's; `name` is new for each report."""
        data, self._data = self._data, b""
        path = f"{self.folder}/{name}"
        self.files.put(f"{path}/{CHECKPOINT}", data)
        self.files.put(f"{path}/{DIGEST}", hashlib.sha256(data).hexdigest().encode())
        self._uploading.clear()
        return ray_train.Checkpoint(path, self.filesystem)


class ToldStore:
    """Another store, which says where a run goes on."""

    def __init__(self, store: CheckpointStore, world: World, events: RunEvents) -> None:
        self.store, self.world, self.events = store, world, events

    def load(self) -> dict[str, Any] | None:
        """As the store does."""
        state = self.store.load()
        step = state["step"] if state else 0
        if self.world.rank == 0 and (step or self.events.reasons()):
            group = f" with {self.world.size} workers" if self.world.size > 1 else ""
            self.events.add(WENT_ON, f"went on from step {step}{group}", step=step, workers=self.world.size)
        return state

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        """As the store does."""
        self.store.save(state, metrics)
