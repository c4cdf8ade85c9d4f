"""What a home holds, what uses what, and what may go.

Directories use each other by the digests of their contents; registered model versions use those that their tags name.
What stays is found as a garbage collector finds it: from what is wanted for itself, along all that it uses.
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fer_core.directories import MANIFEST, SCHEMA_VERSION, STARTED
from fer_core.errors import InputError
from fer_core.locks import alone_at_once, is_held, lock_of

KIND_OF = {
    "catalogs": "catalog",
    "faces": "faces",
    "tuples": "tuples",
    "streams": "stream",
    "runs": "run",
    "subdivisions": "subdivision",
    "evaluations": "evaluation",
    "audits": "audit",
    "experiments": "experiment",
    "scores": "scores",
    "drift": "drift",
}
"""Folder of a home -> what each of its directories is; what is used comes before what uses it."""
SECONDS_A_DAY = 86_400
_RESULTS = ("evaluations", "audits", "experiments", "scores", "drift")
_NAME = re.compile(r"[^.].*-[0-9a-f]{16}")
_REMOVED = re.compile(r"\.(.*-[0-9a-f]{16})\.removed")
_TAGS = {"run": "runs", "level": "subdivisions", "evaluation": "evaluations", "faces": "faces"}
"""Tag of a model version -> the folder of the directory that it names."""

State = Literal["finished", "unfinished", "under way", "outdated", "unreadable", "half removed"]


@dataclass(frozen=True)
class Entry:
    """One data set directory of a home.

    Attributes:
        path: where it is.
        folder: of the home, a key of KIND_OF.
        state: finished; unfinished: without a manifest; under way: its lock is held; outdated: finished by another
            version of this pipeline; unreadable: the manifest is damaged; half removed: removing it was cut off.
        bytes: of all its files.
        age_days: since it was last made or used; for an unfinished one, since its last file was written.
        rows: of its samples or tuples; None where it holds neither or says nothing of it.
        content: digest of its shards, or None before it is finished.
        inputs: the contents it is made from.
        users: `folder/name` of the directories made from it.
        versions: the registered model versions that name it.
    """

    path: Path
    folder: str
    state: State
    bytes: int
    age_days: float
    rows: int | None = None
    content: str | None = None
    inputs: frozenset[str] = frozenset()
    users: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its path below the home."""
        return f"{self.folder}/{self.path.name}"

    @property
    def dataset(self) -> str:
        """What its own name begins with: the data set, or below scores/ and drift/ the name of the model."""
        return self.path.name.lstrip(".").split("-")[0]


class _Said(NamedTuple):
    """What a directory says of itself."""

    state: State
    rows: int | None = None
    content: str | None = None
    inputs: frozenset[str] = frozenset()


def survey(home: Path, versions: Mapping[str, Mapping[str, str]], now: float | None = None) -> list[Entry]:
    """Every data set directory of a home with what uses it; nothing is written.

    Args:
        versions: of the model registry: what a version is called -> its tags.
        now: seconds since the epoch; None: the clock's.
    """
    now = time.time() if now is None else now
    entries = [
        _look(path, folder, now)
        for folder in KIND_OF
        for path in sorted((home / folder).glob("*"))
        if path.is_dir() and (_NAME.fullmatch(path.name) or _REMOVED.fullmatch(path.name))
    ]
    users = defaultdict(list)
    for entry in entries:
        for content in entry.inputs:
            users[content].append(entry.name)
    return [
        replace(
            entry,
            users=tuple(users[entry.content]) if entry.content else (),
            versions=tuple(label for label, tags in versions.items() if _names(tags, entry)),
        )
        for entry in entries
    ]


def _names(tags: Mapping[str, str], entry: Entry) -> bool:
    """Whether a model version names a directory; its faces may have been read from a copy elsewhere."""
    named = {f"{folder}/{Path(tags[tag]).name}" for tag, folder in _TAGS.items() if tag in tags}
    return entry.name in named or (entry.content is not None and entry.content == tags.get("data_digest"))


