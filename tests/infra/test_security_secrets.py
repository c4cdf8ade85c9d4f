"""A whole retrain with secrets in every place they may be: none is written anywhere; MLflow demands its password."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mlflow
import pytest
import requests
from listening import Listener, listeners

from fer_core.errors import InputError
from infra.mlflow_engine import Registry
from infra.mlflow_versions import Versions
from infra.settings import engine_environment, environment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # MLflow's own
]
PROJECT = Path(__file__).parents[2]
SMALL = ["--synthetic.identities", "6", "--synthetic.takes", "1", "--face-size", "32", "--batch-size", "16"]
RETRAIN = ["retrain", *SMALL, "--epochs", "1", "--resamples", "100", "--workers", "1", "--verbose", "--json"]
ADMIN, PASSWORD, READER = "boss", "s3ntinel-mlflow-1", "s3ntinel-reader-1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAs3ntinel1",
    "AWS_SECRET_ACCESS_KEY": "s3ntinel-aws/secret",
    "AWS_SESSION_TOKEN": "s3ntinel-aws-session",
    "RAY_AUTH_TOKEN": "5e9712e1" * 8,
    "PREFECT_API_KEY": "s3ntinel-prefect-key",
    "PGPASSWORD": "s3ntinel-pg",
    "OTHER_DATABASE_URL": "postgresql://user:s3ntinel-url@host/db",
}
BLOCK = "fer-secrets"
MAKE_BLOCK = """
import json, os, sys
from pathlib import Path
from infra.prefect_engine import flows_of, prefect_server
with prefect_server(Path(sys.argv[1]), None) as server, flows_of(server):
    from prefect.blocks.system import Secret
    Secret(value=json.loads(os.environ["ITEMS"])).save(sys.argv[2])
"""
RUN_DEPLOYED = """
import json, os, sys
from pathlib import Path
from infra.prefect_engine import flows_of, prefect_server
with prefect_server(Path(sys.argv[1]), None) as server, flows_of(server):
    from prefect import flow, get_client, get_run_logger
    from flows.commands import promote, with_secrets

    @flow
    @with_secrets
    def deployed(options: str) -> int:
        get_run_logger().warning("%s: password %s", options, os.environ["MLFLOW_TRACKING_PASSWORD"])
        return len(os.environ["MLFLOW_TRACKING_PASSWORD"])

    length = deployed("told")
    from prefect.logging.handlers import APILogWorker
    APILogWorker.drain_all(timeout=30)
    with get_client(sync_client=True) as client:
        logs = client.request("POST", "/logs/filter", json={}).json()
    left = os.environ.get("MLFLOW_TRACKING_PASSWORD")
    print(json.dumps([length, left, [log["message"] for log in logs], [*promote.parameters.properties]]))
