"""The Prefect server of a run that was given none: beside this process, on loopback, gone with it.

Prefect would start one by itself, but then it outlives a killed run, and starting it first lets it come up while this
process imports what the flow needs.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from fer_core.errors import InputError
from fer_core.locks import alone
from infra.redaction import hide, redact_logs
from infra.settings import Settings, environment

UVICORN = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
UVICORN += ["--host", "127.0.0.1", "--log-level", "error", "--lifespan", "on"]
START_UP_SECONDS = 180
PR_SET_PDEATHSIG = 1


class EmbeddedServer:
    """A Prefect API on a free loopback port, with its SQLite file in `home`/prefect."""

    def __init__(self, home: Path) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._log = home / "prefect" / "server.log"
        _make_private(self._log.parent)
        self._starting = contextlib.ExitStack()
        self._starting.enter_context(alone(home / "prefect" / "start.lock"))  # migrating one file is for one at a time
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*UVICORN, "--port", str(self.port)],
                env={**os.environ, "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )

    def wait(self) -> None:
        """Return when it answers.

        Raises:
            InputError: it ended or did not answer in time; the message names its log.
        """
        deadline = time.monotonic() + START_UP_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                    f"{self.url}/health", timeout=5
                ).close()
                self._starting.close()
                return
            time.sleep(0.05)
        self.stop()
        raise InputError(f"the embedded Prefect server did not start; see {self._log}, or set PREFECT_API_URL")

    def stop(self) -> None:
        """End it; its records stay in the home."""
        self._starting.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def prefect_server(home: Path, given: str | None) -> Iterator[EmbeddedServer | None]:
    """The team's server where `given` is set; else an embedded one that is coming up: see `flows_of`."""
    if given:
        _require_answer(given)
        yield None
        return
    server = EmbeddedServer(home)
    with environment({"PREFECT_API_URL": server.url, "PREFECT_UI_ENABLED": "0"}):
        try:
            yield server
        finally:
            _send_what_is_queued()
            server.stop()


@contextlib.contextmanager
def flows_of(server: EmbeddedServer | None) -> Iterator[None]:
    """Where flows may be run: the embedded server answers, and flows send it no heartbeats.

    Heartbeats tell a team's server that a flow has crashed. The embedded one ends with the run, and ending their
    thread costs every flow a second.
    """
    if server is None:
        yield
        return
    server.wait()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def flow_run_page() -> str | None:
    """The address of the page of the flow run that asks; None outside of one, or where the server has no pages."""
    from prefect.runtime import flow_run
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    has_pages = settings.server.ui.enabled and settings.ui_url is not None
    return flow_run.ui_url if has_pages else None


@contextlib.contextmanager
def secrets_of_block() -> Iterator[None]:
    """While it lasts, the items of the Secret block that FER_SECRETS_BLOCK names are in the environment; unset: none.

    Their values are blanked in the logs of this process, as are those of secret variables.

    Raises:
        InputError: there is no such block, or it holds no mapping of variables to texts.
    """
    redact_logs()
    name = Settings().secrets_block
    if name is None:
        yield
        return
    from prefect.blocks.system import Secret

    try:
        items = Secret.load(name).get()  # type: ignore[union-attr]
    except ValueError:
        raise InputError(f"FER_SECRETS_BLOCK: the Prefect server has no Secret block {name}; make it there") from None
    if not isinstance(items, dict) or not all(isinstance(text, str) for pair in items.items() for text in pair):
        raise InputError(f"FER_SECRETS_BLOCK: the Secret block {name} must hold one JSON object of variables and texts")
    hide(items.values())
    with environment(items):
        yield


def _send_what_is_queued() -> None:
    """Logs and events go out in the background; left queued, they are retried for a minute after the server is gone."""
    if "prefect.main" not in sys.modules:  # no flow has run
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=10)


def _make_private(folder: Path) -> None:
    """Make a folder that only this user enters: Prefect keeps blocks there, and the key they are encrypted with."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        folder.chmod(0o700)
    except PermissionError:
        raise InputError(f"{folder} is another user's; choose another --home, or set PREFECT_API_URL") from None


def _require_answer(url: str) -> None:
    """Raise InputError unless somebody answers; what they answer, Prefect's client judges."""
    try:
        urllib.request.urlopen(f"{url}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return
    except OSError as error:
        raise InputError(f"no Prefect server answers at PREFECT_API_URL {url}: {error}") from error


def _die_with_parent() -> None:
    """In the child: be ended by the kernel when the parent is, however it ends. Ctrl-C is for the parent alone."""
    os.setpgrp()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
