"""Workers, hosts and storage are lost while a run is trained: it ends with the numbers of one that was left alone.

All tests share a cluster of three nodes on this machine: the command's own, which has no processor to give, and two
that have two. A group of two workers lies on one of them.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import ray
import tiny
import torch
from ray._raylet import Config
from ray.cluster_utils import Cluster
from ray_runs import STEPS, PacedRecipe, plan_of, worker_processes
from safetensors.torch import load_file

from fer_core.errors import InputError
from fer_core.options.engine import EngineOptions
from fer_core.runs import NETWORK, PROGRESS
from infra import ray_engine
from infra.ray_cluster import kept_cluster
from infra.ray_engine import train_with_ray
from infra.run_events import LOST, STORAGE, WENT_ON, RunEvents

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::ResourceWarning"),
]
SECRETS = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5e" * 32}


@pytest.fixture(scope="module")
def environment():
    patch = pytest.MonkeyPatch()
    tests = Path(__file__).parents[1]
    patch.setenv("PYTHONPATH", os.pathsep.join(map(str, [tests.parent, tests, tests / "infra"])))
    for name, value in SECRETS.items():
        patch.setenv(name, value)
    Config.initialize("")  # Ray reads the mode at import
    with kept_cluster():
        yield
    patch.undo()


@pytest.fixture(scope="module")
def cluster(environment):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=2)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    home = tmp_path_factory.mktemp("faces")
    return tiny.write_faces(home, tiny.write_catalog(home, "ck_plus", tiny.write_ck_plus(home)), 48, (-10.0, 0.0, 10.0))


class Run:
    """A run over two workers in `folder`; something may happen to it once it is at a step."""

    def __init__(self, folder, cluster, plan, happens=None, at=20, **engine):
        self.folder, self.events = folder, RunEvents(folder)
        self.rows, self.said = [], []
        self.happens, self.at = happens, at
        folder.mkdir(exist_ok=True)
        options = EngineOptions(**{"workers": "2", **engine})
        train_with_ray(plan, folder, options, cluster.address, self.progress, self.said.append)
        self.description = json.loads((folder / "run.json").read_text())
        self.network = load_file(folder / NETWORK)

    def progress(self, row):
        self.rows.append(row)
        if self.happens and row["step"] >= self.at:
            happens, self.happens = self.happens, None
            happens()

    def kinds(self, kind):
        return [event for event in self.events.read() if event["kind"] == kind]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cluster, faces):
    return Run(tmp_path_factory.mktemp("undisturbed") / "run", cluster, plan_of(faces))


def require_same(run, undisturbed, reached=None):
    """It ended as if nothing had happened, and had not to begin from the start.

    `reached`: the step that was reached, where that is not the one that was last shown.
    """
    assert run.description == undisturbed.description
    assert all(torch.equal(run.network[name], whole) for name, whole in undisturbed.network.items())
    (went_on,) = run.kinds(WENT_ON)
    lost = run.kinds(LOST)
    assert 4 <= went_on["step"] <= (reached or lost[0]["step"] + 4)
    assert run.events.restarts() == [f"{' and '.join(event['message'] for event in lost)}, {went_on['message']}"]
    assert {path.name for path in run.folder.iterdir()} >= {"run.json", NETWORK, PROGRESS, "events.jsonl"}
    assert not list(run.folder.glob(".*.tmp"))


def lose_host_of_the_workers(cluster):
    """Kill the node that the training group is on."""
    raylet = int(Path(f"/proc/{worker_processes()[-1]}/stat").read_text().rpartition(")")[2].split()[1])
    by_raylet = {process.process.pid: node for node in cluster.worker_nodes for process in node.all_processes["raylet"]}
    cluster.remove_node(by_raylet[raylet], allow_graceful=False)


def test_left_alone_nothing_is_told(undisturbed):
    assert undisturbed.rows[-1]["step"] == STEPS
    assert undisturbed.events.read() == undisturbed.said == []
    assert len(list((undisturbed.folder / "ray").glob("checkpoint_2*"))) == 2


def test_a_worker_is_killed(tmp_path, cluster, faces, undisturbed):
    run = Run(tmp_path / "run", cluster, plan_of(faces), lambda: os.kill(worker_processes()[-1], signal.SIGKILL))
    require_same(run, undisturbed)
    assert "was killed, after step" in run.said[0]
    assert "went on from step" in run.said[1]


def test_a_worker_is_stopped_and_never_answers(tmp_path, cluster, faces, undisturbed):
    run = Run(
        tmp_path / "run",
        cluster,
        plan_of(faces),
        lambda: os.kill(worker_processes()[-1], signal.SIGSTOP),
        stall_seconds=10,
    )
    require_same(run, undisturbed)
    assert "was silent for 10 s, after step" in run.said[0]
    assert len(worker_processes()) <= 2  # what was stopped is gone


def test_a_training_thread_hangs(tmp_path, cluster, faces, undisturbed):
    run = Run(tmp_path / "run", cluster, plan_of(faces, hang=tmp_path / "hung"), stall_seconds=10)
    require_same(run, undisturbed, reached=PacedRecipe.hang_step)
    assert "was silent for 10 s, after step" in run.said[0]


def test_the_storage_refuses_for_a_while(tmp_path, cluster, faces, undisturbed):
    storage, away = tmp_path / "storage", tmp_path / "away"

    def come_back():
        storage.unlink()
        away.rename(storage)

    def refuse():
        storage.rename(away)
        storage.write_text("in place of the folder")
        threading.Timer(3.0, come_back).start()

    run = Run(tmp_path / "run", cluster, plan_of(faces), refuse, storage=str(storage))
    assert run.description == undisturbed.description
    assert run.kinds(LOST) == run.kinds(WENT_ON) == []
    told = [event["message"] for event in run.kinds(STORAGE)]
    assert "Not a directory" in told[0]
    assert "is back after" in told[-1]
    committed = json.loads((storage / "run" / "checkpoint_manager_snapshot.json").read_text())
    assert committed["latest_checkpoint_result"]["metrics"]["step"] > 20 + 8
    names = [kept["checkpoint_dir_name"] for kept in committed["checkpoint_results"]]
    assert sorted(path.name for path in (storage / "run").glob("checkpoint_2*")) == sorted(names)
    assert not (run.folder / "ray").exists()


def test_the_command_is_killed_and_the_last_checkpoint_damaged(tmp_path, cluster, faces, undisturbed):
    folder = tmp_path / "run"
    folder.mkdir()
    snapshot = folder / "ray" / "checkpoint_manager_snapshot.json"
    command = subprocess.Popen([sys.executable, "-m", "ray_runs", str(faces), str(folder), cluster.address])
    try:
        while not snapshot.exists() or len(json.loads(snapshot.read_text())["checkpoint_results"]) < 2:
            assert command.poll() is None
            time.sleep(0.1)
    finally:
        command.kill()
        command.wait()
    kept = json.loads(snapshot.read_text())["checkpoint_results"]
    last = folder / "ray" / kept[-1]["checkpoint_dir_name"] / "checkpoint.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    run = Run(folder, cluster, plan_of(faces))
    require_same(run, undisturbed)
    assert run.said[0].startswith("the command ended after step")
    assert f"the checkpoint {last.parent.name} is damaged" in run.said[1]
    assert run.kinds(WENT_ON)[0]["step"] == kept[-2]["metrics"]["step"]


def test_what_would_only_fail_again_is_not_tried_again(tmp_path, cluster, faces):
    diverging = replace(plan_of(faces), recipe=replace(plan_of(faces).recipe, lr=1e30))
    with pytest.raises(InputError, match="use a smaller --lr"):
        Run(tmp_path / "run", cluster, diverging)
    assert RunEvents(tmp_path / "run").read() == []


def test_workers_that_the_cluster_has_not_are_not_waited_for_for_ever(tmp_path, cluster, faces, monkeypatch):
    monkeypatch.setattr(ray_engine, "PATIENCE_SECONDS", 2.0)
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "3")
    for workers in ("7", "6:8"):
        with pytest.raises(InputError, match=r"the Ray cluster has 4 CPUs .*, and \d workers need \d CPUs; waited"):
            Run(tmp_path / workers, cluster, plan_of(faces), workers=workers)
        assert "waiting for them, 2 s at most" in RunEvents(tmp_path / workers).read()[0]["message"]
    with pytest.raises(InputError, match=r"0 GPUs .* need 1 CPUs, 1 GPUs"):
        Run(tmp_path / "gpu", cluster, plan_of(faces), workers="1", gpus_per_worker=1)


def test_a_host_is_lost(tmp_path, cluster, faces, undisturbed):
    run = Run(tmp_path / "run", cluster, plan_of(faces), lambda: lose_host_of_the_workers(cluster))
    require_same(run, undisturbed)
    assert "was killed" in run.said[0] or "the host of worker" in run.said[0]  # as its processes end at once


def test_an_elastic_run_goes_on_with_the_workers_that_are_left(tmp_path, cluster, faces):
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(num_cpus=2)
    # four workers round otherwise than two, which full steps of AdamW make large: hence small ones
    plan = plan_of(faces, recipe=replace(plan_of(faces).recipe, lr=1e-6))
    undisturbed = Run(tmp_path / "undisturbed", cluster, plan)
    run = Run(tmp_path / "run", cluster, plan, lambda: lose_host_of_the_workers(cluster), workers="2:4")
    (went_on,) = run.kinds(WENT_ON)
    assert went_on["workers"] == 2
    assert went_on["step"] >= 4
    ended, whole = (of.description["history"][-1]["loss"] for of in (run, undisturbed))
    assert ended == pytest.approx(whole, rel=1e-3)
