"""Load on a served model, on loopback: the page's API and MLflow's server, the same champion and the same picture.

    python -m benchmarks.serving [--home DIR] [--model-name fer] [--requests 1000] [--clients 4] [--picture FILE]
                                 [--json]

Without --home a model is trained on drawn faces first. Each server is a process of its own; `clients` threads ask it
one after the other, each request on a connection that stays open. Told are requests a second, the median and the 99th
percentile of the time to an answer, and the resident memory of the server and what it has started: once it has
answered a tenth of the requests, and after all of them. The page's server has one model thread; MLflow's has its
default, a thread for each request. The page turns away more than eight requests at once: --clients is at most 8.
"""

import argparse
import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import httpx
import numpy as np

from fer_core.synthetic import Face, render
from infra.mlflow_engine import own_uri
from infra.settings import Settings, engine_environment

PROJECT = Path(__file__).parents[1]
PATIENCE = 300
"""Seconds until a server answers."""
QUICK = ["--synthetic.identities", "6", "--synthetic.takes", "1", "--face-size", "48", "--epochs", "1"]


class Server(NamedTuple):
    """A server that runs: its process, and one request of it."""

    process: int
    ask: Callable[[httpx.Client], httpx.Response]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--model-name", default="fer")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--picture", type=Path, help="else a drawn face of 256 pixels")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    picture = given.picture.read_bytes() if given.picture else drawn()
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or trained(Path(folder))
        found = {}
        for name, serve in {"page": page, "mlflow": mlflow_server}.items():
            with serve(home.absolute(), given.model_name, picture, Path(folder)) as server:
                found[name] = loaded(server, given.requests, given.clients)
    print(json.dumps(found) if given.json else table(found, given.requests, given.clients))


def drawn() -> bytes:
    image, _ = render(Face(1, "happiness", 0.9, 0.0, 0), 256)
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def trained(folder: Path) -> Path:
    command = [sys.executable, "-m", "flows", "retrain", "--home", str(folder / "home"), *QUICK]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    return folder / "home"


@contextmanager
def page(home: Path, name: str, picture: bytes, folder: Path) -> Iterator[Server]:
    """`python -m flows serve`."""
    command = [sys.executable, "-m", "flows", "serve", "--home", str(home), "--model-name", name, "--port", "0"]
    with started(command, {}, folder / "page.log") as process:
        log = folder / "page.log"
        answers(process, log, lambda: re.search(r"http://\S+", log.read_text()) is not None)
        address = re.search(r"http://\S+", log.read_text())[0]  # type: ignore[index]
        yield Server(process.pid, lambda client: client.post(f"{address}/api/predict", content=picture))


@contextmanager
def mlflow_server(home: Path, name: str, picture: bytes, folder: Path) -> Iterator[Server]:
    """`mlflow models serve`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    programs = Path(sys.executable).parent
    command = [str(programs / "mlflow"), "models", "serve", "-m", f"models:/{name}@champion", "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    environment = {
        **engine_environment(home, verbose=False),
        "MLFLOW_TRACKING_URI": Settings().mlflow_tracking_uri or own_uri(home),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",  # by which MLflow finds uvicorn
    }
    body = json.dumps({"dataframe_records": [{"image": base64.b64encode(picture).decode()}]})
    headers = {"content-type": "application/json"}
    with started(command, environment, folder / "mlflow.log") as process:
        answers(process, folder / "mlflow.log", lambda: is_up(f"{address}/ping"))
        yield Server(process.pid, lambda client: client.post(f"{address}/invocations", content=body, headers=headers))


@contextmanager
def started(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_up(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.TransportError:
        return False


def answers(process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the server does not answer:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def loaded(server: Server, num_requests: int, num_clients: int) -> dict[str, Any]:
    """Ask it so often, by so many at once."""
    first = max(num_clients, num_requests // 10)
    asked(server, first, num_clients)
    before = resident_mb(server.process)
    began = time.perf_counter()
    seconds = asked(server, num_requests, num_clients)
    took = time.perf_counter() - began
    median, late = np.percentile(seconds, [50, 99])
    return {
        "requests_per_second": num_requests / took,
        "p50_ms": 1000 * float(median),
        "p99_ms": 1000 * float(late),
        "memory_before_mb": before,
        "memory_after_mb": resident_mb(server.process),
    }


def asked(server: Server, num_requests: int, num_clients: int) -> list[float]:
    def one_client(count: int) -> list[float]:
        seconds = []
        with httpx.Client(timeout=60) as client:
            for _ in range(count):
                began = time.perf_counter()
                server.ask(client).raise_for_status()
                seconds.append(time.perf_counter() - began)
        return seconds

    share, more = divmod(num_requests, num_clients)
    with ThreadPoolExecutor(num_clients) as pool:
        parts = pool.map(one_client, [share + (at < more) for at in range(num_clients)])
        return [second for part in parts for second in part]


def resident_mb(process: int) -> float:
    """Of a process and all that it has started, which are of its group."""
    pages = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == process:
                    pages += int((entry / "statm").read_text().split()[1])
            except OSError:  # it has ended
                continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def table(found: dict[str, dict[str, Any]], num_requests: int, num_clients: int) -> str:
    lines = [f"{num_requests} requests by {num_clients} clients", ""]
    lines += [f"{'':8}{'requests/s':>12}{'p50':>10}{'p99':>10}{'memory before, after':>26}"]
    for name, one in found.items():
        memory = f"{one['memory_before_mb']:.0f}, {one['memory_after_mb']:.0f} MB"
        times = f"{one['p50_ms']:>7.0f} ms{one['p99_ms']:>7.0f} ms"
        lines.append(f"{name:8}{one['requests_per_second']:>12.1f}{times}{memory:>26}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
