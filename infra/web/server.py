"""Serving an application until somebody ends it."""

import contextlib
import ipaddress
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from fer_core.errors import InputError

MOST_CONNECTIONS = 64
"""At once; what comes beyond is turned away with 503."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_of(host: str) -> frozenset[str]:
    """The names by which a server that listens at `host` may be asked, beside addresses of numbers."""
    return frozenset({"localhost", host, socket.gethostname().lower()})


def serve_until_ended(app: FastAPI, host: str, port: int, ready: Callable[[str], None]) -> int:
    """Serve until Ctrl-C or a termination; how many requests there were.

    Args:
        host: an address of this machine.
        port: 0 takes a free one.
        ready: called with the server's address once requests are taken.

    Raises:
        InputError: nothing can listen there.
    """
    with _listening(host, port) as listening:
        own = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            app, log_config=None, access_log=False, limit_concurrency=MOST_CONNECTIONS, server_header=False
        )
        server = uvicorn.Server(config)
        ready(f"http://{own}:{listening.getsockname()[1]}")
        with contextlib.suppress(KeyboardInterrupt):  # which uvicorn passes on when it has ended
            server.run(sockets=[listening])
        return server.server_state.total_requests


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"nothing can listen at {host} port {port}: {error.strerror}; choose another --port") from None
