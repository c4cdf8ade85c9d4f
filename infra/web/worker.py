"""The one thread that works with the model, and the queue before it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class BusyError(Exception):
    """As many wait as may."""


class ModelWorker:
    """Does one piece of work at a time, in the order asked for.

    Args:
        most_inside: pieces that are worked on or wait; one more is turned away at once.
    """

    def __init__(self, most_inside: int) -> None:
        self._most_inside, self._inside = most_inside, 0
        self._pool = ThreadPoolExecutor(1, "model")

    async def run(self, work: Callable[Arguments, Answer], *given: Arguments.args, **named: Arguments.kwargs) -> Answer:
        """What `work` gives, for who still waits for it.

        Raises:
            BusyError: too many are inside.
        """
        if self._inside >= self._most_inside:
            raise BusyError
        self._inside += 1
        future = self._pool.submit(work, *given, **named)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._left))
        return await asyncio.wrap_future(future)

    def _left(self) -> None:
        """Counted when the work ends and not when who asked goes away: it cannot be stopped half-way."""
        self._inside -= 1
