"""What a stage hands to the next: a finished directory, and whether it had to be made."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_core.directories import MANIFEST, Directory, Manifest, read_manifest
from fer_core.errors import InputError
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
        repaired: the files that were missing or damaged and have been made again.
        restarts: of a run that was trained, why and where it had to go on, a sentence each.
    """

    stage: str
    path: Path
    content: str
    reused: bool
    seconds: float
    summary: dict[str, Any]
    repaired: tuple[Path, ...] = ()
    restarts: tuple[str, ...] = ()


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


def make(
    stage: str,
    directory: Directory,
    build: Callable[[], tuple[Iterable[str], dict[str, Any]]],
    repair: bool = False,
) -> Made:
    """The finished directory: reused where its manifest stands, else built.

    Args:
        build: fills the started directory and returns (its files, their summary); it finds the files of a run that
            was cut off.
        repair: every file is compared with the manifest first, and what is damaged is deleted, so that it is built.
            Where a file is missing this is done unasked: a new manifest vouches for all files.
    """
    started = time.perf_counter()
    dropped: list[str] = []
    with directory.lock():
        promised = _promised(directory)
        if repair or not directory.finished():
            dropped = directory.drop_damaged()
            for name in dropped:
                logger.info("%-9s %s is missing or damaged: made again", stage, directory.path / name)
        reused = directory.finished()
        if reused:
            manifest = directory.manifest()
            logger.info("%-9s reused %s: same inputs, options and code", stage, directory.path.name)
        else:
            directory.start()
            logger.info("%-9s making %s", stage, directory.path.name)
            files, summary = build()
            manifest = directory.finish(files, summary)
            _compare(stage, directory, promised, manifest)
        _note_use(directory)
    seconds = time.perf_counter() - started
    repaired = tuple(directory.path / name for name in dropped if name in manifest.shards)
    return Made(stage, directory.path, manifest.content, reused, seconds, manifest.summary, repaired)


def _promised(directory: Directory) -> dict[str, dict[str, Any]]:
    """The files of an earlier manifest, if there is one that can be read."""
    try:
        return read_manifest(directory.path).shards
    except InputError:
        return {}


def _compare(stage: str, directory: Directory, promised: dict[str, dict[str, Any]], manifest: Manifest) -> None:
    for name, shard in promised.items():
        if manifest.shards.get(name) != shard:
            logger.warning(
                "%-9s %s was made again and is not what it was: its source or this machine's libraries have changed, "
                "and what was made from it will be made again",
                stage,
                directory.path / name,
            )


def _note_use(directory: Directory) -> None:
    """The manifest's time says when a directory was last used; a colleague's file keeps its own."""
    with contextlib.suppress(PermissionError):
        os.utime(directory.path / MANIFEST)