def _look(path: Path, folder: str, now: float) -> Entry:
    removed = _REMOVED.fullmatch(path.name)
    plain = path.with_name(removed[1]) if removed else path
    said = _Said("half removed") if removed else _read(path)
    num_bytes, newest = _measure(path)
    with contextlib.suppress(FileNotFoundError):
        newest = (path / MANIFEST).stat().st_mtime
    if is_held(lock_of(plain)):
        said = said._replace(state="under way")
    return Entry(path, folder, said.state, num_bytes, (now - newest) / SECONDS_A_DAY, *said[1:])


def _read(path: Path) -> _Said:
    try:
        values = json.loads((path / MANIFEST).read_text())
        state: State = "finished" if values["schema_version"] == SCHEMA_VERSION else "outdated"
        return _Said(state, _rows(values["shards"]), str(values["content"]), frozenset(values["inputs"].values()))
    except FileNotFoundError:
        return _Said("unfinished", inputs=_started_from(path))
    except (ValueError, TypeError, KeyError, AttributeError):
        return _Said("unreadable")


def _started_from(path: Path) -> frozenset[str]:
    with contextlib.suppress(FileNotFoundError):
        return frozenset(json.loads((path / STARTED).read_text())["inputs"].values())
    return frozenset()


def _rows(shards: dict[str, dict[str, Any]]) -> int | None:
    named = ((name.rpartition("/")[2], shard["rows"]) for name, shard in shards.items())
    counts = [rows for name, rows in named if name.startswith(("part-", "epoch-", "pairs."))]
    return sum(counts) if counts else None


def _measure(path: Path) -> tuple[int, float]:
    """The bytes of all files below a folder, and when the newest was written; files may go meanwhile."""
    num_bytes, newest = 0, path.stat().st_mtime
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                stat = os.lstat(os.path.join(folder, name))
                num_bytes, newest = num_bytes + stat.st_size, max(newest, stat.st_mtime)
    return num_bytes, newest


def removable(entries: list[Entry], older_than_days: float, evaluations: bool = False) -> list[Entry]:
    """What may go, in the order of `entries`: all that nothing uses which stays.

    Wanted for themselves are what is under way, what is younger than `older_than_days`, what a model version names, and
    evaluations, audits, experiments, scores and looks for drift unless `evaluations` gives them up.

    Raises:
        InputError: something that stays has an unreadable manifest, so what it uses is not known.
    """
    uses = defaultdict(list)
    for entry in entries:
        for user in entry.users:
            uses[user].append(entry)
    waiting = [entry for entry in entries if _is_wanted(entry, older_than_days, evaluations)]
    kept: dict[str, Entry] = {}
    while waiting:
        entry = waiting.pop()
        if entry.name not in kept:
            kept[entry.name] = entry
            waiting += uses[entry.name]
    for entry in kept.values():
        if entry.state == "unreadable":
            raise InputError(
                f"{entry.path / MANIFEST} is not readable, so what {entry.name} is made from is not known and nothing "
                "is removed; repair that directory, or delete it, and run again"
            )
    return [entry for entry in entries if entry.name not in kept]


def _is_wanted(entry: Entry, older_than_days: float, evaluations: bool) -> bool:
    if entry.state == "half removed":
        return False
    is_result = entry.folder in _RESULTS and entry.state != "unfinished"
    return (
        entry.state == "under way"
        or entry.age_days < older_than_days
        or bool(entry.versions)
        or (is_result and not evaluations)
    )


def remove(entry: Entry) -> bool:
    """Delete a directory; False, and nothing is done, where somebody is making it at this moment.

    It is renamed first: wherever this is cut off, no part of it is taken for the whole.
    """
    removed = _REMOVED.fullmatch(entry.path.name)
    plain = entry.path.with_name(removed[1]) if removed else entry.path
    hidden = entry.path.with_name(f".{plain.name}.removed")
    with alone_at_once(lock_of(plain)) as is_alone:
        is_younger = entry.path.exists() and _look(entry.path, entry.folder, time.time()).age_days < entry.age_days
        if not is_alone or is_younger:  # a run that has used it again since the home was surveyed
            return False
        if plain == entry.path and plain.exists():
            _delete(hidden)
            plain.rename(hidden)
        _delete(hidden)
    return True


def _delete(path: Path) -> None:
    try:
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
    except PermissionError as error:
        raise InputError(f"{error.filename} cannot be removed: {error.strerror}") from error
