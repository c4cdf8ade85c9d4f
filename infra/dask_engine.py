"""The one module that imports Dask: mapping a function over partitions, here or on a cluster."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from dask.distributed import Client, KilledWorker, as_completed
from distributed.comm import CommClosedError

from fer_core.errors import InputError

_LOOPBACK = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
"""Scheduler and worker serve their state over HTTP whatever they are told, and on all interfaces if told nothing."""
START_SECONDS = 60
"""How long a scheduler is waited for that has no workers yet."""
WAITING_A_THREAD = 4
"""Partitions known to the scheduler for each of its threads: enough that none waits, however many there are in all."""


@contextmanager
def dask_client(address: str | None) -> Iterator[Client]:
    """A client of the scheduler at `address`; unset: threads of this process.

    Threads do: decoding, warping and encoding release the interpreter's lock, and start-up costs no process.

    Raises:
        InputError: no scheduler answers, or it has no worker for START_SECONDS.
    """
    where: dict[str, Any] = {"address": address} if address else {"processes": False, **_LOOPBACK}
    try:
        client = Client(**where, set_as_default=False)
    except OSError as error:
        raise InputError(f"no Dask scheduler answers at DASK_SCHEDULER_ADDRESS {address}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=START_SECONDS)
        except TimeoutError:
            raise InputError(
                f"the Dask scheduler at DASK_SCHEDULER_ADDRESS {address} has had no worker for {START_SECONDS} s"
            ) from None
        yield client


def map_partitions(
    address: str | None,
    function: Callable[..., int],
    partitions: Iterable[tuple[Any, ...]],
    done: Callable[[int], None],
) -> None:
    """Call `function(*partition)` for each partition; `done` gets the sum of what has been returned so far.

    The partitions are taken as there is room for them, so their number does not weigh on the scheduler. A worker that
    dies or is cut off costs the partitions it was at: they are given to another. The first error ends it and is raised
    here.

    Raises:
        InputError: the scheduler is lost, or one partition after the other kills its workers.
    """
    total = 0
    waiting = iter(partitions)
    with dask_client(address) as client:

        def submitted(known: int) -> list[Any]:
            """As many as there is room for: workers may have come since."""
            room = WAITING_A_THREAD * max(sum(client.nthreads().values()), 1) - known
            return [client.submit(function, *partition, pure=False) for partition in islice(waiting, max(room, 0))]

        running = as_completed(submitted(0), with_results=True, loop=client.loop)
        try:
            for future, value in running:
                if future.cancelled():
                    raise CommClosedError
                total += value
                done(total)
                running.update(submitted(running.count()))
        except CommClosedError:
            raise InputError(
                f"the Dask scheduler at DASK_SCHEDULER_ADDRESS {address} was lost; run the same command again: "
                "what is finished is kept"
            ) from None
        except KilledWorker as error:
            raise InputError(f"workers of the Dask scheduler at {address} died one after the other: {error}") from None
        finally:
            client.cancel(list(running.futures))
