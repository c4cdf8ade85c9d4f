"""prefect.yaml on a real server: a schedule fires a retrain in a worker's process, a second run waits."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from whole_commands import PROJECT

from infra.mlflow_engine import CHAMPION, Registry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy
]
QUICK = {
    "dataset": "synthetic",
    "synthetic": {"identities": 6, "takes": 1},
    "face_size": 32,
    "batch_size": 16,
    "epochs": 1,
    "resamples": 100,
}
PATIENCE = 300


class Deployed(NamedTuple):
    """A server with the deployments of prefect.yaml."""

    url: str
    environment: dict[str, str]
    folder: Path

    def ask(self, path: str, body: Any = None, method: str = "POST") -> Any:
        request = urllib.request.Request(
            f"{self.url}/{path}",
            data=None if body is None else json.dumps(body, default=str).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        content = until(lambda: answer_to(request), f"no answer to {path}")
        return json.loads(content or "null")

    def deployment(self, name: str) -> dict[str, Any]:
        found = self.ask("deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return found[0]

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The flow runs of a deployment."""
        of_deployment = {"deployment_id": {"any_": [self.deployment(name)["id"]]}}
        return self.ask("flow_runs/filter", {"flow_runs": of_deployment})

    def new_run(self, name: str, parameters: dict[str, Any] | None = None) -> str:
        place = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        return self.ask(place, {"parameters": parameters or {}})["id"]

    def propose(self, run: str, state: str) -> dict[str, Any]:
        return self.ask(f"flow_runs/{run}/set_state", {"state": {"type": state}})

    @contextmanager
    def process(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A part of Prefect as long as it is needed; its log stands in the folder."""
        with (self.folder / f"{command[0]}.log").open("wb") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", "prefect", *command],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(timeout=30)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def answer_to(request: urllib.request.Request) -> bytes | None:
    """None where the server has to be asked again, as where its SQLite is being written to."""
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return None


def until(what: Callable[[], Any], why: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while (found := what()) in (None, False):
        assert time.monotonic() < deadline, why
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))},
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "true",
    }
    place = Deployed(url, environment, folder)
    with place.process("server", "start", "--host", "127.0.0.1", "--port", str(port)) as server:
        until(lambda: answers(place, server), f"the server does not answer, see {folder}")
        place.ask("work_pools/", {"name": "fer", "type": "process"})
        subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
            cwd=PROJECT,
            env=environment,
            check=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        yield place


def answers(place: Deployed, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, (place.folder / "server.log").read_text()[-3000:]
    try:
        urllib.request.urlopen(f"{place.url}/health", timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "state", "called"), [("retrain", "SCHEDULED", "AwaitingConcurrencySlot"), ("watch", "CANCELLED", None)]
)
def test_a_second_run_waits_or_is_not_begun(deployed: Deployed, name: str, state: str, called: str | None) -> None:
    first, second = deployed.new_run(name), deployed.new_run(name)
    assert deployed.propose(first, "PENDING")["status"] == "ACCEPT"
    answer = deployed.propose(second, "PENDING")
    assert answer["status"] == "REJECT"
    assert answer["state"]["type"] == state
    assert called in (None, answer["state"]["name"])
    for run in (first, second):  # no worker is to find them
        deployed.propose(run, "CANCELLED")


@pytest.fixture(scope="module")
def home(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the deployment retrain, with the smallest training."""
    home = tmp_path_factory.mktemp("home")
    options = {"parameters": {"options": {**QUICK, "home": str(home)}}}
    deployed.ask(f"deployments/{deployed.deployment('retrain')['id']}", options, "PATCH")
    return home


@pytest.fixture(scope="module")
def worker(deployed: Deployed) -> Iterator[None]:
    with deployed.process("worker", "start", "--pool", "fer", "--type", "process"):
        yield


def test_a_schedule_fires_a_retrain_that_ends_with_a_champion(deployed: Deployed, home: Path, worker: None) -> None:
    schedules = f"deployments/{deployed.deployment('retrain')['id']}/schedules"
    (weekly,) = deployed.ask(schedules, method="GET")
    assert weekly["schedule"]["cron"] == "0 3 * * 1"
    deployed.ask(f"{schedules}/{weekly['id']}", method="DELETE")
    soon = {"schedule": {"interval": 15}, "active": True, "max_scheduled_runs": 1}
    (often,) = deployed.ask(schedules, [soon])
    until(lambda: first_of(deployed.runs("retrain"), is_begun), f"the schedule did not fire, see {deployed.folder}")
    deployed.ask(f"{schedules}/{often['id']}", method="DELETE")
    run = until(lambda: ended(deployed, "retrain"), "the retrain did not end")
    assert run["state"]["type"] == "COMPLETED", said(deployed, run)
    assert run["auto_scheduled"]
    assert run["state"]["message"].startswith("version 1: first: accuracy ")
    assert Registry(home, None, "fer").version_of(CHAMPION) == 1
    (gate,) = deployed.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["gate"]}}})
    assert "version 1" in gate["data"]
    assert gate["flow_run_id"] == run["id"]
    line = until(lambda: first_of(said(deployed, run), lambda line: line.startswith("register ")), "no log")
    assert line.endswith("fer version 1")


def test_watch_asks_for_a_retrain_and_is_heard(deployed: Deployed, home: Path, worker: None, tmp_path: Path) -> None:
    """In a home without a champion it has a reason to."""
    watching = {"options": {**QUICK, "home": str(tmp_path), "retrain_by": "event"}}
    deployed.new_run("watch", watching)
    run = until(lambda: ended(deployed, "watch"), "watch was not run")
    assert (run["state"]["type"], run["state"]["message"]) == ("COMPLETED", "fired: source"), said(deployed, run)
    asked = until(lambda: first_of(deployed.runs("retrain"), lambda run: by(run) == "AUTOMATION"), "nobody heard")
    assert asked["parameters"]["options"]["home"] == str(home)


def is_begun(run: dict[str, Any]) -> bool:
    return run["auto_scheduled"] and run["state"]["type"] != "SCHEDULED"


def by(run: dict[str, Any]) -> str | None:
    return (run["created_by"] or {}).get("type")


def first_of(found: Iterable[Any], that: Callable[[Any], bool]) -> Any:
    return next((one for one in found if that(one)), None)


def ended(deployed: Deployed, name: str) -> dict[str, Any] | None:
    """The first run of a deployment that has ended of itself."""
    of_itself = ("COMPLETED", "FAILED", "CRASHED")
    return first_of(deployed.runs(name), lambda run: run["state"]["type"] in of_itself)


def said(deployed: Deployed, run: dict[str, Any]) -> list[str]:
    rows = deployed.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "TIMESTAMP_DESC"})
    return [row["message"] for row in rows]
