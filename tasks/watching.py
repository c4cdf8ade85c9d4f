"""The source and what was scored, against the champion -> whether a new model is wanted, and why."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from fer_core.code_digest import code_digest
from fer_core.directories import MANIFEST, Directory, Manifest, read_manifest
from fer_core.drift.page import drift_page
from fer_core.drift.scored_rows import (
    ACTED,
    LOOKED_AT,
    finished,
    marks_of,
    not_among,
    read_scores,
    sample_of_scores,
    sample_of_test_part,
)
from fer_core.drift.two_samples import Drift, Sample, compare, too_few
from fer_core.errors import InputError
from fer_core.figures.drift import drifted_classes, drifted_embeddings
from fer_core.files import digest_of, write_bytes, write_json, write_table
from fer_core.housekeeping import Entry, survey
from fer_core.ingest.scanning import source_fingerprint
from fer_core.options.watch import WatchOptions
from infra.mlflow_engine import CHAMPION
from infra.prefect_events import ask_for_retrain
from infra.progress import logger
from tasks.made import Made, make
from tasks.registry import all_versions, open_registry

DRIFT, PAGE = "drift.json", "drift.html"
FIGURES = ("drift-embeddings.png", "drift-classes.png")


@dataclass(frozen=True)
class Trigger:
    """Something that can ask for a new model.

    Attributes:
        kind: source, embeddings or classes.
        fired: whether it does.
        reason: why, or why not.
        statistic, size, p_value, adjusted_p: as of drift.Shift; None where nothing could be told, and of the source.
    """

    kind: str
    fired: bool
    reason: str
    statistic: float | None = None
    size: float | None = None
    p_value: float | None = None
    adjusted_p: float | None = None


@dataclass(frozen=True)
class Looked:
    """What was said of the scored rows, and where it is written; None where nothing could be told, or on a dry run."""

    triggers: tuple[Trigger, ...]
    made: Made | None = None


@task(cache_policy=NO_CACHE)
def look_at_source(options: WatchOptions) -> Trigger:
    """Whether the source is another than the one that the champion, or a version since, was made from.

    A version that the gate refused counts: the same files would be refused again.
    """
    champion = open_registry(options.home, options.model_name).version_of(CHAMPION)
    if champion is None:
        return Trigger("source", True, "there is no champion yet")
    now = source_fingerprint(options.source if options.adapter.needs_source else None)
    entries = survey(options.home, {})
    known = {
        one.version: _sources_of(entries, one.tags["data_digest"])
        for one in all_versions(options.home)
        if one.name == options.model_name and one.version >= champion
    }
    seen_by = [version for version, sources in known.items() if now in sources]
    if seen_by:
        return Trigger("source", False, f"no file of the source has changed since version {max(seen_by)}")
    if not known[champion]:
        return Trigger("source", False, f"cannot be told: the catalog of version {champion} is gone from the home")
    return Trigger("source", True, f"files of the source have changed since version {champion}")


def _sources_of(entries: list[Entry], data_digest: str) -> set[str]:
    """The fingerprints of all sources that gave the faces with this content; none where their catalogs are gone.

    Files that were touched, copied or restored are another source, and their catalog has the same content.
    """
    made_of, sources = {data_digest}, set()
    for entry in reversed(entries):  # what is used stands before what uses it
        if entry.content in made_of and entry.folder == "catalogs":
            sources.add(read_manifest(entry.path).inputs["source"])
        elif entry.content in made_of and entry.folder in ("faces", "streams"):
            made_of |= entry.inputs
    return sources


@task(cache_policy=NO_CACHE)
def look_at_scores(options: WatchOptions) -> Looked:
    """Whether what the champion has scored since the last look has drifted from its test part.

    Raises:
        InputError: --scores are of another model, or a file is missing or damaged.
    """
    registry = open_registry(options.home, options.model_name)
    champion = registry.version_of(CHAMPION)
    if champion is None:
        return _cannot_be_told("there is no champion yet")
    evaluation = options.home / "evaluations" / registry.tags_of(champion)["evaluation"]
    if not (evaluation / MANIFEST).exists():
        return _cannot_be_told(f"the evaluation of version {champion} is gone from the home")
    reference = sample_of_test_part(evaluation)
    if reference is None:
        return _cannot_be_told(f"version {champion} was not tested on the expressions of single pictures")
    looks = finished(options.home / "drift", "drift", options.model_name, champion)
    done = {path: manifest for path, manifest in looks if (path / ACTED).exists()}
    asked = _asked_scores(options, champion, done.values())
    rows = not_among(read_scores(asked), done) if asked else None
    if rows is None or not len(rows):
        return _cannot_be_told(f"version {champion} has scored nothing since the last look")
    recent = sample_of_scores(rows, options.group_by)
    reason = too_few(reference, recent)
    if reason is not None:
        return _cannot_be_told(f"{reason}; they are kept for the next look")
    drift = compare(reference, recent, options.seed)
    triggers = tuple(
        Trigger(
            shift.kind,
            shift.adjusted_p <= options.alpha,
            f"{len(rows)} scored rows against {len(reference.label_N)} of the test part of version {champion}: "
            f"p {shift.p_value:.4f}, of two tests {shift.adjusted_p:.4f}, size {shift.size:.3f}",
            shift.statistic,
            shift.size,
            shift.p_value,
            shift.adjusted_p,
        )
        for shift in drift.shifts
    )
    if options.dry_run:
        return Looked(triggers)
    inputs = {"evaluation": read_manifest(evaluation).content}
    inputs |= {f"scores {path.name}": manifest.content for path, manifest in asked.items()}
    return Looked(triggers, _write(options, champion, drift, reference, rows, inputs))


def _cannot_be_told(reason: str) -> Looked:
    return Looked(tuple(Trigger(kind, False, f"cannot be told: {reason}") for kind in ("embeddings", "classes")))


def _asked_scores(options: WatchOptions, champion: int, looks: Iterable[Manifest]) -> dict[Path, Manifest]:
    """The score directories that are to be looked at, with their manifests; all rows of the others have been."""
    if options.scores == "latest":
        found = dict(finished(options.home / "scores", "scores", options.model_name, champion))
    else:
        asked = Path(options.scores)
        of_champion = dict(finished(asked.parent, "scores", options.model_name, champion))
        if asked not in of_champion:
            raise InputError(
                f"--scores {asked} is not what {options.model_name} version {champion}, the champion, has scored; run "
                "score anew, or leave --scores out"
            )
        found = {asked: of_champion[asked]}
    seen = {content for look in looks for content in look.inputs.values()}
    return {
        path: manifest for path, manifest in found.items() if manifest.summary["rows"] and manifest.content not in seen
    }


def _write(
    options: WatchOptions, champion: int, drift: Drift, reference: Sample, rows: pa.Table, inputs: dict[str, str]
) -> Made:
    marks = marks_of(rows)
    directory = Directory(
        options.home / "drift",
        options.model_name,
        kind="drift",
        config={
            "model_name": options.model_name,
            "model_version": champion,
            "alpha": options.alpha,
            "group_by": options.group_by,
            "seed": options.seed,
        },
        inputs={**inputs, "rows": digest_of(marks.to_pydict())},
        code=code_digest("fer_core.drift.two_samples", "fer_core.drift.page", "fer_core.drift.scored_rows"),
    )
    classes = sorted({*reference.label_N.tolist(), *rows["expression"].to_pylist()})

    def build() -> tuple[list[str], dict[str, Any]]:
        figures = drifted_embeddings(drift), drifted_classes(drift, classes)
        title = f"{options.model_name} version {champion}: what it is used on beside what it was tested on"
        page = drift_page(title, drift, options.alpha, (len(reference.label_N), len(rows)), figures)
        said = {shift.kind: asdict(shift) for shift in drift.shifts}
        write_json(directory.path / DRIFT, {"alpha": options.alpha, "rows": len(rows), "shifts": said})
        for name, figure in zip(FIGURES, figures, strict=True):
            write_bytes(directory.path / name, figure)
        write_bytes(directory.path / PAGE, page.encode())
        write_table(directory.path / LOOKED_AT, marks)
        return [DRIFT, *FIGURES, PAGE, LOOKED_AT], {"rows": len(rows), "shifts": said}

    return make("watch", directory, build)


@task(cache_policy=NO_CACHE)
def say_triggers(options: WatchOptions, triggers: list[Trigger], looked: Looked) -> None:
    """Tell people: in the log, and on the server as an artifact."""
    rows = [f"| {one.kind} | {'fired' if one.fired else 'quiet'} | {one.reason} |" for one in triggers]
    dry = ": dry run, nothing is asked for" if options.dry_run else ""
    page = "" if looked.made is None else f"\n\n{(looked.made.path / PAGE).absolute()}"
    for one in triggers:
        logger.info("%-9s %s %s: %s", "watch", one.kind, "fired" if one.fired else "quiet", one.reason)
    table = "\n".join(["| trigger | | why |", "| --- | --- | --- |", *rows])
    create_markdown_artifact(key="watch", markdown=f"# {options.model_name}{dry}\n\n{table}{page}")


@task(cache_policy=NO_CACHE)
def tell_server(options: WatchOptions, triggers: list[Trigger]) -> None:
    """Ask the Prefect server for a retrain, by an event.

    Raises:
        InputError: there is no server that takes events.
    """
    ask_for_retrain(options.model_name, {"triggers": [asdict(one) for one in triggers]})


@task(cache_policy=NO_CACHE)
def remember(looked: Looked) -> None:
    """The scored rows do not fire again: what follows from them has been done."""
    if looked.made is not None:
        (looked.made.path / ACTED).touch()
