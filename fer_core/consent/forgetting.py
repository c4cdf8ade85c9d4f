"""Forgetting people: what of a home holds their pictures, and the home without them.

First the list of withdrawals is written, then what is left of catalogs and face crops, and last the old directories go,
users before what they use. So the catalogs, by which a person's pictures are known, go at the very end, and where this
is cut off the same call finds what is left to do.
"""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from fer_core.consent.rewriting import rewrite_catalog, rewrite_faces
from fer_core.consent.withdrawals import (
    WITHDRAWN,
    Withdrawal,
    add_withdrawals,
    digest_of_withdrawals,
    read_withdrawals,
    withdrawal_of,
)
from fer_core.datasets import REGISTRY
from fer_core.directories import Directory, read_manifest
from fer_core.errors import InputError
from fer_core.estimates.expressions import EXPRESSIONS
from fer_core.housekeeping import KIND_OF, Entry, remove, survey
from fer_core.lineage.uses import Person, Use, people_of, uses_of_samples
from fer_core.runs import DESCRIPTION

KEPT = ("runs", "experiments", "scores")
"""Folders whose directories stay though they were made of what goes: weights, tables of figures, and what was said of
other pictures. Of these goes alone what itself names or shows somebody, as an album of training faces may. A run whose
classes are people names them; it stays too, as any model does until another has taken its place."""
NAMED_AT_MOST = 5


@dataclass(frozen=True)
class Forgetting:
    """What is to be done in a home.

    Attributes:
        people: who is forgotten.
        samples: their sample ids, by what the home still holds.
        new: withdrawals that are not in the home's list yet, or not with all that is known by now.
        listed: all withdrawals of these people.
        withdrawn: data set -> digest of all its withdrawals.
        naming: names of the runs that have one of these people among their classes.
        rows: kind of directory -> rows of files about these people.
        rewritten: catalogs and face crops that go on without them.
        removed: directories that go, in this order; the rewritten ones among them.
    """

    people: tuple[Person, ...]
    samples: frozenset[str]
    new: tuple[Withdrawal, ...]
    listed: tuple[Withdrawal, ...]
    withdrawn: dict[str, str]
    naming: tuple[str, ...]
    rows: dict[str, int]
    rewritten: tuple[Entry, ...]
    removed: tuple[Entry, ...]

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.new or self.removed)

    def followed_by(self, later: Self) -> Self:
        """Both: what was planned first, and what had come up meanwhile."""
        return replace(
            later,
            samples=self.samples | later.samples,
            rows={kind: count + later.rows[kind] for kind, count in self.rows.items()},
            rewritten=(*self.rewritten, *later.rewritten),
            removed=(*self.removed, *later.removed),
        )


def plan_forgetting(home: Path, names: Sequence[str]) -> Forgetting:
    """Look for people and for all that holds their pictures; nothing is written.

    Args:
        names: of each person, as SUBJECT or DATASET:SUBJECT.

    Raises:
        InputError: a name is of nobody, or of several; something in the home is being made; a file is not readable.
    """
    entries = survey(home, {})
    busy = [entry.name for entry in entries if entry.state == "under way"]
    if busy:
        raise InputError(f"{busy[0]} is being made at this moment; wait for it, or stop it, and run again")
    pictures, known = people_of(home), read_withdrawals(home)
    people = tuple(dict.fromkeys(_named(name, list(pictures), known) for name in names))
    uses_of = {person: uses_of_samples(home, pictures.get(person, frozenset())) for person in people}
    listed = [
        _with_runs(one, uses, entries)
        for person, uses in uses_of.items()
        for one in [one for one in known if one.is_of(*person)] or [withdrawal_of(*person)]
    ]
    held = [use for uses in uses_of.values() for use in uses if use.kind != "run"]
    every = {one.digest: one for one in (*known, *listed)}.values()
    withdrawn = {name: digest_of_withdrawals([one for one in every if one.dataset == name]) for name, _ in people}
    faces = {content for one in listed for content in one.faces}
    removed = _affected(entries, {use.directory for use in held}, faces, withdrawn)
    return Forgetting(
        people=people,
        samples=frozenset().union(*(pictures.get(person, frozenset()) for person in people)),
        new=tuple(one for one in listed if one not in known),
        listed=tuple(listed),
        withdrawn=withdrawn,
        naming=_naming(entries, people),
        rows={kind: sum(use.rows for use in held if use.kind == kind) for kind in KIND_OF.values()},
        rewritten=tuple(_rewritable(removed)),
        removed=tuple(reversed(removed)),
    )


