"""The one thread that works with the model, and the queue before it."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Answer = TypeVar("Answer")


class BusyError(Exception):
    """As many wait as may."""


class ModelWorker:
    """Does one piece of work at a time, in the order asked for.

    Args:
        most_inside: pieces that arrive, wait or are worked on; one more is turned away at once.
    """

    def __init__(self, most_inside: int) -> None:
        self._most_inside, self._inside = most_inside, 0
        self._pool = ThreadPoolExecutor(1, "model")

    async def run(self, arrive: Callable[[], Awaitable[Given]], work: Callable[[Given], Answer]) -> Answer:
        """What `work` gives for what arrives, for who still waits for it.

        Args:
            arrive: awaited once there is a place, so that no more is held in memory than has one.

        Raises:
            BusyError: too many are inside.
        """
        if self._inside >= self._most_inside:
            raise BusyError
        self._inside += 1
        try:
            future = self._pool.submit(work, await arrive())
        except BaseException:  # it is not coming any more, whatever the reason
            self._left()
            raise
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._left))
        return await asyncio.wrap_future(future)

    def _left(self) -> None:
        """Counted when the work ends and not when who asked goes away: it cannot be stopped half-way."""
        self._inside -= 1
