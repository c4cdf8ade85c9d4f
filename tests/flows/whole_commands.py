"""Commands as a person runs them, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def values(self) -> dict[str, Any]:
        """The JSON object on the last line."""
        return json.loads(self.out.splitlines()[-1])


def start(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments, "--home", str(home)],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path, *arguments: str, code: int = 0, **environment: str) -> Ended:
    """Run a command to its end, which must be with this exit code and without a traceback."""
    process = start(home, *arguments, **environment)
    out, err = process.communicate(timeout=400)
    assert process.returncode == code, err[-3000:]
    assert "Traceback" not in err, err[-3000:]
    return Ended(process.returncode, out, err)


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
