"""The one module that imports Ray: training by Ray Train, in this process or over workers."""

import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import torch
from ray import train as ray_train
from ray.train.torch import TorchTrainer

from fer_core.checkpoints import FolderStore
from fer_core.errors import InputError
from fer_core.files import write_bytes
from fer_core.runs import PROGRESS, save_run
from fer_core.training import TrainingPlan, train
from fer_core.world import World

MAX_FAILURES = 3
"""Restarts of a run whose worker was lost; more than that is no accident."""
REFUSAL = "refusal.txt"
Progress = Callable[[dict[str, float]], None]


class RayStore:
    """Checkpoints in Ray Train's storage: reported by rank 0, committed by Ray, given back after a failure."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def load(self) -> dict[str, Any] | None:
        """The last committed checkpoint."""
        checkpoint = ray_train.get_checkpoint()
        if checkpoint is None:
            return None
        with checkpoint.as_directory() as folder:
            return torch.load(Path(folder, "checkpoint.pt"), weights_only=True, map_location="cpu")

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        """Report; all workers do, rank 0 with the file."""
        if self.rank:
            ray_train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            torch.save(state, Path(folder, "checkpoint.pt"))
            ray_train.report(metrics, checkpoint=ray_train.Checkpoint.from_directory(folder))


def train_with_ray(plan: TrainingPlan, folder: Path, workers: int, address: str | None, progress: Progress) -> None:
    """Train by Ray Train; rank 0 leaves the run's files in `folder`.

    Args:
        folder: of the run: its checkpoints are there, and it goes on from the last one.
        workers: 0 trains in this process without starting Ray.
        address: of a Ray cluster; unset: one is started for the run and ended with it.
        progress: gets rows of metrics every few seconds, and one at the end of each epoch.
    """
    folder = folder.absolute()
    if workers == 0:
        logging.getLogger("ray.train").setLevel(logging.WARNING)
        keep = _write_rows(folder / PROGRESS)

        def show(row: dict[str, float]) -> None:
            keep(row)
            progress(row)

        _trainer(plan, folder, workers, show).fit()
        return
    with cluster(address, workers), _followed(folder / PROGRESS, progress):
        _trainer(plan, folder, workers, None).fit()
    _raise_refusal(folder)


def train_apart(plan: TrainingPlan, folder: Path, progress: Progress) -> None:
    """Train in a process of Ray's, one of several at once; `cluster` is around it. Otherwise as `train_with_ray`.

    Raises:
        InputError: the run refuses its data or diverges.
    """
    folder = folder.absolute()
    gpus = 1 if torch.cuda.is_available() else 0
    options = {"num_cpus": 1, "num_gpus": gpus, "max_retries": MAX_FAILURES}
    with _followed(folder / PROGRESS, progress):
        ray.get(ray.remote(_train_alone).options(**options).remote(plan, folder))
    _raise_refusal(folder)


def _train_alone(plan: TrainingPlan, folder: Path) -> None:
    torch.set_num_threads(1)
    try:
        save_run(
            folder, plan, train(plan, World(device=_device()), FolderStore(folder), _write_rows(folder / PROGRESS))
        )
    except InputError as error:
        write_bytes(folder / REFUSAL, str(error).encode())


def _raise_refusal(folder: Path) -> None:
    """Raise what a worker could not: Ray would start it again."""
    refusal = folder / REFUSAL
    if refusal.exists():
        sentence = refusal.read_text()
        shutil.rmtree(folder)
        raise InputError(sentence)


def _trainer(plan: TrainingPlan, folder: Path, workers: int, progress: Progress | None) -> TorchTrainer:
    return TorchTrainer(
        _worker,
        train_loop_config={"plan": plan, "folder": folder, "progress": progress},
        scaling_config=ray_train.ScalingConfig(num_workers=workers, use_gpu=torch.cuda.is_available() and workers > 0),
        run_config=ray_train.RunConfig(
            name="ray",  # one name in a folder named by digest: a restarted run goes on from its last checkpoint
            storage_path=str(folder),
            failure_config=ray_train.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=ray_train.CheckpointConfig(num_to_keep=1),
        ),
    )


def _worker(config: dict[str, Any]) -> None:
    """What each worker runs; in local mode, in the driver itself."""
    plan, folder, progress = config["plan"], config["folder"], config["progress"]
    context = ray_train.get_context()
    world = World(context.get_world_rank(), context.get_world_size(), _device())
    store = FolderStore(folder) if progress else RayStore(world.rank)
    try:
        trained = train(plan, world, store, progress or _write_rows(folder / PROGRESS))
    except InputError as error:
        if progress:
            raise
        write_bytes(folder / REFUSAL, str(error).encode())  # raised here, Ray would start the workers again
        return
    if world.rank == 0:
        save_run(folder, plan, trained)


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def _write_rows(file: Path) -> Progress:
    def write(row: dict[str, float]) -> None:
        with file.open("a") as out:
            out.write(json.dumps(row) + "\n")

    return write


@contextmanager
def _followed(file: Path, progress: Progress) -> Iterator[None]:
    """While it lasts, hand the rows that are appended to `file` to `progress`."""
    file.unlink(missing_ok=True)
    file.touch()
    stop = threading.Event()

    def follow() -> None:
        with file.open() as rows:
            ended = False
            while not ended:
                ended = stop.wait(0.5)  # once more after the end: the last rows come just before it
                for row in rows:
                    progress(json.loads(row))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def cluster(address: str | None, workers: int) -> Iterator[None]:
    """The cluster at `address`, or one on loopback with a processor for each worker."""
    if address:
        try:
            ray.init(address=address, log_to_driver=False)
        except ConnectionError as error:
            raise InputError(f"no Ray cluster answers at RAY_ADDRESS {address}: {error}") from error
    else:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray leaves one in the user's home
        ray.init(
            address="local",
            num_cpus=max(workers + 1, os.cpu_count() or 1),
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
    try:
        yield
    finally:
        ray.shutdown()
