"""The Ray cluster of a command: a team's, or one on this machine that is started where it is needed first."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayActorError

from fer_core.errors import InputError
from infra.ray_token import make_token, require_token

OF_ONE_COMMAND = {
    # no process in stock: each wakes a hundred times a second
    "enable_worker_prestart": False,
    "num_workers_soft_limit": 0,
    # Ray's 15 gives way to all else on the machine, a browser too: a thirtieth of a processor beside one busy process
    "worker_niceness": 0,
}
"""Ray's settings for a cluster of our own."""
_kept: ContextVar[bool] = ContextVar("kept", default=False)
_folders = ExitStack()
"""Removes what a cluster of ours leaves behind."""


@contextmanager
def kept_cluster() -> Iterator[None]:
    """All that is run on Ray within uses one cluster: starting one takes 10 s and more."""
    token = _kept.set(True)
    try:
        yield
    finally:
        _kept.reset(token)
        _end()


@contextmanager
def cluster(address: str | None, workers: int) -> Iterator[None]:
    """The cluster at `address`, or one on loopback with a processor for each worker.

    Raises:
        InputError: the cluster does not answer, or refuses us.
    """
    if address is None and ray.is_initialized() and ray.cluster_resources()["CPU"] <= workers:
        _end()  # a smaller one, of another stage
    if not ray.is_initialized():
        AuthenticationTokenLoader.instance().reset_cache()  # else the first token of this process, whatever is set now
        _join(address) if address else _start(workers)
    try:
        yield
    except RayActorError:
        _end()  # what the controller had taken for its workers stays taken
        raise
    finally:
        if not _kept.get():
            _end()


def is_our_own() -> bool:
    """Whether the cluster in use was started by this process: no autoscaler, no other hosts, gone when we are."""
    node = ray_worker._global_node
    return node is not None and node.is_head()


def _end() -> None:
    ray.shutdown()
    _folders.close()


def _join(address: str) -> None:
    require_token()
    try:
        ray.init(address=address, log_to_driver=False)
    except ConnectionError as error:
        why = "refuses the token" if isinstance(error.__cause__, AuthenticationError) else "does not answer"
        raise InputError(f"the Ray cluster at RAY_ADDRESS {address} {why}: {error}") from error


def _start(workers: int) -> None:
    make_token()
    base = os.environ.get("RAY_TMPDIR", "/tmp")  # not TMPDIR: the path of a socket has at most 107 letters
    private = tempfile.mkdtemp(prefix="ray-", dir=base)  # what Ray keeps in it, everybody may write to
    _folders.callback(shutil.rmtree, private, ignore_errors=True)
    ray_constants.ENABLE_RAY_CLUSTER = False  # else Ray listens on every interface, whatever address it is given
    ray.init(
        address="local",
        num_cpus=max(workers + 1, os.cpu_count() or 1),
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=f"{private}/ray",
        _system_config=OF_ONE_COMMAND,
    )
    # looks for new lines ten times a second, and no driver asks for them
    ray_worker._global_node.kill_log_monitor()  # type: ignore[attr-defined]
