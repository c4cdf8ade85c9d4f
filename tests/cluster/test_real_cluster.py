"""The pipeline over hosts: what comes out is what one host makes, also when a host is cut off in the middle."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import real_cluster
import services
from real_cluster import RealCluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(real_cluster.missing()), reason=f"no hosts here: {real_cluster.missing()}"),
]
TRAIN = [*real_cluster.SMALL, "--epochs", "6", "--resamples", "100", "--workers", "2", "--checkpoint-steps", "4"]
INGEST = ["ingest", "--synthetic.identities", "100"]
"""1600 pictures: seven partitions."""
CHECKPOINTS = f"s3://{services.BUCKET}/checkpoints"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RealCluster]:
    with real_cluster.real_cluster() as up:
        yield up


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same training on this machine alone."""
    return on_one_host(tmp_path_factory.mktemp("home"), "evaluate", *TRAIN)


def on_one_host(home: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "flows", *arguments, "--home", str(home), "--json"]
    ended = subprocess.run(command, cwd=services.PROJECT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


def finish(command: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = command.communicate(timeout=500)
    assert command.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


def wait_until(happened: Callable[[], bool], command: subprocess.Popen[str]) -> None:
    while not happened():
        assert command.poll() is None, command.communicate()[1][-3000:]
        time.sleep(0.02)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file but locks and logs of servers."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_retrain_over_hosts_makes_the_model_of_one_host(cluster: RealCluster, undisturbed: dict[str, Any]) -> None:
    ground, home = cluster.ground, cluster.ground.folder / "home"
    result = finish(cluster.start(home, "retrain", *TRAIN, "--storage", CHECKPOINTS))
    assert result["champion"] == result["model_version"] == 1
    assert result["metrics"] == pytest.approx(undisturbed["metrics"], abs=1e-6)
    stored = {path.name for path in (ground.folder / "s3" / services.BUCKET / "mlflow").rglob("*")}
    assert {"report.html", "MLmodel"} <= stored
    assert services.sql(ground, cluster.store, "SELECT count(*) FROM model_versions", "mlflow") == "1\n"
    assert services.sql(ground, cluster.store, "SELECT state_type FROM flow_run", "prefect").split() == [
        "COMPLETED"
    ] * len(services.sql(ground, cluster.store, "SELECT id FROM flow_run", "prefect").split())
    assert not list(home.glob("mlflow/*.db")), "no store of its own"


def test_a_dask_host_cut_off_in_the_middle_of_ingest(cluster: RealCluster, tmp_path: Path) -> None:
    home = cluster.ground.folder / "cut-ingest"
    command = cluster.start(home, *INGEST)
    wait_until(lambda: any(home.glob("catalogs/*/part-*.parquet")), command)
    cluster.dask[1].cut()
    rows = finish(command)["rows"]
    assert rows == on_one_host(tmp_path / "alone", *INGEST)["rows"] == 1600
    assert files_of(home / "catalogs") == files_of(tmp_path / "alone" / "catalogs")


def test_a_ray_host_cut_off_in_the_middle_of_training(cluster: RealCluster, undisturbed: dict[str, Any]) -> None:
    home = cluster.ground.folder / "cut-training"
    uploaded = cluster.ground.folder / "s3" / services.BUCKET / "cut-checkpoints"
    command = cluster.start(home, "evaluate", *TRAIN, "--storage", f"s3://{services.BUCKET}/cut-checkpoints")
    wait_until(lambda: len(list(uploaded.rglob("checkpoint.pt"))) > 1, command)
    at_work = [host for host in cluster.ray[1:] if runs(host, "RayTrainWorker")]
    at_work[0].cut()
    result = finish(command)
    assert len(result["restarts"]) == 1
    assert result["metrics"] == pytest.approx(undisturbed["metrics"], abs=1e-6)


def runs(host: Any, name: str) -> bool:
    return subprocess.run(host.command("pgrep", "-f", name), capture_output=True).returncode == 0


def test_secrets_are_read_by_their_owner_only(cluster: RealCluster) -> None:
    for name in ("ray-token", "mlflow-auth.ini"):
        assert (cluster.ground.folder / name).stat().st_mode & 0o777 == 0o600
    told = subprocess.check_output(["ps", "-eo", "args"], text=True)
    assert not [key for key in cluster.ground.keys if key in told]