def _named(name: str, people: Sequence[Person], known: Sequence[Withdrawal]) -> Person:
    """The one person of a name: in the home, or forgotten before."""
    before, is_split, after = name.partition(":")
    asked = Person(before, after) if is_split and before in REGISTRY else None
    subject = name if asked is None else asked.subject
    datasets = {person.dataset for person in people} | {one.dataset for one in known}
    found = [
        person
        for person in (Person(dataset, subject) for dataset in sorted(datasets))
        if asked in (None, person) and (person in people or any(one.is_of(*person) for one in known))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{name} is in {len(found)} data sets; name one of {', '.join(map(told, found))}")
    spelt = [told(person) for person in people if asked is None or person.dataset == asked.dataset]
    near = difflib.get_close_matches(subject, [one.partition(":")[2] for one in spelt], n=3)
    some = near or spelt[:NAMED_AT_MOST]
    hint = f"did you mean {', '.join(near)}?" if near else f"it names {len(spelt)} people, such as {', '.join(some)}"
    raise InputError(f"nobody in this home is called {name}; {hint if spelt else 'it names nobody'}")


def told(person: Person) -> str:
    """How a person is told from those of other data sets."""
    return f"{person.dataset}:{person.subject}"


def _with_runs(withdrawal: Withdrawal, uses: Sequence[Use], entries: Sequence[Entry]) -> Withdrawal:
    """With the face crops that hold somebody, and the runs by what each has to do with them.

    What was said of a run before stands. A run that began while they were being forgotten is told by those crops alone.
    """
    crops = {use.directory for use in uses if use.kind in ("faces", "stream")}
    faces = {*withdrawal.faces, *(entry.content for entry in entries if entry.path in crops and entry.content)}
    role_of = {use.directory.name: use.role for use in uses if use.kind == "run"}
    given = {entry.path.name for entry in entries if entry.folder == "runs" and entry.inputs & faces}
    new = (given | role_of.keys()) - {*withdrawal.runs, *withdrawal.unsure, *withdrawal.spared}
    runs = {name for name in new if role_of.get(name) in ("train", "valid", "start")}
    unsure = {name for name in new - runs if name in role_of or not uses}
    return replace(
        withdrawal,
        runs=tuple(sorted({*withdrawal.runs, *runs})),
        unsure=tuple(sorted({*withdrawal.unsure, *unsure})),
        spared=tuple(sorted({*withdrawal.spared, *(new - runs - unsure)})),
        faces=tuple(sorted(faces)),
    )


def _naming(entries: Sequence[Entry], people: Sequence[Person]) -> tuple[str, ...]:
    """The runs that have one of these people among their classes."""
    descriptions = {entry: entry.path / DESCRIPTION for entry in entries if entry.folder == "runs"}
    named = {
        entry: {Person(entry.dataset, name) for name in json.loads(file.read_text())["classes"]}
        for entry, file in descriptions.items()
        if file.exists()
    }
    return tuple(entry.path.name for entry in named if named[entry].intersection(people))


def _affected(entries: Sequence[Entry], holders: set[Path], faces: set[str], withdrawn: dict[str, str]) -> list[Entry]:
    """What cannot stay, in the order of the stages: what holds somebody, and what was made of that.

    Every catalog of the data sets is among them, as each goes on under another name, and what was left half made of
    their pictures.

    Args:
        faces: contents of face crops that hold somebody, or held them.
    """
    found, contents = list[Entry](), set(faces)
    for entry in entries:
        is_holder = entry.path in holders or (entry.folder not in KEPT and bool(entry.inputs & contents))
        if is_holder or _is_outdone(entry, withdrawn):
            found.append(entry)
            if is_holder and entry.content:
                contents.add(entry.content)
    return found


def _is_outdone(entry: Entry, withdrawn: dict[str, str]) -> bool:
    """Whether it is a catalog by an earlier list of withdrawals, or pictures of its data set half made.

    What is half removed is too, of any data set: it does not say of what it was made, so it might hold somebody.
    """
    if entry.state == "half removed":
        return True
    if entry.folder not in ("catalogs", "faces", "streams") or entry.dataset not in withdrawn:
        return False
    if entry.state != "finished":
        return True
    return entry.folder == "catalogs" and (read_manifest(entry.path).config.get(WITHDRAWN) != withdrawn[entry.dataset])


def _rewritable(entries: Sequence[Entry]) -> list[Entry]:
    """Whole catalogs, and face crops of these; where a model has filled in expressions, it is to look at them again."""
    catalogs = [entry for entry in entries if entry.folder == "catalogs" and entry.state == "finished"]
    contents = {entry.content for entry in catalogs}
    faces = [
        entry
        for entry in entries
        if entry.folder == "faces"
        and entry.state == "finished"
        and read_manifest(entry.path).inputs.get("catalog") in contents
        and not (entry.path / EXPRESSIONS).exists()
    ]
    return [*catalogs, *faces]


def forget(home: Path, plan: Forgetting) -> dict[str, str]:
    """Do it; name of each directory that went on without these people -> its new name.

    Raises:
        InputError: a shard that is to be rewritten is damaged, or something has been started meanwhile.
    """
    if plan.new:
        add_withdrawals(home, plan.new)
    is_whole = [entry.state not in ("unfinished", "half removed") for entry in plan.removed]
    _remove([entry for entry, whole in zip(plan.removed, is_whole, strict=True) if not whole])
    made: dict[str, Directory] = {}
    catalog_of = {entry.content: entry for entry in plan.rewritten if entry.folder == "catalogs"}
    for entry in plan.rewritten:
        if entry.folder == "catalogs":
            made[entry.name] = rewrite_catalog(entry.path, plan.samples, plan.withdrawn[entry.dataset])
        else:
            catalog = catalog_of[read_manifest(entry.path).inputs["catalog"]]
            made[entry.name] = rewrite_faces(entry.path, plan.samples, catalog.path, made[catalog.name])
    _remove([entry for entry, whole in zip(plan.removed, is_whole, strict=True) if whole])
    return {name: f"{name.split('/')[0]}/{directory.path.name}" for name, directory in made.items()}


def _remove(entries: Sequence[Entry]) -> None:
    for entry in entries:
        if not remove(entry):
            raise InputError(f"{entry.name} is being used at this moment; wait for that, and run again")
