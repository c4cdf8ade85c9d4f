"""Hosts on one machine: namespaces of network, processes and names, joined by a bridge. Needs root and util-linux.

The machine's own network is not touched: nothing in it leads to the hosts, and they reach nothing but each other. No
namespace has a name: each is held by one process that ends with this one, so nothing is left whatever happens here.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SUBNET = "10.77.0"
INHERITED = ("PATH", "LANG", "LC_ALL")
"""What a command takes over of this process' environment; the rest is told to it."""
ALIVE = "echo up; read -r _"
"""Until standard input ends, which it does with this process."""


@dataclass(frozen=True)
class Host:
    """One host: its own address, processes and name; the file system is shared with all.

    `first` is the process that holds its namespaces: when it ends, all others of the host are killed by the kernel.
    """

    name: str
    address: str
    first: int
    switch: int
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def command(self, *command: str) -> list[str]:
        """What runs a command on the host."""
        return ["nsenter", f"--target={self.first}", "--net", "--pid", "--uts", "--mount", "--", *command]

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], out: int, err: int | None
    ) -> subprocess.Popen[str]:
        """Start a command in the project's folder."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        process = subprocess.Popen(
            self.command("env", "-C", str(Path(__file__).parents[2]), *command),
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
        )
        self.started.append(process)
        return process

    def answers(self, port: int) -> bool:
        """Whether something listens at the host's address, as the host itself sees it."""
        return self.reaches(self, port)

    def reaches(self, other: "Host", port: int) -> bool:
        """Whether a connection to another host is taken within two seconds."""
        knock = self.command("timeout", "2", "bash", "-c", f"</dev/tcp/{other.address}/{port}")
        return subprocess.run(knock, capture_output=True).returncode == 0

    def cut(self) -> None:
        """Pull the cable: nothing gets in or out, and nobody is told."""
        _in_network_of(self.switch, "ip", "link", "set", self.name, "down")

    def join(self) -> None:
        """Put the cable back."""
        _in_network_of(self.switch, "ip", "link", "set", self.name, "up")

    def kill(self) -> None:
        """Switch the host off: all its processes end at once."""
        os.kill(self.first, signal.SIGKILL)


@contextmanager
def network(folder: Path, *names: str) -> Iterator[list[Host]]:
    """Hosts by these names (15 letters at most), which know each other by them; gone with all they run at the end."""
    addresses = {name: f"{SUBNET}.{number}" for number, name in enumerate(names, start=1)}
    known = folder / "hosts"
    known.write_text("".join(f"{address} {name}\n" for name, address in addresses.items()) + "127.0.0.1 localhost\n")
    hosts: list[Host] = []
    with ExitStack() as made:
        made.callback(_wait_for_all, hosts)
        switch = made.enter_context(_held("--net", script=ALIVE))
        _in_network_of(switch, "ip", "link", "add", "bridge", "type", "bridge")
        _in_network_of(switch, "ip", "link", "set", "bridge", "up")
        for name, address in addresses.items():
            script = f"hostname {name} && mount --bind {known} /etc/hosts && {ALIVE}"
            spaces = ("--net", "--uts", "--pid", "--fork", "--mount-proc")
            host = Host(name, address, made.enter_context(_held(*spaces, script=script)), switch)
            _plug_in(host)
            hosts.append(host)
        yield hosts


@contextmanager
def _held(*namespaces: str, script: str) -> Iterator[int]:
    """The id of a process that holds new namespaces until the end, or until this process is gone."""
    command = ["unshare", *namespaces, "bash", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n", command
        yield next((child.pid for child in psutil.Process(holder.pid).children()), holder.pid)


def _wait_for_all(hosts: Sequence[Host]) -> None:
    for host in hosts:
        for process in host.started:
            process.wait()


def _plug_in(host: Host) -> None:
    cable = ("type", "veth", "peer", "name", "eth0", "netns", str(host.first))
    _in_network_of(host.switch, "ip", "link", "add", host.name, *cable)
    _in_network_of(host.switch, "ip", "link", "set", host.name, "master", "bridge", "up")
    _in_network_of(host.first, "ip", "link", "set", "lo", "up")
    _in_network_of(host.first, "ip", "address", "add", f"{host.address}/24", "dev", "eth0")
    _in_network_of(host.first, "ip", "link", "set", "eth0", "up")
    _in_network_of(host.first, "ip", "route", "add", "default", "dev", "eth0")  # Ray asks it for the own address


def _in_network_of(process: int, *command: str) -> None:
    subprocess.run(["nsenter", f"--target={process}", "--net", *command], check=True, capture_output=True)
