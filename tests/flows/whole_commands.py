"""Commands as a person runs them, in processes of their own."""

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""As sums are split over threads, and as a process of several threads cannot be forked."""


class Ended(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str
    processor_seconds: float | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The JSON object on the last line."""
        return json.loads(self.out.splitlines()[-1])


def start(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments, "--home", str(home)],
        cwd=PROJECT,
        env={**os.environ, **ONE_THREAD, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path, *arguments: str, code: int = 0, **environment: str) -> Ended:
    """Run a command to its end, which must be with this exit code and without a traceback.

    Given an environment it is a whole process; else a fork of one that has imported what all commands need, with a
    Prefect server that they share.
    """
    ended = _whole(home, *arguments, **environment) if environment else _forked(home, *arguments)
    assert ended.code == code, ended.err[-3000:]
    assert "Traceback" not in ended.err, ended.err[-3000:]
    return ended


def _whole(home: Path, *arguments: str, **environment: str) -> Ended:
    process = start(home, *arguments, **environment)
    out, err = process.communicate(timeout=400)
    return Ended(process.returncode, out, err)


def _forked(home: Path, *arguments: str) -> Ended:
    process, folder = _forking_process()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        print(json.dumps([*arguments, "--home", str(home)]), file=process.stdin, flush=True)
        code, seconds = json.loads(process.stdout.readline())
    except BaseException:  # pytest's time is over, say: the next answer would be that of this command
        process.kill()
        _forking_process.cache_clear()
        raise
    return Ended(code, (folder / "out").read_text(), (folder / "err").read_text(), seconds)


@functools.cache
def _forking_process() -> tuple[subprocess.Popen[str], Path]:
    """One for all tests of this process, and where it writes; it ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="fer-commands-"))
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("commands_of_one_process.py")), str(folder)],
        cwd=PROJECT,
        env={**os.environ, **ONE_THREAD},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(shutil.rmtree, folder)
    atexit.register(process.communicate)
    return process, folder


def killed_when(process: subprocess.Popen[str], home: Path, pattern: str) -> None:
    """SIGKILL as soon as a file that matches stands in the home."""
    wait_for(process, home, pattern)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def wait_for(process: subprocess.Popen[str], home: Path, pattern: str) -> None:
    deadline = time.monotonic() + 300
    while not any(home.glob(pattern)):
        assert process.poll() is None, f"ended before {pattern}: {process.communicate()[1][-2000:]}"
        assert time.monotonic() < deadline, pattern
        time.sleep(0.005)


def manifests(home: Path) -> dict[str, str]:
    """The manifest of every finished directory: equal texts are equal shards, bit for bit."""
    found = home.glob("*/*/manifest.json")
    return {path.parent.relative_to(home).as_posix(): path.read_text() for path in found}


def folders(home: Path, folder: str) -> list[str]:
    """The directories of one kind."""
    return sorted(path.name for path in (home / folder).glob("[!.]*"))
