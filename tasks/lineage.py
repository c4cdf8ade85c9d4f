"""A registered version -> all that it is made of; a person, or a picture -> all that was made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.consent.withdrawals import Withdrawal, read_withdrawals
from fer_core.directories import MANIFEST
from fer_core.errors import InputError
from fer_core.lineage.ancestry import Ancestry, ancestry_of, condition_of
from fer_core.lineage.uses import Person, Use, people_of, uses_of_samples
from fer_core.options.lineage import LineageOptions
from fer_core.options.text import suggestion
from infra.mlflow_engine import CHAMPION
from infra.mlflow_versions import ModelVersion, Versions
from tasks.registry import all_versions, open_registry, store_uri

RECORD = "lineage.json"
"""What a version is made of, as it was when it was registered: logged with its run."""
FOLDER_OF = {"run": "runs", "level": "subdivisions", "evaluation": "evaluations"}
"""Tag of a version -> the folder of a home."""


@dataclass(frozen=True)
class Traced:
    """What a version is made of, and what is left of it.

    Attributes:
        recorded: whether it was noted when the version was registered; else it is what can be found now.
        condition: name of each of its directories -> as ancestry.condition_of says.
        version_of: digest of a parent -> the versions that have it.
        withdrawn: how many of the people that it learnt from have taken their consent back.
    """

    version: ModelVersion
    ancestry: Ancestry
    recorded: bool
    condition: Mapping[str, str]
    version_of: Mapping[str, list[str]]
    withdrawn: int


@dataclass(frozen=True)
class Traces:
    """What was made of somebody, or of a picture.

    Attributes:
        people: who they are; none where a picture was asked for, or where nothing of them is left.
        withdrawn: when they took their consent back, UTC; since then nothing of them but models is in the home.
        models: the versions that learnt from them, went on from a network that had, or may have.
        tested: the versions that were measured by them.
    """

    people: list[Person]
    withdrawn: list[str]
    uses: list[Use]
    models: list[ModelVersion]
    tested: list[ModelVersion]


@task(cache_policy=NO_CACHE)
def trace_version(options: LineageOptions) -> Traced:
    """From an alias or a number to the files, config, code, source and models that a version is made of.

    Raises:
        InputError: there is no such version.
    """
    versions = all_versions(options.home)
    chosen = _chosen(options, versions)
    ancestry, recorded = read_ancestry(options.home, chosen)
    condition = {origin.name: condition_of(options.home, origin) for origin in ancestry.origins}
    withdrawn = sum(chosen.tags.get("run") in one.runs for one in read_withdrawals(options.home))
    return Traced(chosen, ancestry, recorded, condition, _versions_of_parents(ancestry, versions), withdrawn)


def _chosen(options: LineageOptions, versions: list[ModelVersion]) -> ModelVersion:
    alias = options.alias or CHAMPION
    own = [version for version in versions if version.name == options.model_name]
    for version in own:
        if version.version == options.version if options.version else alias in version.aliases:
            return version
    wanted = f"version {options.version}" if options.version else f"alias {alias}"
    known = [f"{version.version} {' '.join(version.aliases)}".strip() for version in own]
    there = f"its versions are {', '.join(known)}" if known else "there is none of that name: run retrain first"
    raise InputError(f"model {options.model_name} has no {wanted}; {there}")


def read_ancestry(home: Path, version: ModelVersion) -> tuple[Ancestry, bool]:
    """What a version is made of, and whether that was recorded when it was registered."""
    record = Versions(store_uri(home)).paper(version, RECORD)
    if record is not None:
        return Ancestry.from_json(record), True
    names = {folder: version.tags[tag] for tag, folder in FOLDER_OF.items() if tag in version.tags}
    registry, copies = open_registry(home, version.name), {}
    for tag in ("run", "level"):
        if tag in version.tags and not (home / FOLDER_OF[tag] / version.tags[tag]).is_dir():
            copy = registry.model_file(version.version, f"{version.tags[tag]}/{MANIFEST}")
            copies[f"{FOLDER_OF[tag]}/{version.tags[tag]}"] = copy.parent
    return ancestry_of(home, names, copies), False


def _versions_of_parents(ancestry: Ancestry, versions: list[ModelVersion]) -> dict[str, list[str]]:
    """Those with the parent's network, or of its run."""
    return {
        parent.digest: [
            version.title
            for version in versions
            if version.tags.get("network_sha256") == parent.digest
            or (parent.run is not None and version.tags.get("run") == Path(parent.run).name)
        ]
        for parent in ancestry.parents
    }


@task(cache_policy=NO_CACHE)
def trace_pictures(options: LineageOptions) -> Traces:
    """From a person, or a picture, to the directories and the models that have to do with them.

    Raises:
        InputError: nobody of that name is in the home, or no directory knows the picture.
    """
    people, withdrawn, samples = list[Person](), list[Withdrawal](), frozenset({options.sample or ""})
    if options.subject is not None:
        subject, every = options.subject.get_secret_value(), read_withdrawals(options.home, options.dataset)
        withdrawn = [one for one in every if one.is_of(one.dataset, subject)]
        pictures = _asked_people(options, subject, withdrawn)
        people, samples = list(pictures), frozenset().union(*pictures.values())
    uses = uses_of_samples(options.home, samples)
    if not uses and not withdrawn:
        raise InputError(f"nothing in {options.home} has to do with a picture of sample_id {options.sample}")
    runs = {use.directory.name for use in uses if use.kind == "run"}.union(
        *((*one.runs, *one.unsure) for one in withdrawn)
    )
    tests = {use.directory.name for use in uses if use.kind == "evaluation" and use.role == "test"}
    versions = all_versions(options.home)
    models = [version for version in versions if version.tags.get("run") in runs]
    tested = [version for version in versions if version.tags.get("evaluation") in tests]
    return Traces(people, [one.time for one in withdrawn], uses, models, tested)


def _asked_people(options: LineageOptions, subject: str, withdrawn: list[Withdrawal]) -> dict[Person, frozenset[str]]:
    people = people_of(options.home)
    own = [one for one in people if one.subject == subject and options.dataset in (None, one.dataset)]
    if not own and not withdrawn:
        names = sorted({person.subject for person in people})
        among = suggestion(subject, names) if names else "it holds no catalog or face crops with names"
        of = f" of {options.dataset}" if options.dataset else ""
        raise InputError(f"nobody{of} in {options.home} is called {subject}; {among}")
    return {person: people[person] for person in own}
