"""What a process and those it started listen on, from /proc."""

import ipaddress
import os
import sys
from pathlib import Path
from typing import NamedTuple

LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


class Listener(NamedTuple):
    """A listening socket."""

    command: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_loopback


def listeners(pid: int) -> list[Listener]:
    """Of a process and all that descend from it."""
    sockets = _listening_sockets()
    found = []
    for process in descendants(pid):
        try:
            links = [os.readlink(file) for file in Path(f"/proc/{process}/fd").iterdir()]
            command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue
        found += [Listener(command[:200], *sockets[link]) for link in links if link in sockets]
    return found


def descendants(pid: int) -> list[int]:
    """The process and all below it."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def _listening_sockets() -> dict[str, tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == LISTEN:
                words = [address[start : start + 8] for start in range(0, len(address), 8)]
                packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
                found[f"socket:[{fields[9]}]"] = (ipaddress.ip_address(packed), int(port, 16))
    return found
