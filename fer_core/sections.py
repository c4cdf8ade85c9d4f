"""Where the time of steps that are made again and again goes, by named sections."""

import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from fer_core.world import CPU

OTHER = "other"
"""What is left of a step between its sections."""


class Sections:
    """Sections that nobody times: entering one costs nothing."""

    def __call__(self, name: str) -> AbstractContextManager[None]:
        """Context of a section of a step; sections do not lie within each other."""
        return nullcontext()

    def step_ends(self) -> None:
        """The sections since the last call were one step's."""

    def rows(self) -> list[dict[str, Any]]:
        """The sections of all steps, the longest first; none where nobody times them.

        Each is: section, seconds, share of the time of all steps, mean_ms over all steps, median_ms over the steps that
        have the section, and the number of those as steps.
        """
        return []


UNTIMED = Sections()


class TimedSections(Sections):
    """Sections that are timed, of one thread. A step lasts from its first section to `step_ends`.

    A section lasts until the device has done what it was given in it, so steps are slower than those of nobody's time.

    Args:
        device: whose current stream is waited for.
    """

    def __init__(self, device: torch.device = CPU) -> None:
        self._device = device
        self._began: float | None = None
        self._step: dict[str, float] = {}
        self._seconds_of: dict[str, list[float]] = {}
        self._num_steps = 0

    def __call__(self, name: str) -> AbstractContextManager[None]:
        """Context of a section; one that a step has several times counts as one."""
        return self._timed(name)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = self._now()
        self._began = began if self._began is None else self._began
        yield
        self._step[name] = self._step.get(name, 0.0) + self._now() - began

    def step_ends(self) -> None:
        """The sections since the last call were one step's."""
        assert self._began is not None, "a step has a section"
        whole = self._now() - self._began
        for name, seconds in {**self._step, OTHER: whole - sum(self._step.values())}.items():
            self._seconds_of.setdefault(name, []).append(seconds)
        self._began, self._step = None, {}
        self._num_steps += 1

    def rows(self) -> list[dict[str, Any]]:
        """The sections of all steps that have ended, the longest first."""
        whole = sum(map(sum, self._seconds_of.values()))
        made = [
            {
                "section": name,
                "seconds": sum(seconds),
                "share": sum(seconds) / whole,
                "mean_ms": 1000 * sum(seconds) / self._num_steps,
                "median_ms": 1000 * statistics.median(seconds),
                "steps": len(seconds),
            }
            for name, seconds in self._seconds_of.items()
        ]
        return sorted(made, key=lambda row: -row["seconds"])

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return time.perf_counter()
