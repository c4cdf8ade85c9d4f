"""What Ray Train's controller does for us beside its own work: it notices silence, says why, and knows when to stop.

Both classes are sent to the controller, a process of Ray's on the host of the command.
"""

import contextlib
import os
import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback
from ray.train.v2._internal.execution.controller.state import (
    InitializingState,
    ReschedulingState,
    RestartingState,
    SchedulingState,
    TrainControllerState,
)
from ray.train.v2._internal.execution.worker_group import Worker, WorkerGroup, WorkerGroupPollStatus

from fer_core.errors import InputError
from fer_core.files import read_rows
from fer_core.runs import PROGRESS
from infra.run_events import LOST, WAITING, RunEvents

WORKERS_LOST = (WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError)
WITHOUT_WORKERS = (InitializingState, SchedulingState, ReschedulingState, RestartingState)
SECONDS_UNSAID = 5.0
"""Of waiting that needs no word."""
SECONDS_TO_ANSWER = 5.0
"""Of a worker that is asked whether it lives."""
PATIENCE_WITH_STEPS = 1.5
"""Times the stall: a worker that hangs is known by name after one, and has no step to show after the other."""


class Witness(WorkerGroupCallback):
    """Says why workers are lost, takes a group that makes no steps for lost, and ends what would only fail again.

    Args:
        events: of the run; its progress rows lie beside them.
        stall_seconds: of silence; None where nobody shows progress.
    """

    def __init__(self, events: RunEvents, stall_seconds: int | None) -> None:
        self.events, self.stall_seconds = events, stall_seconds
        self.progress = events.file.with_name(PROGRESS)
        self.workers: list[Worker] = []
        self._seen, self._since = 0, 0.0

    def after_worker_group_training_start(self, worker_group: WorkerGroup) -> None:
        """Note where the workers are."""
        os.environ.setdefault("TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S", "5")  # of a group that has lost a member
        self.workers = worker_group.get_workers()
        self._since = time.monotonic()

    def after_worker_group_poll_status(self, worker_group_status: WorkerGroupPollStatus) -> None:
        """Look at what a poll of the workers told.

        Raises:
            InputError: a worker refuses its data or its storage; starting again would not help.
            WorkerGroupError: no steps are made; the workers are started again.
        """
        errors = worker_group_status.errors
        for error in errors.values():
            if isinstance(error, InputError):
                raise error
        if errors:
            self._lost(self._reason(errors))
        elif worker_group_status.finished or self._is_alive():
            return
        else:
            reason = f"no step was made for {PATIENCE_WITH_STEPS * (self.stall_seconds or 0):.0f} s"
            self._lost(reason)
            raise WorkerGroupError(reason, {})

    def _lost(self, reason: str) -> None:
        rows = read_rows(self.progress)
        step = int(rows[-1]["step"]) if rows else 0
        self.events.add(LOST, f"{reason}, after step {step}" if rows else reason, step=step)

    def _is_alive(self) -> bool:
        signs = (self.progress, self.events.file)
        size = sum(file.stat().st_size for file in signs if file.exists())
        if size != self._seen:
            self._seen, self._since = size, time.monotonic()
        silent = time.monotonic() - self._since
        return self.stall_seconds is None or silent < PATIENCE_WITH_STEPS * self.stall_seconds

    def _reason(self, errors: dict[int, Exception]) -> str:
        """Of the worker that failed first: the others are cut off by it, and say so."""
        died, stuck = ([rank for rank, error in errors.items() if isinstance(error, kind)] for kind in WORKERS_LOST)
        others = [rank for rank in range(len(self.workers)) if rank not in errors]
        if not died and not stuck:
            died = self._dead(others)  # those that it cuts off may be heard of first
        if died:
            return "; ".join(self._death(rank) for rank in died)
        silent = stuck or others
        timed_out = any("imed out" in str(error) or "imeout" in str(error) for error in errors.values())
        if stuck or (silent and timed_out):
            return "; ".join(f"{self._name(rank)} was silent for {self.stall_seconds} s" for rank in silent)
        rank, error = next(iter(errors.items()))
        return f"{self._name(rank)} failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"

    def _dead(self, ranks: list[int]) -> list[int]:
        """Those of them of whom Ray answers that they are: all are asked at once, and some may not answer at all."""
        answers: list[Any] = [self.workers[rank].execute_async(os.getpid) for rank in ranks]
        if answers:
            ray.wait(answers, num_returns=len(answers), timeout=SECONDS_TO_ANSWER)
        return [rank for rank, answer in zip(ranks, answers, strict=True) if _is_of_the_dead(answer)]

    def _death(self, rank: int) -> str:
        node = self.workers[rank].metadata.node_id
        alive = any(known["NodeID"] == node and known["Alive"] for known in ray.nodes())
        return f"{self._name(rank)} was killed" if alive else f"the host of {self._name(rank)} was lost"

    def _name(self, rank: int) -> str:
        place = self.workers[rank].metadata
        return f"worker {rank} on {place.node_ip} (process {place.pid})"


def _is_of_the_dead(answer: Any) -> bool:
    with contextlib.suppress(GetTimeoutError):
        try:
            ray.get(answer, timeout=0)
        except RayActorError:
            return True
    return False


class Patience(ControllerCallback):
    """Ends a run that waits for workers that the cluster does not have.

    Args:
        least: workers that it needs.
        needs: resources of one.
        seconds: that it waits for.
    """

    def __init__(self, events: RunEvents, least: int, needs: dict[str, float], seconds: float) -> None:
        self.events, self.least, self.needs, self.seconds = events, least, needs, seconds
        self._since: float | None = None
        self._said = False

    def after_controller_state_update(self, previous: TrainControllerState, current: TrainControllerState) -> None:
        """Count the time without workers.

        Raises:
            InputError: it is too long.
        """
        if not isinstance(current, WITHOUT_WORKERS):
            self._since, self._said = None, False
            return
        self._since = self._since or time.monotonic()
        waited = time.monotonic() - self._since
        is_short, told = compared(self.least, self.needs)
        if waited > self.seconds:
            way_out = "use fewer --workers or --gpus-per-worker, or add hosts, and run the same command again"
            raise InputError(f"{told}; waited {waited:.0f} s: {way_out}")
        if not self._said and (is_short or waited > SECONDS_UNSAID):
            self.events.add(WAITING, f"{told}: waiting for them, {self.seconds:.0f} s at most")
            self._said = True
        if type(previous) is type(current):
            time.sleep(0.5)  # an elastic run asks without a pause


def compared(num_workers: int, needs: dict[str, float]) -> tuple[bool, str]:
    """Whether the cluster has too little for so many workers, and a sentence with what it has and what they need."""
    there, free = ray.cluster_resources(), ray.available_resources()
    has = ", ".join(f"{there.get(name, 0):g} {name}s ({free.get(name, 0):g} free)" for name in needs)
    wanted = ", ".join(f"{num_workers * amount:g} {name}s" for name, amount in needs.items())
    hosts = sum(node["Alive"] for node in ray.nodes())
    is_short = any(num_workers * amount > there.get(name, 0) for name, amount in needs.items())
    return is_short, f"the Ray cluster has {has} on {hosts} hosts, and {num_workers} workers need {wanted}"
