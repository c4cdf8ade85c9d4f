"""Training in this process, or by Ray Train over workers; and other work of the core over workers."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch
from pyarrow.fs import PyFileSystem
from ray import train as ray_train
from ray.exceptions import RayTaskError
from ray.train.torch import TorchConfig
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import RayTrainCallback
from ray.train.v2._internal.execution.context import TrainRunContext
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.torch.torch_trainer import TorchTrainer  # ray.train's, by the name that type checkers follow

from fer_core.checkpoints import FolderStore
from fer_core.errors import InputError
from fer_core.files import read_rows
from fer_core.options.engine import EngineOptions
from fer_core.runs import PROGRESS, save_run
from fer_core.training import TrainingPlan, train
from fer_core.world import CPU, World
from infra.patient_files import PatientFiles
from infra.progress import logger
from infra.ray_checkpoints import NUM_KEPT, RayStore, ToldStore
from infra.ray_cluster import cluster, is_our_own
from infra.ray_witness import WORKERS_LOST, Patience, Witness
from infra.run_events import LOST, RunEvents, append_row, followed

MAX_FAILURES = 3
"""Restarts of a run whose worker was lost; more than that is no accident."""
PATIENCE_SECONDS = 300.0
"""How long workers are waited for that the cluster does not have."""
CHECKPOINTS = "ray"
LONGEST_SHARE_SECONDS = 24 * 3600
"""Of a function that the workers meet after: how long the first one waits for the last one."""
ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # reports are taken at this pace, and a loss is noticed
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "30",
}
Progress = Callable[[dict[str, float]], None]
Say = Callable[[str], None]
Value = TypeVar("Value")


class _HeldWorkers(FixedScalingPolicy):
    """A fixed number of workers, of which no autoscaler is told: Ray starts an actor for that."""

    def after_controller_start(self, train_run_context: TrainRunContext) -> None:
        """Nothing to ask for."""

    def _maybe_send_resource_request(self) -> None:
        """Nothing to ask for."""


class _Trainer(TorchTrainer):
    """Ray's, without the actors that have nothing to do here: each is a process that wakes a hundred times a second."""

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        # we read the shards ourselves; and placement groups outlive a killed controller only on a cluster that stays
        idle = (DatasetsCallback, PlacementGroupCleanerCallback) if is_our_own() else (DatasetsCallback,)
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, idle)]

    def _initialize_and_run_controller(self, **how: Any) -> ray_train.Result:
        if is_our_own() and isinstance(how["scaling_policy"], FixedScalingPolicy):
            how["scaling_policy"] = _HeldWorkers(how["scaling_policy"].scaling_config)
        return super()._initialize_and_run_controller(**how)

    def _register_sigint_handler(self, controller: Any) -> None:
        """None: Ray's ends this process as if it had succeeded, and stays when the training is over."""


def train_with_ray(
    plan: TrainingPlan,
    folder: Path,
    engine: EngineOptions,
    address: str | None,
    progress: Progress,
    say: Say,
) -> None:
    """Train; the run's files are left in `folder`, and what happened on the way as its RunEvents.

    Without workers this is done here. Over workers it is Ray Train's: a run that loses some goes on from the last
    committed checkpoint, MAX_FAILURES times; what would only fail again is not tried again.

    Args:
        folder: of the run, which the workers' hosts see as well; the same call goes on from its last checkpoint.
        engine: how many workers, where checkpoints go, and how long a silent worker is waited for.
        address: of a Ray cluster; unset: one is started, see ray_cluster.
        progress: gets rows of metrics every few seconds, and one at the end of each epoch.
        say: gets a sentence for each event.

    Raises:
        InputError: the run refuses its data or diverges; the storage refuses for longer than
            patient_files.PATIENCE_SECONDS; or the cluster has not had enough for the workers for PATIENCE_SECONDS.
    """
    folder = folder.absolute()
    events = RunEvents(folder)
    with followed(events.file, lambda event: say(event["message"])), followed(_begun(folder), progress):
        if engine.worker_count.most == 0:
            _train_alone(plan, folder, engine.profile)
            return
        with cluster(address, engine.worker_count.least):
            files, name = checkpoint_files(folder, engine)
            files.require(name)
            config = {"plan": plan, "folder": folder, "profile": engine.profile}
            witness = Witness(events, engine.stall_seconds)
            _fit(_train_as_worker, config, engine, files, name, witness, engine.stall_seconds)


def _begun(folder: Path) -> Path:
    """The file of progress rows, empty; what a killed command left in it becomes an event."""
    events, rows = RunEvents(folder), folder / PROGRESS
    last = (read_rows(rows) or [{"step": 0, "steps": 0}])[-1]
    if last["step"] < last["steps"]:
        events.add(LOST, f"the command ended after step {last['step']}", step=last["step"])
    rows.unlink(missing_ok=True)
    return rows


def checkpoint_files(folder: Path, engine: EngineOptions) -> tuple[PatientFiles, str]:
    """Where the checkpoints of the run in `folder` are while it is trained, and the name of their folder there.

    Raises:
        InputError: --storage is no URI that is known.
    """
    storage = engine.storage
    uri = storage if storage and "://" in storage else str(Path(storage).absolute() if storage else folder)
    return PatientFiles(uri, RunEvents(folder)), folder.name if storage else CHECKPOINTS


def drop_checkpoints(folder: Path, engine: EngineOptions) -> None:
    """Delete the checkpoints of a run that is finished."""
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    if engine.worker_count.most:
        files, name = checkpoint_files(folder, engine)
        try:
            files.files.delete_dir(f"{files.root}/{name}")
        except OSError as error:
            logger.warning("%-9s %s/%s is left as it is: %s", "train", files.uri, name, error)


