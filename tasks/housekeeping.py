"""Home -> what it holds, whether that is whole, and without what nothing uses."""

import sys

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.errors import InputError
from fer_core.housekeeping import Entry, removable, remove, survey
from fer_core.options.stages import DirectoriesOptions
from infra.progress import logger
from tasks.inspection import Proof, prove
from tasks.registry import all_versions


@task(cache_policy=NO_CACHE)
def survey_home(options: DirectoriesOptions) -> list[Entry]:
    """Every data set directory of the home, with what uses it."""
    return _survey(options)


@task(cache_policy=NO_CACHE)
def choose_removable(options: DirectoriesOptions, entries: list[Entry]) -> list[Entry]:
    """What may go.

    Raises:
        InputError: that cannot be told, as a manifest is unreadable.
    """
    return removable(entries, options.older_than, options.evaluations)


@task(cache_policy=NO_CACHE)
def prove_directories(entries: list[Entry]) -> list[Proof]:
    """Compare every file of the finished directories with their manifests; an unreadable manifest is damage too."""
    return [prove(entry.path) for entry in entries if entry.state in ("finished", "unreadable")]


@task(cache_policy=NO_CACHE)
def remove_directories(options: DirectoriesOptions, chosen: list[Entry]) -> list[Entry]:
    """Ask, then remove what was chosen and may still go; what was removed.

    Raises:
        InputError: there is nobody to ask.
    """
    if not options.yes and not _agreed(chosen):
        return []
    names = {entry.name for entry in chosen}
    still = removable(_survey(options), options.older_than, options.evaluations)  # somebody may use it since
    removed = []
    for entry in reversed([entry for entry in still if entry.name in names]):
        if remove(entry):
            logger.info("%-9s %s, %.1f MB", "removed", entry.name, entry.bytes / 1e6)
            removed.append(entry)
    return removed


def _survey(options: DirectoriesOptions) -> list[Entry]:
    return survey(options.home, {version.title: version.tags for version in all_versions(options.home)})


def _agreed(chosen: list[Entry]) -> bool:
    if not sys.stdin.isatty():
        raise InputError("--remove asks before it deletes, and there is no terminal to ask on; add --yes")
    if not chosen:
        return False
    megabytes = sum(entry.bytes for entry in chosen) / 1e6
    for entry in chosen:
        print(f"  {entry.name}  {entry.bytes / 1e6:.1f} MB", file=sys.stderr)
    print(f"remove {len(chosen)} directories, {megabytes:.1f} MB? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
