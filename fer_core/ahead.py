"""Things that are made ahead of the one who takes them, so that both work at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
AHEAD = 3
"""Things that wait or are being made: one would leave the maker idle while it is taken."""
_END: Any = object()


@contextmanager
def ahead(things: Iterable[T], most: int = AHEAD) -> Iterator[Iterator[T]]:
    """Context that gives `things` in order, made by one thread, at most so many at once; the thread ends with it.

    What making one raises is raised where it would have come, after those before it. Leaving waits for the one that is
    being made.
    """
    making = iter(things)
    pool = ThreadPoolExecutor(1, "ahead")
    try:
        yield _in_order(pool, making, most)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ThreadPoolExecutor, making: Iterator[T], most: int) -> Iterator[T]:
    coming = deque(pool.submit(next, making, _END) for _ in range(most))
    while (made := coming.popleft().result()) is not _END:
        coming.append(pool.submit(next, making, _END))
        yield made