def on_workers(
    function: Callable[..., Value], arguments: tuple[Any, ...], engine: EngineOptions, address: str | None, say: Say
) -> Value:
    """Call `function(world, *arguments)` on every worker, torch.distributed ready; here where there are no workers.

    Args:
        function: of a module that workers can import; every worker makes the same calls. Where a worker is lost, all
            of it is done again.
        arguments: they and the value are sent between processes. Tensors cannot be returned, arrays can.
        say: gets a sentence where workers are waited for or lost.

    Returns:
        What rank 0 returned.

    Raises:
        InputError: as the function raised it, or the cluster has not had enough for the workers for PATIENCE_SECONDS.
    """
    if engine.worker_count.most == 0:
        return function(World(device=_device()), *arguments)
    with cluster(address, engine.worker_count.least), tempfile.TemporaryDirectory() as folder:
        files = PatientFiles(folder, RunEvents(Path(folder)))
        config, witness = {"function": function, "arguments": arguments}, Witness(files.events, None)
        with followed(files.events.file, lambda event: say(event["message"])):
            return _fit(_call_as_worker, config, engine, files, CHECKPOINTS, witness, LONGEST_SHARE_SECONDS)


def train_apart(plan: TrainingPlan, folder: Path, profile: bool, progress: Progress) -> None:
    """Train in a process of Ray's, one of several at once; `cluster` is around it. Otherwise as `train_with_ray`.

    Raises:
        InputError: the run refuses its data or diverges.
    """
    folder = folder.absolute()
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    options = {"num_cpus": 1, "num_gpus": gpus, "max_retries": MAX_FAILURES}
    with followed(_begun(folder), progress):
        try:
            ray.get(ray.remote(_train_alone).options(**options).remote(plan, folder, profile))
        except RayTaskError as error:
            raise _own(error.cause) or error from None


def _train_alone(plan: TrainingPlan, folder: Path, profile: bool) -> None:
    world = World(device=_device())
    store = ToldStore(FolderStore(folder), world, RunEvents(folder))
    save_run(folder, plan, train(plan, world, store, _writer(folder), profile))


def _train_as_worker(config: dict[str, Any]) -> None:
    plan, folder = config["plan"], config["folder"]
    world, events = _world(), RunEvents(folder)
    store = ToldStore(RayStore(world, events), world, events)
    trained = train(plan, world, store, _writer(folder), config["profile"])
    if world.rank == 0:
        save_run(folder, plan, trained)


def _call_as_worker(config: dict[str, Any]) -> Any:
    world = _world()
    value = config["function"](world, *config["arguments"])
    return value if world.rank == 0 else None


def _fit(
    function: Callable[[dict[str, Any]], Any],
    config: dict[str, Any],
    engine: EngineOptions,
    files: PatientFiles,
    name: str,
    witness: Witness,
    timeout_seconds: int,
) -> Any:
    """Run a function on a Ray Train group; what rank 0 returned. Collectives are given up after `timeout_seconds`."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = str(int(not is_our_own()))  # no host of ours is taken back
    os.environ["RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S"] = str(engine.stall_seconds)
    least, most = engine.worker_count
    needs = {"CPU": 1.0} | _gpus(engine)
    shares_a_gpu = 0 < needs.get("GPU", 0) < 1
    trainer = _Trainer(
        function,
        train_loop_config=config,
        # two processes on one device are more than NCCL allows
        torch_config=TorchConfig(backend="gloo" if shares_a_gpu else None, timeout_s=timeout_seconds),
        scaling_config=ScalingConfig(
            num_workers=most if least == most else (least, most), use_gpu="GPU" in needs, resources_per_worker=needs
        ),
        run_config=RunConfig(
            name=name,  # what stands there by this name is gone on from
            storage_path=files.root,
            storage_filesystem=PyFileSystem(files),
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=CheckpointConfig(num_to_keep=NUM_KEPT),
            callbacks=[witness, Patience(files.events, least, needs, PATIENCE_SECONDS)],  # type: ignore[list-item]
        ),
    )
    try:
        return trainer.fit().return_value  # type: ignore[attr-defined]
    except ray_train.ControllerError as error:
        raise _own(error.controller_failure) or error from None
    except ray_train.WorkerGroupError as error:
        raise _lost_for_good(error, files.events) or error from None


def _own(error: Exception) -> InputError | None:
    """A refusal of ours as it was before it went through Ray's processes."""
    return InputError(str(error)) if isinstance(error, InputError) else None


def _lost_for_good(error: ray_train.WorkerGroupError, events: RunEvents) -> InputError | None:
    """What to do where workers were lost once too often; None where our own code failed on them."""
    failures = error.worker_failures.values()
    if failures and not any(isinstance(one, WORKERS_LOST) for one in failures):
        return None
    again = "run the same command again, and it goes on from the last checkpoint"
    return InputError(f"workers were lost {MAX_FAILURES + 1} times, the last time: {events.reasons()[-1]}; {again}")


def _gpus(engine: EngineOptions) -> dict[str, float]:
    """What a worker gets where nothing is said: a GPU of its own where the cluster has some."""
    asked = engine.gpus_per_worker
    gpus = float("GPU" in ray.cluster_resources()) if asked is None else asked
    return {"GPU": gpus} if gpus else {}


def _world() -> World:
    """This worker's place; its device is the GPU that Ray has given it, if any."""
    context = ray_train.get_context()
    device = _device() if ray.get_runtime_context().get_accelerator_ids().get("GPU") else CPU
    return World(context.get_world_rank(), context.get_world_size(), device)


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else CPU


def _writer(folder: Path) -> Progress:
    return lambda row: append_row(folder / PROGRESS, row)
