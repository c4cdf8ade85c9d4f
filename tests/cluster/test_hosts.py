"""Hosts as namespaces: they reach each other and nothing else, lose each other, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import real_cluster
from hosts import Host, network

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(real_cluster.missing()), reason=f"no hosts here: {real_cluster.missing()}"),
]
PORT = 8000


def serve(host: Host) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "http.server", "--bind", host.address, str(PORT)]
    server = host.start(command, {}, subprocess.DEVNULL, subprocess.DEVNULL)
    while not host.answers(PORT):
        assert server.poll() is None
        time.sleep(0.1)
    return server


def test_hosts_are_cut_off_and_come_back_and_die(tmp_path: Path) -> None:
    with network(tmp_path, "one", "two") as (one, two):
        server = serve(one)
        assert two.reaches(one, PORT)
        one.cut()
        assert one.answers(PORT), "it goes on by itself"
        assert not two.reaches(one, PORT)
        one.join()
        assert two.reaches(one, PORT)
        one.kill()
        assert server.wait(10) != 0
        assert not two.reaches(one, PORT)


def test_this_machine_and_the_hosts_do_not_see_each_other(tmp_path: Path) -> None:
    links = subprocess.check_output(["ip", "link"])
    with network(tmp_path, "one") as (one,):
        serve(one)
        assert subprocess.check_output(["ip", "link"]) == links
        on_switch = ["nsenter", f"--target={one.switch}", "--net", "ip", "-brief", "link"]
        names = [line.split("@")[0].split()[0] for line in subprocess.check_output(on_switch, text=True).splitlines()]
        assert sorted(names) == ["bridge", "lo", "one"], "no way out"
        seen = subprocess.check_output(one.command("ps", "-eo", "comm="), text=True).split()
        assert sorted(seen) == ["bash", "ps", "python"]


HOLD = """
import subprocess, sys, time
from pathlib import Path
from typing import Any
sys.path.insert(0, sys.argv[2])
from hosts import network
with network(Path(sys.argv[1]), "one") as (one,):
    one.start(["sleep", "1000"], {}, subprocess.DEVNULL, subprocess.DEVNULL)
    print(one.first, flush=True)
    time.sleep(1000)
"""


def _hear_ctrl_c() -> None:
    """Shells start what runs in the background deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_the_end_comes(tmp_path: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path), str(Path(__file__).parent)]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, **streams, preexec_fn=_hear_ctrl_c) as holder:
        assert holder.stdout is not None
        first = int(holder.stdout.readline())
        holder.send_signal(end)
    deadline = time.monotonic() + 10
    while Path("/proc", str(first)).exists():
        assert time.monotonic() < deadline, os.listdir(f"/proc/{first}")
        time.sleep(0.05)
