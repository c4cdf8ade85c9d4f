"""Partitions over a Dask cluster whose parts are killed: what is lost is done again, or said."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_core.errors import InputError
from infra import dask_engine
from infra.dask_engine import map_partitions

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
SETTINGS = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s", "PYTHONPATH": str(Path(__file__).parent)}


def write_file(folder: Path, number: int) -> int:
    """A partition of one row that takes half a second."""
    time.sleep(0.5)
    (folder / str(number)).write_text(str(os.getpid()))
    return 1


def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *arguments, "--host", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, "--no-dashboard"], env={**os.environ, **SETTINGS}, **quiet)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    file = tmp_path / "scheduler.json"
    process = start("scheduler", "--port", "0", "--scheduler-file", str(file))
    while not file.exists():
        time.sleep(0.1)
    yield _address(file), process
    process.kill()
    process.wait()


def _address(file: Path) -> str:
    return next(word for word in file.read_text().split('"') if word.startswith("tcp://"))


@pytest.fixture
def workers(scheduler: tuple[str, subprocess.Popen[bytes]], tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    limits = ["--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)]
    processes = [start("worker", scheduler[0], *limits) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_partitions_of_a_killed_worker_are_done_by_another(
    scheduler: tuple[str, subprocess.Popen[bytes]], workers: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    done: list[int] = []

    def kill_one(total: int) -> None:
        done.append(total)
        if total == 4:
            workers[0].send_signal(signal.SIGKILL)

    map_partitions(scheduler[0], write_file, ((folder, number) for number in range(20)), kill_one)
    assert done == list(range(1, 21))
    assert {path.name for path in folder.iterdir()} == {str(number) for number in range(20)}
    last = {int(path.read_text()) for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[-8:]}
    assert last == {workers[1].pid}


def test_a_lost_scheduler_is_said(
    scheduler: tuple[str, subprocess.Popen[bytes]], workers: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    def kill_it(total: int) -> None:
        scheduler[1].send_signal(signal.SIGKILL)

    with pytest.raises(InputError, match="was lost; run the same command again"):
        map_partitions(scheduler[0], write_file, ((tmp_path, number) for number in range(20)), kill_it)


def test_a_scheduler_without_workers_is_not_waited_for_without_end(
    scheduler: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dask_engine, "START_SECONDS", 1)
    with pytest.raises(InputError, match="has had no worker for 1 s"):
        map_partitions(scheduler[0], write_file, [(tmp_path, 0)], print)
