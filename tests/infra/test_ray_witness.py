"""What the controller is told to make of what it sees, without a cluster."""

from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError
from ray.train.v2._internal.execution.controller.state import InitializingState, RunningState

from fer_core.errors import InputError
from infra import ray_witness
from infra.ray_witness import Patience, Witness
from infra.run_events import LOST, WAITING, RunEvents, append_row

DIED = WorkerHealthCheckFailedError("died", ActorDiedError())
SILENT = WorkerHealthCheckTimeoutError("hangs")
CUT_OFF = RuntimeError("Connection closed by peer")
TIMED_OUT = RuntimeError("Timed out waiting 10000ms for recv operation to complete")


class AliveWorker(SimpleNamespace):
    """One that answers."""

    def __init__(self, metadata):
        super().__init__(metadata=metadata)

    def execute_async(self, function):
        return lambda: function()


class DeadWorker(AliveWorker):
    """One of whom Ray answers that it is gone."""

    def execute_async(self, function):
        def answer():
            raise ActorDiedError

        return answer


@pytest.fixture
def witness(tmp_path, monkeypatch):
    """Of three workers, the last on a host that is gone."""
    monkeypatch.setattr(ray_witness.ray, "nodes", lambda: [{"NodeID": "a", "Alive": True}, {"NodeID": "b", "Alive": 0}])
    witness = Witness(RunEvents(tmp_path), stall_seconds=10)
    places = [("a", "10.0.0.1", 11), ("a", "10.0.0.1", 12), ("b", "10.0.0.2", 13)]
    known = [AliveWorker(SimpleNamespace(node_id=n, node_ip=ip, pid=pid)) for n, ip, pid in places]
    monkeypatch.setattr(ray_witness.ray, "wait", lambda answers, num_returns, timeout: (answers, []))
    monkeypatch.setattr(ray_witness.ray, "get", lambda answer, timeout: answer())
    witness.after_worker_group_training_start(SimpleNamespace(get_workers=lambda: known))
    return witness


def polled(witness, errors, finished=False):
    witness.after_worker_group_poll_status(SimpleNamespace(errors=errors, finished=finished))
    return [event["message"] for event in witness.events.read() if event["kind"] == LOST]


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ({1: DIED, 0: CUT_OFF}, "worker 1 on 10.0.0.1 (process 12) was killed"),
        ({0: CUT_OFF, 2: DIED}, "the host of worker 2 on 10.0.0.2 (process 13) was lost"),
        ({0: TIMED_OUT, 1: SILENT}, "worker 1 on 10.0.0.1 (process 12) was silent for 10 s"),
        ({0: TIMED_OUT, 2: TIMED_OUT}, "worker 1 on 10.0.0.1 (process 12) was silent for 10 s"),
        ({0: KeyError("x")}, "worker 0 on 10.0.0.1 (process 11) failed: KeyError: 'x'"),
    ],
)
def test_the_reason_is_of_the_worker_that_failed_first(witness, errors, reason):
    assert polled(witness, errors) == [reason]
    append_row(witness.progress, {"step": 7})
    assert polled(witness, errors)[-1] == f"{reason}, after step 7"


def test_who_is_cut_off_may_be_heard_of_before_the_one_who_died(witness):
    witness.workers[1] = DeadWorker(witness.workers[1].metadata)
    assert polled(witness, {0: CUT_OFF}) == ["worker 1 on 10.0.0.1 (process 12) was killed"]


def test_a_refusal_ends_the_run(witness):
    with pytest.raises(InputError, match="use a smaller --lr"):
        polled(witness, {0: InputError("use a smaller --lr"), 1: TIMED_OUT})
    assert witness.events.read() == []


def test_a_group_without_steps_is_lost(witness, monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(ray_witness.time, "monotonic", lambda: now.seconds)
    witness._since = 0.0
    now.seconds = 14.0
    append_row(witness.progress, {"step": 1})
    assert polled(witness, {}) == []
    now.seconds = 28.0
    assert polled(witness, {}) == []
    now.seconds = 30.0
    assert polled(witness, {}, finished=True) == []
    with pytest.raises(WorkerGroupError, match="no step was made for 15 s"):
        polled(witness, {})
    assert polled(witness, {}, finished=True) == ["no step was made for 15 s, after step 1"]


def test_what_nobody_shows_is_not_missed(witness, monkeypatch):
    witness.stall_seconds = None
    monkeypatch.setattr(ray_witness.time, "monotonic", lambda: 1e9)
    assert polled(witness, {}) == []


def test_workers_are_waited_for_so_long(tmp_path, monkeypatch):
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(ray_witness.time, "monotonic", lambda: now.seconds)
    monkeypatch.setattr(ray_witness.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(ray_witness.ray, "cluster_resources", lambda: {"CPU": 4.0})
    monkeypatch.setattr(ray_witness.ray, "available_resources", lambda: {"CPU": 1.0})
    monkeypatch.setattr(ray_witness.ray, "nodes", lambda: [{"Alive": True}, {"Alive": False}])
    events = RunEvents(tmp_path)
    patience = Patience(events, 3, {"CPU": 1.0, "GPU": 0.5}, 60.0)
    told = "the Ray cluster has 4 CPUs (1 free), 0 GPUs (0 free) on 1 hosts, and 3 workers need 3 CPUs, 1.5 GPUs"
    for _ in range(2):
        patience.after_controller_state_update(InitializingState(), InitializingState())
    (event,) = events.read()
    assert (event["kind"], event["message"]) == (WAITING, f"{told}: waiting for them, 60 s at most")
    now.seconds = 150.0
    patience.after_controller_state_update(InitializingState(), RunningState())
    now.seconds = 200.0
    patience.after_controller_state_update(RunningState(), InitializingState())
    now.seconds = 261.0
    with pytest.raises(InputError) as refusal:
        patience.after_controller_state_update(InitializingState(), InitializingState())
    assert str(refusal.value).startswith(f"{told}; waited 61 s: use fewer --workers")
