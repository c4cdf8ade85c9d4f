"""Whose pictures went into what: from a person, or a picture, to all in a home that holds them or learnt from them.

A sample id is a hash of a picture and its key in the source, so it is the same in every directory of every run. What is
made of other pictures names none of a data set: scores, and albums and sheets of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from fer_core.directories import read_manifest
from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.galleries.album import ALBUM
from fer_core.galleries.retrieval import NEAREST
from fer_core.housekeeping import KIND_OF, Entry, survey
from fer_core.label_audit.doubts import LABEL_AUDIT
from fer_core.lineage.ancestry import network_of
from fer_core.methods import Recipe
from fer_core.reading import FaceTable
from fer_core.runs import read_description
from fer_core.training import TrainingPlan
from fer_core.tuple_shards import FIVE, TRIPLET

ID_COLUMNS = {"sample_id", "neighbour_id", *FIVE, *TRIPLET}
"""Columns of the files of any directory that name pictures; the two of a pair stand with a bar between."""
OF_GALLERIES = {ALBUM, NEAREST}
"""Files whose source_path is of a training face its sample id."""

Role = Literal["held", "train", "valid", "test", "start", "not known"]


class Person(NamedTuple):
    """Somebody in a data set; another data set may give the same name to somebody else."""

    dataset: str
    subject: str


@dataclass(frozen=True)
class Use:
    """What one data set directory has to do with some pictures.

    Attributes:
        directory: where it is.
        kind: a value of housekeeping.KIND_OF.
        role: held: it stores or shows them, or tuples of them; train, valid, test: a run, its level or an evaluation
            learnt from them, was watched by them or was measured by them; start: the run went on from a network that
            had learnt from them; not known: a run on their data set of which it cannot be told any more, or one that
            went on from it.
        pictures: how many of them.
        rows: how many rows of its files name them; of a run how many it was given, each angle one.
    """

    directory: Path
    kind: str
    role: Role
    pictures: int
    rows: int


def people_of(home: Path) -> dict[Person, frozenset[str]]:
    """The sample ids of everybody whom a data set names, by the catalogs and face crops that a home still holds.

    People whom clustering found have no name that lasts, so they are not among them.

    Raises:
        InputError: a shard is not readable; the message names it.
    """
    found: defaultdict[Person, set[str]] = defaultdict(set)
    columns = ["dataset", "subject_id", "sample_id"]
    for folder in ("catalogs", "faces", "streams"):
        for file in sorted((home / folder).glob("*/part-*.parquet")):
            table = _read(file, columns)
            for dataset, subject, sample in zip(*(table[name].to_pylist() for name in columns), strict=True):
                if subject is not None:
                    found[Person(dataset, subject)].add(sample)
    return {person: frozenset(found[person]) for person in sorted(found)}


def uses_of_subject(home: Path, subject: str, dataset: str | None = None) -> list[Use]:
    """Every directory of a home that has to do with a person, in the order of the stages; none of somebody unknown.

    Args:
        subject: as the data set names them.
        dataset: None: of that name in any data set.

    Raises:
        InputError: a file is not readable; the message names it.
    """
    people = people_of(home).items()
    own = [ids for person, ids in people if person.subject == subject and dataset in (None, person.dataset)]
    return uses_of_samples(home, frozenset().union(*own))


def uses_of_samples(home: Path, samples: Collection[str]) -> list[Use]:
    """Every directory of a home that has to do with some pictures, in the order of the stages.

    Args:
        samples: their sample ids.

    Raises:
        InputError: a file is not readable; the message names it.
    """
    wanted, entries = frozenset(samples), survey(home, {})
    found = {entry.name: _uses_by_files(entry, wanted) for entry in entries}
    datasets = {entry.dataset for entry in entries if found[entry.name] and entry.folder != "scores"}
    for entry in entries:
        if entry.folder == "runs" and entry.dataset in datasets:
            found[entry.name] = _uses_of_run(entry, entries, found, wanted)
    _add_later_runs(entries, found, {"not known"}, "not known")
    _add_later_runs(entries, found, {"train", "valid"}, "start")
    return [use for entry in entries for use in found[entry.name]]


def _add_later_runs(entries: list[Entry], found: dict[str, list[Use]], roles: set[Role], role: Role) -> None:
    """Give a role to the runs that went on from one of `roles`, where nothing is known of them by their own rows."""
    earlier = {name for name, uses in found.items() if any(use.kind == "run" and use.role in roles for use in uses)}
    for run in _gone_on_from(entries, earlier):
        if {use.role for use in found[run.name]} <= {"not known"}:
            found[run.name] = [Use(run.path, "run", role, 0, 0)]


def _uses_by_files(entry: Entry, wanted: frozenset[str]) -> list[Use]:
    """By the rows of its files, finished or not."""
    ids: defaultdict[Role, set[str]] = defaultdict(set)
    rows: defaultdict[Role, int] = defaultdict(int)
    for file in sorted(entry.path.rglob("*")):
        if file.is_file() and (file.suffix == ".parquet" or file.name == LABEL_AUDIT):
            for named in _named_in(file, wanted):
                ids[_role_in(entry, file)] |= named
                rows[_role_in(entry, file)] += 1
    return [Use(entry.path, KIND_OF[entry.folder], role, len(ids[role]), rows[role]) for role in ids]


def _role_in(entry: Entry, file: Path) -> Role:
    if entry.folder == "evaluations":
        return "train" if file.name == LABEL_AUDIT else "test"
    return "train" if entry.folder == "subdivisions" else "held"


def _named_in(file: Path, wanted: frozenset[str]) -> Iterator[frozenset[str]]:
    """Of each row of a file that names wanted pictures, which."""
    table = _read(file, None)
    columns = (table[name].to_pylist() for name in table.column_names)
    for row in zip(*columns, strict=True):
        named = wanted.intersection("|".join(filter(None, row)).split("|"))
        if named:
            yield named


def _read(file: Path, columns: list[str] | None) -> pa.Table:
    """Some columns of a file, None: those that name pictures."""
    try:
        if file.suffix == ".csv":
            table = pa_csv.read_csv(file)
            return table.select([name for name in table.column_names if name in ID_COLUMNS])
        naming = ID_COLUMNS | {"source_path"} if file.name in OF_GALLERIES else ID_COLUMNS
        own = columns or [name for name in pq.read_schema(file).names if name in naming]
        return pq.read_table(file, columns=own, partitioning=None)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{file} is not readable, so whose pictures it holds is not known: {error}") from error


def _uses_of_run(entry: Entry, entries: list[Entry], found: dict[str, list[Use]], wanted: frozenset[str]) -> list[Use]:
    """By the function that divided its rows; where its faces are gone, by what its level wrote down."""
    crops = [other for other in entries if other.folder in ("faces", "streams") and other.state == "finished"]
    faces = [other for other in crops if other.content in entry.inputs]
    table = _rows_of_run(entry, faces[0]) if entry.state == "finished" and faces else None
    if table is not None:
        return [*_uses_in(entry, table, wanted)]
    levels = [level for level in entries if level.folder == "subdivisions" and entry.content in level.inputs]
    if not levels:
        return [Use(entry.path, "run", "not known", 0, 0)]
    return [Use(entry.path, "run", "train", use.pictures, use.pictures) for use in found[levels[0].name]]


def _rows_of_run(entry: Entry, faces: Entry) -> FaceTable | None:
    """The rows that a run was given; None where they went by the folds of a protocol, which only its source names."""
    config, description = read_manifest(entry.path).config, read_description(entry.path)
    if len(config["part"]) > len(Part()[:3]):
        return None
    return TrainingPlan(
        faces=faces.path,
        part=Part(*config["part"]),
        method=description.method,
        method_options=description.method_options,
        recipe=Recipe(**config["recipe"]),
        backbone=config["backbone"],
        patch=config["patch"],
        face_size=config["face_size"],
        frame_is_face=description.frame_is_face,
        bfloat16=config["bfloat16"],
        seed=config["seed"],
        checkpoint_steps=1,
        validation=config["validation"],
    ).read_faces()


def _uses_in(entry: Entry, faces: FaceTable, wanted: frozenset[str]) -> Iterator[Use]:
    is_wanted = np.isin(faces.sample_id, sorted(wanted))
    for role in ("train", "valid"):
        own = faces.sample_id[is_wanted & (faces.role == role)]
        if len(own):
            yield Use(entry.path, "run", role, len(np.unique(own)), len(own))


def _gone_on_from(entries: list[Entry], names: set[str]) -> list[Entry]:
    """The runs that began, at any remove, with the weights of one of these, and are none of them."""
    runs = [entry for entry in entries if entry.folder == "runs"]
    reached = [entry for entry in runs if entry.name in names]
    for earlier in reached:  # grows while it is walked
        weights = {earlier.content, network_of(earlier.path) if earlier.state == "finished" else None} - {None}
        reached += [run for run in runs if run not in reached and weights & run.inputs]
    return [run for run in reached if run.name not in names]
