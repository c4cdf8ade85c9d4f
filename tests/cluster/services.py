"""The services of a cluster as real processes on hosts: each function starts one and returns where it answers.

Passwords are made for the run and go by the environment or files that only their owner reads, never by arguments.
"""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hosts import Host

PROJECT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
START_UP_SECONDS = 400
DATABASE_USER = "postgres"
"""Debian's PostgreSQL makes this user; the server refuses to run as root."""
BUCKET = "fer"
HOME_MODE = 0o711
DASK_SETTINGS = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "20s"}
"""Both ends of a connection that went silent give it up after so long; 11 s is the least that Dask takes."""
RAY_HEALTH = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "5",
}
"""Of the head: a node that misses so many checks in a row is taken for lost."""


class Keys(NamedTuple):
    """What the services ask for."""

    database: str
    mlflow: str
    prefect: str
    s3: str
    s3_name: str
    session: str

    @classmethod
    def made(cls) -> "Keys":
        return cls(*(secrets.token_hex(16) for _ in cls._fields))


def tool(name: str) -> str:
    """The path of a program that is installed beside this Python, or on the machine.

    Raises:
        FileNotFoundError: it is not.
    """
    found = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found


def database_tool(name: str) -> str:
    """A program of the newest PostgreSQL; Debian keeps them off the PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(versions[-1]) if versions else tool(name)


class Ground:
    """What all hosts share: a folder as on a shared file system, and the environment that every command gets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = Keys.made()
        folder.chmod(HOME_MODE)  # the database's user passes through

    def environment(self, host: Host, **own: str) -> dict[str, str]:
        """The environment of a command on a host."""
        home = self.folder / host.name
        home.mkdir(exist_ok=True)
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "NO_ALBUMENTATIONS_UPDATE": "1",
            **own,
        }

    def start(self, host: Host, name: str, command: Sequence[str], **own: str) -> subprocess.Popen[str]:
        """Start a command whose output goes to `name`.log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return host.start(command, self.environment(host, **own), log.fileno(), log.fileno())

    def serve(self, host: Host, port: int, name: str, command: Sequence[str], says: str = "", **own: str) -> str:
        """Start a service and wait until it answers and its log says that it is up; gives ADDRESS:PORT.

        Raises:
            RuntimeError: it ended or did not answer in time; with the end of its log.
        """
        process, log = self.start(host, name, command, **own), self.folder / f"{name}.log"
        deadline = time.monotonic() + START_UP_SECONDS
        while not (host.answers(port) and says in log.read_text()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start: {log.read_text()[-3000:]}")
            time.sleep(0.1)
        return f"{host.address}:{port}"

    @property
    def s3_keys(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.keys.s3_name, "AWS_SECRET_ACCESS_KEY": self.keys.s3}

    def secret_file(self, name: str, text: str) -> Path:
        """A file that only this user reads."""
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(text)
        return file


def postgresql(ground: Ground, host: Host, *databases: str) -> str:
    """PostgreSQL with these databases, by password only; gives USER:PASSWORD@ADDRESS:PORT."""
    folder = ground.folder / "postgresql"
    folder.mkdir()
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(ground.keys.database)
    for path in (folder, password):
        shutil.chown(path, DATABASE_USER)
    demoted = [tool("setpriv"), f"--reuid={DATABASE_USER}", f"--regid={DATABASE_USER}", "--clear-groups"]
    data = folder / "data"
    initdb = [database_tool("initdb"), "-D", str(data), "-U", "fer", "--auth=scram-sha-256", f"--pwfile={password}"]
    subprocess.run([*demoted, *initdb, "--no-sync"], cwd=folder, check=True, capture_output=True)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all fer samenet scram-sha-256\n")
    quick = ["-c", "fsync=off", "-c", f"listen_addresses={host.address}", "-c", f"unix_socket_directories={folder}"]
    where = ground.serve(
        host, 5432, "postgresql", [*demoted, database_tool("postgres"), "-D", str(data), *quick], PGDATA=str(data)
    )
    for name in databases:
        sql(ground, host, f"CREATE DATABASE {name}")
    return f"fer:{ground.keys.database}@{where}"


def sql(ground: Ground, host: Host, query: str, database: str = "postgres") -> str:
    """The answer of the database on a host, a line a row."""
    command = [database_tool("psql"), "-h", host.address, "-U", "fer", "-d", database, "-Atc", query]
    environment = {**os.environ, "PGPASSWORD": ground.keys.database}
    return subprocess.run(host.command(*command), env=environment, capture_output=True, text=True, check=True).stdout


def s3(ground: Ground, host: Host) -> dict[str, str]:
    """An S3 server with one bucket; gives the environment of its clients."""
    files = ground.folder / "s3"
    (files / BUCKET).mkdir(parents=True)
    command = [tool("rclone"), "serve", "s3", str(files), "--addr", f"{host.address}:9000"]
    keys = f'"{ground.keys.s3_name},{ground.keys.s3}"'  # one pair of a comma-separated list
    where = ground.serve(host, 9000, "s3", command, RCLONE_AUTH_KEY=keys, RCLONE_CONFIG="/dev/null")
    plain = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
    return {**ground.s3_keys, **plain, "AWS_ENDPOINT_URL": f"http://{where}", "AWS_DEFAULT_REGION": "us-east-1"}


def mlflow(ground: Ground, host: Host, database: str, storage: Mapping[str, str]) -> dict[str, str]:
    """An MLflow server with users, runs in the database and artifacts on S3; gives the environment of its clients."""
    users = ground.secret_file(
        "mlflow-auth.ini",
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = postgresql://{database}/mlflow_users\n"
        f"admin_username = fer\nadmin_password = {ground.keys.mlflow}\n",
    )
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    where = ground.serve(
        host,
        5000,
        "mlflow",
        [*command, "--host", host.address, "--port", "5000", "--artifacts-destination", f"s3://{BUCKET}/mlflow"],
        MLFLOW_BACKEND_STORE_URI=f"postgresql://{database}/mlflow",
        MLFLOW_AUTH_CONFIG_PATH=str(users),
        MLFLOW_FLASK_SERVER_SECRET_KEY=ground.keys.session,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        MLFLOW_SERVER_ALLOWED_HOSTS=f"{host.address}:5000",
        **storage,
    )
    return {
        "MLFLOW_TRACKING_URI": f"http://{where}",
        "MLFLOW_TRACKING_USERNAME": "fer",
        "MLFLOW_TRACKING_PASSWORD": ground.keys.mlflow,
    }


def prefect(ground: Ground, host: Host, database: str) -> dict[str, str]:
    """A Prefect server on the database; gives the environment of its clients."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    where = ground.serve(
        host,
        4200,
        "prefect",
        [*command, "--host", host.address, "--port", "4200", "--log-level", "warning"],
        PREFECT_API_DATABASE_CONNECTION_URL=f"postgresql+asyncpg://{database}/prefect",
        PREFECT_SERVER_API_AUTH_STRING=f"fer:{ground.keys.prefect}",
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_UI_ENABLED="0",
    )
    return {"PREFECT_API_URL": f"http://{where}/api", "PREFECT_API_AUTH_STRING": f"fer:{ground.keys.prefect}"}


