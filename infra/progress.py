"""What a person sees while it runs: one line a happening on stderr, with the time since the start."""

import logging
import sys
import time

from infra.redaction import redact_logs

logger = logging.getLogger("fer")


class _Elapsed(logging.Formatter):
    def __init__(self) -> None:
        super().__init__()
        self._start = time.monotonic()

    def format(self, record: logging.LogRecord) -> str:
        return f"[{time.monotonic() - self._start:7.1f} s] {record.getMessage()}"


def show_progress() -> None:
    """Send the pipeline's own messages to stderr, without secrets; called once by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Elapsed())
    redact_logs()
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


class Ticker:
    """Says how far a long stage is, at most every few seconds.

    Args:
        stage: what is under way.
        total: how many there are; None where that is not known.
        unit: of what.
    """

    def __init__(self, stage: str, total: int | None, unit: str, every: float = 2.0) -> None:
        self.stage, self.total, self.unit, self.every = stage, total, unit, every
        self._start = self._shown = time.monotonic()

    def __call__(self, done: int, total: int | None = None) -> None:
        """`done` of the total are done."""
        now = time.monotonic()
        if now - self._shown < self.every and done != self.total:
            return
        self._shown = now
        rate = done / max(now - self._start, 1e-9)
        if self.total is None:
            logger.info("%-9s %d %s, %.0f/s", self.stage, done, self.unit, rate)
            return
        left = (self.total - done) / rate if rate else 0.0
        logger.info("%-9s %d / %d %s, %.0f/s, %.0f s left", self.stage, done, self.total, self.unit, rate, left)