"""
LEAK = "s3ntinel"


class Server(NamedTuple):
    """An MLflow server that asks who one is, and answers to one host name alone."""

    port: int
    folder: Path

    @property
    def uri(self) -> str:
        return f"http://localhost:{self.port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = Server(probe.getsockname()[1], tmp_path_factory.mktemp("mlflow"))
    (made.folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\nadmin_username = {ADMIN}\n"
        f"database_uri = sqlite:///{made.folder}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    command = ["-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(made.port)]
    command += ["--workers", "1", "--allowed-hosts", f"localhost:{made.port}"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{made.folder}/runs.db",
        "--artifacts-destination",
        f"{made.folder}/a",
    ]
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(made.folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "key",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (made.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], env={**os.environ, **variables}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(made)
        yield made
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def wait_for(server: Server) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{server.uri}/health", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError((server.folder / "log").read_text()[-2000:])


class Ended(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str
    listened: set[Listener]


def run(home: Path, *arguments: str, **variables: str) -> Ended:
    """Run a command to its end, and look at what it listens on all the while."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments, "--home", str(home)],
        cwd=PROJECT,
        env={**os.environ, **ENVIRONMENT, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    listened: set[Listener] = set()

    def look() -> None:
        while process.poll() is None:
            listened.update(listeners(process.pid))
            time.sleep(0.2)

    looking = threading.Thread(target=look)
    looking.start()
    out, err = process.communicate(timeout=500)
    looking.join()
    return Ended(process.returncode, out, err, listened)


def leaks(*folders: Path) -> list[str]:
    """The files that hold a secret."""
    secrets = [LEAK, ENVIRONMENT["RAY_AUTH_TOKEN"]]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [str(file) for file in files if any(secret.encode() in file.read_bytes() for secret in secrets)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose Prefect server has a block with MLflow's password in it."""
    home = tmp_path_factory.mktemp("home")
    items = {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    run_code(MAKE_BLOCK, home, BLOCK, ITEMS=json.dumps(items))
    return home


def run_code(code: str, *arguments: str | Path, **variables: str) -> str:
    """What Python code prints that is run with our settings."""
    environ = {**os.environ, **engine_environment(Path(arguments[0]), verbose=False), **variables}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    ended = subprocess.run(command, env=environ, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.fixture
def ray_files() -> Iterator[Path]:
    """Where Ray keeps its logs and sockets; their path must be short."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def test_a_run_with_secrets_everywhere_writes_none(server: Server, home: Path, ray_files: Path, tmp_path: Path) -> None:
    variables = {"MLFLOW_TRACKING_URI": server.uri, "RAY_TMPDIR": str(ray_files), "TMPDIR": str(tmp_path)}
    wrong = run(home, *RETRAIN, **variables, MLFLOW_TRACKING_USERNAME=ADMIN, MLFLOW_TRACKING_PASSWORD="s3ntinel-wrong")
    assert wrong.code == 2, wrong.err[-3000:]
    (sentence,) = [line for line in wrong.err.splitlines() if line.startswith("error: ")]
    assert sentence.startswith(f"error: MLflow at {server.uri} refuses (401): set MLFLOW_TRACKING_USERNAME and ")

    right = run(home, *RETRAIN, **variables, FER_SECRETS_BLOCK=BLOCK)
    assert right.code == 0, right.err[-3000:]
    result = json.loads(right.out.splitlines()[-1])
    assert (result["model_version"], result["champion"]) == (1, 1)
    assert {"ingest", "prepare", "train", "subdivide", "evaluate"} <= {*result["reused"]}

    assert LEAK not in wrong.out + wrong.err + right.out + right.err
    assert leaks(home, ray_files, tmp_path, server.folder / "a") == []
    assert [file for file in leaks(server.folder) if not file.endswith("log")] == []
    assert (home / "prefect").stat().st_mode & 0o777 == 0o700
    assert [file for file in home.rglob("*") if file.suffix in (".pkl", ".pickle")] == []
    for kept in (home / "prefect" / "storage").glob("*"):  # the error that ended a flow
        assert json.loads(kept.read_text()), kept
    open_to_others = {
        one.command.strip().partition(".")[0] for one in wrong.listened | right.listened if not one.is_loopback
    }
    assert open_to_others <= {"ray::RayTrainWorker"}  # torch's meeting point of the workers, see docs/clusters.md
    assert any("uvicorn" in one.command for one in right.listened)

    with environment({"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": PASSWORD}):
        registry = Registry(tmp_path, server.uri, "fer")
        assert registry.version_of("champion") == 1
        assert registry.predictor(1).description.method == "mul_dml"
        assert LEAK not in json.dumps([*map(vars, Versions(server.uri).all()), *run_records(registry)])


def run_records(registry: Registry) -> list[dict[str, object]]:
    client = registry._client
    experiments = [one.experiment_id for one in client.search_experiments()]
    return [run.to_dictionary() for run in client.search_runs(experiments)]


def test_a_deployed_flow_takes_its_secrets_from_the_block(home: Path) -> None:
    written = run_code(RUN_DEPLOYED, home, FER_SECRETS_BLOCK=BLOCK)
    length, left, logs, parameters = json.loads(written.splitlines()[-1])
    assert length == len(PASSWORD)
    assert left is None
    assert "told: password ***" in logs
    assert LEAK not in str(logs)
    assert parameters == ["options"]


def test_a_block_that_is_not_there_is_named(home: Path) -> None:
    ended = run(home, "promote", FER_SECRETS_BLOCK="nothing-of-the-kind")
    assert ended.code == 2
    assert "error: FER_SECRETS_BLOCK: the Prefect server has no Secret block nothing-of-the-kind" in ended.err


def test_a_user_without_the_permission_and_a_host_that_is_not_allowed(server: Server, tmp_path: Path) -> None:
    with environment({"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": PASSWORD}):
        reader = {"username": "reader", "password": READER}
        made = requests.post(
            f"{server.uri}/api/2.0/mlflow/users/create", json=reader, auth=(ADMIN, PASSWORD), timeout=60
        )
        assert made.ok, made.text
        mlflow.MlflowClient(server.uri).create_registered_model("guarded")
        with pytest.raises(InputError, match=r"refuses \(403\): .*--allowed-hosts"):
            Registry(tmp_path, f"http://127.0.0.1:{server.port}", "fer").version_of("champion")
    with environment({"MLFLOW_TRACKING_USERNAME": "reader", "MLFLOW_TRACKING_PASSWORD": READER}):
        registry = Registry(tmp_path, server.uri, "guarded")
        with pytest.raises(InputError, match=r"refuses \(403\): ask its administrator"), registry.locked():
            registry.set_alias("champion", 1)


@pytest.mark.filterwarnings("ignore")
def test_a_registered_pickle_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = str(tmp_path / "it was run")

    class Payload(mlflow.pyfunc.PythonModel):
        def predict(self, context: object, model_input: list[str]) -> list[str]:
            return model_input

        def __setstate__(self, state: object) -> None:
            open(trace, "w").close()

        def __getstate__(self) -> object:
            return {"not": "empty"}

    registry = Registry(tmp_path, None, "fer")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):  # MLflow would leave them in the environment
        monkeypatch.setenv(name, registry.uri)
    mlflow.set_tracking_uri(registry.uri)
    mlflow.set_registry_uri(registry.uri)
    with mlflow.start_run(experiment_id=registry._experiment()):
        mlflow.pyfunc.log_model(name="model", python_model=Payload(), registered_model_name="fer", pip_requirements=[])
    Path(trace).unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"model fer version 1 cannot be loaded: .*pickle"):
        registry.predictor(1)
    assert not Path(trace).exists()
