"""What a model is made of: from its run, level and evaluation back to the catalog, its source and the models before it.

What is recorded when a model is registered says every file with its sha256, so that it can be told later, and what is
left of it.
"""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_core.code_digest import LIBRARIES
from fer_core.directories import damaged_files, read_manifest
from fer_core.errors import InputError
from fer_core.housekeeping import KIND_OF, Entry, survey
from fer_core.runs import NETWORK

OUTSIDE = ("source", "weights", "votes", "pairs")
"""Inputs of a directory that are no directories."""
COUNTING = ("catalog", "faces", "stream")
"""Kinds of directories whose summary counts pictures and names nobody."""
OF_LABELLER = "expression_"
"""Inputs of face crops whose expressions a registered model said: its run and its level."""


@dataclass(frozen=True)
class Origin:
    """A data set directory that a model is made of, as its manifest said when it was recorded.

    Attributes:
        kind: a value of housekeeping.KIND_OF.
        name: its path below the home.
        content: digest of its files.
        code: digest of the code that made it.
        config: the options that its content depends on.
        inputs: name -> digest of what it is made from.
        summary: what a catalog or face crops counted; empty of others, as that of a level may name people.
        files: name -> rows, bytes and sha256.
    """

    kind: str
    name: str
    content: str
    code: str
    config: dict[str, Any]
    inputs: dict[str, str]
    summary: dict[str, Any]
    files: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Parent:
    """A model that another began from or learnt from.

    Attributes:
        how: weights: its network was given by --weights; start: it was the level before; labels: it said what faces
            express.
        digest: the sha256 of the weights file, or the content of the run.
        run: the run's directory below the home; None: no run of this home has that network.
    """

    how: str
    digest: str
    run: str | None


@dataclass(frozen=True)
class Ancestry:
    """All that a model is made of.

    Attributes:
        origins: its directories, in the order of the stages.
        parents: the models before it.
        source: fingerprint of the source folder's files; None where no catalog is left that says it.
        gone: a sentence on each part that could not be found.
    """

    origins: list[Origin]
    parents: list[Parent]
    source: str | None
    gone: list[str]

    @classmethod
    def from_json(cls, text: str) -> "Ancestry":
        """The inverse of `to_json`."""
        values = json.loads(text)
        origins = [Origin(**origin) for origin in values.pop("origins")]
        parents = [Parent(**parent) for parent in values.pop("parents")]
        return cls(origins, parents, **values)

    def to_json(self) -> str:
        """All of it as JSON, keys sorted."""
        return json.dumps(self, default=vars, indent=1, sort_keys=True) + "\n"

    def of_kind(self, kind: str) -> Origin | None:
        """The last directory of a kind."""
        return next((origin for origin in reversed(self.origins) if origin.kind == kind), None)


def ancestry_of(home: Path, names: Mapping[str, str], copies: Mapping[str, Path]) -> Ancestry:
    """Walk from a model's directories to all that they are made of.

    Args:
        names: folder of the home -> the model's own directory in it.
        copies: path below the home -> where a copy of a directory is that may have gone from the home.
    """
    entries, order = survey(home, {}), list(KIND_OF)
    # Of two of one content (a source that was only touched gives such catalogs) what was made or used last is meant.
    by_age = sorted(entries, key=lambda entry: (order.index(entry.folder), entry.age_days), reverse=True)
    at = {entry.content: entry for entry in by_age if entry.content is not None}
    origins: dict[str, Origin] = {}
    gone: list[str] = []
    pending = [f"{folder}/{name}" for folder, name in names.items()]
    for name in pending:  # grows while it is walked
        origin = _read(home, name, copies)
        if origin is None:
            gone.append(f"{name} is gone")
            continue
        origins[name] = origin
        for what, digest in origin.inputs.items():
            if what in OUTSIDE or what.startswith(OF_LABELLER):
                continue
            if digest not in at:
                gone.append(f"the {what} directory that {name} is made from is gone (content {digest})")
            elif at[digest].name not in pending:
                pending.append(at[digest].name)
    found = sorted(origins.values(), key=lambda origin: (order.index(origin.name.split("/")[0]), origin.name))
    return Ancestry(found, _parents(found, entries), _source(found), sorted(set(gone)))


def _read(home: Path, name: str, copies: Mapping[str, Path]) -> Origin | None:
    for path in (home / name, copies.get(name)):
        try:
            manifest = read_manifest(path) if path is not None else None
        except InputError:
            continue
        if manifest is not None:
            kind = KIND_OF[name.split("/")[0]]
            summary = manifest.summary if kind in COUNTING else {}
            told = {field: getattr(manifest, field) for field in ("content", "code", "config", "inputs")}
            return Origin(kind, name, **told, summary=summary, files=manifest.shards)
    return None


def _source(origins: list[Origin]) -> str | None:
    return next((origin.inputs["source"] for origin in origins if "source" in origin.inputs), None)


def _parents(origins: list[Origin], entries: list[Entry]) -> list[Parent]:
    runs = {entry.content: entry.name for entry in entries if entry.folder == "runs" and entry.content is not None}
    networks = {network_of(entry.path): entry.name for entry in entries if entry.name in runs.values()}
    how_of = {"weights": "weights", "start": "start", f"{OF_LABELLER}run": "labels"}
    found = [
        Parent(how, origin.inputs[what], (networks if what == "weights" else runs).get(origin.inputs[what]))
        for origin in origins
        for what, how in how_of.items()
        if what in origin.inputs
    ]
    return list(dict.fromkeys(found))


def network_of(run: Path) -> str:
    """The sha256 of a finished run's network, as its manifest says."""
    return str(read_manifest(run).shards[NETWORK]["sha256"])


def condition_of(home: Path, origin: Origin) -> str:
    """What is left of a directory: whole (by the sizes of its files), changed, damaged or gone."""
    path = home / origin.name
    try:
        if read_manifest(path).content != origin.content:
            return "changed"
        return "damaged" if damaged_files(path, deep=False) else "whole"
    except InputError:
        return "damaged" if path.is_dir() else "gone"


def registration_tags(run: Path) -> dict[str, str]:
    """What a version is tagged with beside its directories: its network's sha256, and this process's environment."""
    packages = {name: importlib.metadata.version(name) for name in sorted(LIBRARIES.values())}
    environment = {"python": platform.python_version(), "platform": platform.platform(), "packages": packages}
    return {"network_sha256": network_of(run), "environment": json.dumps(environment, sort_keys=True)}
