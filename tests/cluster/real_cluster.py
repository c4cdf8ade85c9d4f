"""A cluster of eight hosts on this machine, and commands of the pipeline that run over it.

python tests/cluster/real_cluster.py [COMMAND --option value ...], as root: without a command a small `retrain`.
Needs Debian's iproute2, postgresql and util-linux; the rest is in requirements.txt.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import services
from hosts import Host, network

HOSTS = ("store", "control", "driver", "ray-one", "ray-two", "ray-three", "dask-one", "dask-two")
SMALL = ["--synthetic.identities", "6", "--synthetic.takes", "1", "--face-size", "32", "--batch-size", "16"]
RETRAIN = ["retrain", *SMALL, "--epochs", "2", "--resamples", "100", "--workers", "2"]


def missing() -> str:
    """Why the cluster cannot be made here; empty: it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        for name in ("ip", "unshare", "nsenter", "setpriv", "rclone"):
            services.tool(name)
        services.database_tool("initdb")
    except FileNotFoundError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class RealCluster:
    """Ray on three hosts with a processor each, Dask on two, what they need on `store` and `control`.

    Commands run on `driver`, which has a Ray node without processors, as a host that trains over Ray must.
    """

    ground: services.Ground
    store: Host
    control: Host
    ray: list[Host]
    dask: list[Host]
    driver: Host
    environment: dict[str, str]

    def start(self, home: Path, *arguments: str, err: int | None = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command of the pipeline on the driver's host."""
        command = [sys.executable, "-m", "flows", *arguments, "--home", str(home), "--json"]
        environment = self.ground.environment(self.driver, **self.environment)
        return self.driver.start(command, environment, subprocess.PIPE, err)


@contextlib.contextmanager
def real_cluster() -> Iterator[RealCluster]:
    """Everything up; all of it gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="fer-hosts-"))
    try:
        with network(folder, *HOSTS) as hosts:
            yield _started(services.Ground(folder), *hosts)
    finally:
        shutil.rmtree(folder)


def _started(ground: services.Ground, store: Host, control: Host, driver: Host, *workers: Host) -> RealCluster:
    ray, dask = workers[:3], workers[3:]
    database = services.postgresql(ground, store, "prefect", "mlflow", "mlflow_users")
    storage = services.s3(ground, store)
    with ThreadPoolExecutor() as pool:
        engines = [
            pool.submit(services.mlflow, ground, control, database, storage),
            pool.submit(services.prefect, ground, control, database),
            pool.submit(services.ray, ground, driver, ray, storage),
            pool.submit(services.dask, ground, control, dask),
        ]
    environment = dict(storage)
    for engine in engines:
        environment |= engine.result()
    return RealCluster(ground, store, control, list(ray), list(dask), driver, environment)


def main(arguments: list[str]) -> int:
    """Run a command over a cluster that is there as long as it; its exit code."""
    if reason := missing():
        print(reason, file=sys.stderr)
        return 2
    started = time.monotonic()
    with real_cluster() as cluster:
        print(f"{len(HOSTS)} hosts are up after {time.monotonic() - started:.0f} s", file=sys.stderr)
        command = cluster.start(cluster.ground.folder / "home", *(arguments or RETRAIN), err=None)
        print(command.communicate()[0])
    return command.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
