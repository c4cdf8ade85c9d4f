"""The commands: each brings a source as far as its name says. What stands already is used again."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from prefect import flow

from fer_core.config import (
    DirectoriesOptions,
    EvaluateOptions,
    HomeOptions,
    IngestOptions,
    PrepareOptions,
    PromoteOptions,
    RetrainOptions,
    SubdivideOptions,
    TrainOptions,
)
from fer_core.evaluation.cross_validation import cross_validation
from flows import stages
from flows.experiment import experiment as experiment
from flows.scoring import score as score
from flows.summary import Summary
from infra.prefect_engine import secrets_of_block
from tasks.housekeeping import choose_removable, prove_directories, remove_directories, survey_home
from tasks.inspection import inspect_source, prove_catalog, prove_faces
from tasks.registry import promote_if_better, register_model

Options = TypeVar("Options", bound=HomeOptions)


def with_secrets(run: Callable[[Options], dict[str, Any]]) -> Callable[[Options], dict[str, Any]]:
    """Of a flow that a Prefect server deploys: the secrets that its process is told to take from a block."""

    @wraps(run)
    def run_with_secrets(options: Options) -> dict[str, Any]:
        with secrets_of_block():
            return run(options)

    return run_with_secrets


@flow(name="ingest-command")
def ingest(options: IngestOptions) -> dict[str, Any]:
    """Source folder -> catalog."""
    if options.dry_run:
        return Summary().scanned(inspect_source(options)).values
    if options.verify:
        return Summary().proven([prove_catalog(options)]).values
    return Summary().data(stages.ingest(options, options.repair)).values


@flow(name="prepare-command")
def prepare(options: PrepareOptions) -> dict[str, Any]:
    """Source folder -> face crops, and tuples of them where they are asked for."""
    if options.verify:
        return Summary().proven(prove_faces(options)).values
    catalog = stages.ingest(options, options.repair)
    faces = stages.prepare(options, catalog, options.repair)
    summary = Summary().data(catalog, faces)
    if options.tuples != "none":
        summary.tuples(stages.draw_tuples(options, faces, options.repair))
    return summary.values


@flow(name="train-command")
def train(options: TrainOptions) -> dict[str, Any]:
    """Source folder -> run."""
    catalog = stages.ingest(options)
    faces = stages.prepare(options, catalog)
    run = stages.train(options, faces)
    return Summary().data(catalog, faces).model(run, []).values


@flow(name="subdivide-command")
def subdivide(options: SubdivideOptions) -> dict[str, Any]:
    """Source folder -> sub-classes."""
    catalog = stages.ingest(options)
    faces = stages.prepare(options, catalog)
    run = stages.train(options, faces)
    levels = stages.subdivide(options, faces, run)
    return Summary().data(catalog, faces).model(run, levels).values


@flow(name="evaluate-command")
def evaluate(options: EvaluateOptions) -> dict[str, Any]:
    """Source folder -> metrics: of the hold-out with its report, or with --folds of all, with the first fold's."""
    catalog = stages.ingest(options)
    faces = stages.prepare(options, catalog)
    if options.folds:
        folds = stages.cross_validate(options, faces)
        means = cross_validation([fold.evaluation.summary for fold in folds])
        return Summary().data(catalog, faces).folds(folds, means).values
    run = stages.train(options, faces)
    levels = stages.subdivide(options, faces, run)
    evaluation = stages.evaluate(options, faces, levels[-1])
    return Summary().data(catalog, faces).model(run, levels).evaluation(evaluation).values


@flow
@with_secrets
def retrain(options: RetrainOptions) -> dict[str, Any]:
    """Source folder -> promoted model."""
    catalog = stages.ingest(options)
    faces = stages.prepare(options, catalog)
    folds = stages.cross_validate(options, faces) if options.folds else []
    run = stages.train(options, faces)
    levels = stages.subdivide(options, faces, run)
    evaluation = stages.evaluate(options, faces, levels[-1])
    cross_validated = cross_validation([fold.evaluation.summary for fold in folds]) if folds else {}
    registered = register_model(options, faces, levels[-1], evaluation, cross_validated)
    promotion = promote_if_better(options.home, options.model_name, registered.version)
    summary = Summary().data(catalog, faces).model(run, levels).evaluation(evaluation)
    return summary.folds(folds, cross_validated, prefix="cv_").registry(registered, promotion).values


@flow
@with_secrets
def promote(options: PromoteOptions) -> dict[str, Any]:
    """Challenger -> champion, if it is better."""
    promotion = promote_if_better(options.home, options.model_name, options.version, options.dry_run)
    return Summary().promotion(promotion).values


@flow(name="directories-command")
def directories(options: DirectoriesOptions) -> dict[str, Any]:
    """Home -> what it holds, and on request without what nothing uses."""
    entries = survey_home(options)
    summary = Summary().directories(entries)
    if options.verify:
        return summary.proven(prove_directories(entries)).values
    if options.dry_run:
        return summary.removable(choose_removable(options, entries)).values
    if options.remove:
        return summary.removed(remove_directories(options, choose_removable(options, entries))).values
    return summary.values