def ray(ground: Ground, driver: Host, hosts: Sequence[Host], storage: Mapping[str, str]) -> dict[str, str]:
    """A Ray cluster that asks for a token, of hosts with one processor; gives the environment of its clients.

    Its head is the first of them; the driver's host joins without processors.
    """
    token = ground.secret_file("ray-token", ground.keys.session)
    clients = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    settings = {**RAY_HEALTH, **clients, **storage}
    head = f"{hosts[0].address}:6379"
    for host in (*hosts, driver):
        alone = ["--head", "--port", "6379", "--include-dashboard", "false"]
        where = alone if host is hosts[0] else ["--address", head]
        limits = ["--num-cpus", str(int(host is not driver)), "--object-store-memory", "100000000"]
        own = ["--temp-dir", str(ground.folder / f"{host.name}-node"), "--node-manager-port", "6380"]
        command = [tool("ray"), "start", "--block", "--disable-usage-stats", "--node-ip-address", host.address]
        ground.serve(host, 6380, host.name, [*command, *where, *limits, *own], "Ray runtime started", **settings)
    return {"RAY_ADDRESS": head, **clients}


def dask(ground: Ground, control: Host, hosts: Sequence[Host]) -> dict[str, str]:
    """A Dask scheduler and workers of one thread, without dashboards; gives the environment of its clients."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--no-show"]
    address = ["--host", control.address, "--port", "8786"]
    scheduler = f"tcp://{ground.serve(control, 8786, 'dask', [*command, *address], **DASK_SETTINGS)}"
    for host in hosts:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-dashboard", "--no-nanny"]
        limits = ["--nthreads", "1", "--host", host.address, "--worker-port", "8788"]
        scratch = ["--local-directory", str(ground.folder / host.name)]
        ground.serve(host, 8788, host.name, [*command, *limits, *scratch], **DASK_SETTINGS)
    return {"DASK_SCHEDULER_ADDRESS": scheduler, **DASK_SETTINGS}
