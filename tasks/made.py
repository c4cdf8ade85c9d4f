"""What a stage hands to the next: a finished directory, and whether it had to be made."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_core.directories import Directory
from infra.progress import logger


@dataclass(frozen=True)
class Made:
    """A finished data set directory.

    Attributes:
        stage: what made it.
        path: where it is.
        content: digest of its shards; what depends on it goes by this.
        reused: whether it stood there already.
        seconds: wall time the stage took in this process.
        summary: what the manifest says of it.
    """

    stage: str
    path: Path
    content: str
    reused: bool
    seconds: float
    summary: dict[str, Any]


@dataclass(frozen=True)
class Level:
    """One level of Algorithm 2: a run, and what its embedding was divided into."""

    run: Made
    groups: Made

    @property
    def stages(self) -> tuple[Made, Made]:
        """Both, in the order they were made."""
        return self.run, self.groups


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation: its levels, and the evaluation of the last."""

    levels: list[Level]
    evaluation: Made


def make(stage: str, directory: Directory, build: Callable[[], tuple[Iterable[str], dict[str, Any]]]) -> Made:
    """The finished directory: reused where its manifest stands, else built.

    Args:
        build: fills the started directory and returns (its files, their summary); it finds the files of a run that
            was cut off.
    """
    started = time.perf_counter()
    with directory.lock():
        reused = directory.finished()
        if reused:
            manifest = directory.manifest()
            logger.info("%-9s reused %s: same inputs, options and code", stage, directory.path.name)
        else:
            directory.start()
            logger.info("%-9s making %s", stage, directory.path.name)
            files, summary = build()
            manifest = directory.finish(files, summary)
    seconds = time.perf_counter() - started
    return Made(stage, directory.path, manifest.content, reused, seconds, manifest.summary)
