"""Batches that are made ahead of the steps that need them, so that no step waits for pictures."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from fer_core.sections import UNTIMED, Sections
from fer_core.world import CPU

AHEAD = 2
"""Batches: one that is there when a step ends, and one that is being made."""
THREAD = "feeding"
Batch = tuple[Tensor, ...]
Sent = tuple[Batch, torch.cuda.Event | None]
"""A batch, and the event after which it is on the device; None where nothing has to arrive."""


@contextmanager
def fed(
    make: Callable[[int], Batch], steps: range, device: torch.device = CPU, sections: Sections = UNTIMED
) -> Iterator[Iterator[Batch]]:
    """Context that gives the batches of `steps` in order, made by one thread; the thread has ended when it is left.

    Memory is that of AHEAD + 1 batches. What `make` raises is raised where its batch would have come, after those
    before it. Leaving waits for the batch that is being made, at most.

    Args:
        make: step -> tensors on the device. On a GPU it is called on a stream of its own: its copies and kernels run
            beside those of the steps.
        device: where the batches go.
        sections: "wait for pictures" and "copy" (the rest of the way to a GPU), of the thread that asks.
    """
    make_sent = _on_own_stream(make, device) if device.type == "cuda" else lambda step: (make(step), None)
    pool = ThreadPoolExecutor(1, THREAD)
    try:
        yield _in_order(pool, make_sent, steps, sections)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, make: Callable[[int], Sent], steps: range, sections: Sections
) -> Iterator[Batch]:
    coming = deque(pool.submit(make, step) for step in steps[:AHEAD])
    for step in steps:
        with sections("wait for pictures"):
            batch, arrival = coming.popleft().result()
        if step + AHEAD in steps:
            coming.append(pool.submit(make, step + AHEAD))
        with sections("copy"):
            _await(batch, arrival)
        yield batch


def _on_own_stream(make: Callable[[int], Batch], device: torch.device) -> Callable[[int], Sent]:
    stream = torch.cuda.Stream(device)

    def make_sent(step: int) -> Sent:
        with torch.cuda.stream(stream):
            return make(step), stream.record_event()

    return make_sent


def _await(batch: Batch, arrival: torch.cuda.Event | None) -> None:
    """Let what is computed from here on come after the arrival; on a GPU this thread itself does not wait."""
    if arrival is not None:
        stream = torch.cuda.current_stream(batch[0].device)
        stream.wait_event(arrival)
        for part in batch:
            part.record_stream(stream)  # else its memory would be given to a later batch while it is still in use
