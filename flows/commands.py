"""The commands: each brings a source as far as its name says. What stands already is used again."""

from typing import Any

from prefect import flow

from fer_core.errors import InputError
from fer_core.evaluation.cross_validation import cross_validation
from fer_core.options.stages import (
    DirectoriesOptions,
    EvaluateOptions,
    IngestOptions,
    PrepareOptions,
    PromoteOptions,
    RetrainOptions,
    RollbackOptions,
    SubdivideOptions,
    TrainOptions,
)
from fer_core.options.watch import WatchOptions
from flows import stages
from flows.deployed import with_secrets, with_sentence
from flows.experiment import experiment as experiment
from flows.galleries import album as album
from flows.galleries import retrieve as retrieve
from flows.lineage import lineage as lineage
from flows.scoring import score as score
from flows.summary import Summary
from infra.progress import logger
from tasks.cards import write_card
from tasks.forgetting import forget_people
from tasks.housekeeping import choose_removable, prove_directories, remove_directories, survey_home
from tasks.inspection import inspect_source, prove_catalog, prove_faces
from tasks.label_audit import write_label_audit
from tasks.made import Fold, Made
from tasks.promotion import UNPROVEN, promote_if_better
from tasks.registry import register_model
from tasks.rollback import Rollback, roll_back
from tasks.watching import look_at_scores, look_at_source, remember, say_triggers, tell_server


@flow(name="ingest-command")
@with_secrets
def ingest(options: IngestOptions) -> dict[str, Any]:
    """Source folder -> catalog; or a home without the people to forget."""
    if options.forget:
        return Summary().forgotten(forget_people(options), options.dry_run).values
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
@with_secrets
def evaluate(options: EvaluateOptions) -> dict[str, Any]:
    """Source folder -> metrics: of the hold-out with its report; with --folds of all, and the labels to doubt."""
    catalog = stages.ingest(options)
    faces = stages.prepare(options, catalog)
    if options.folds:
        folds = stages.cross_validate(options, faces)
        means = cross_validation([fold.evaluation.summary for fold in folds])
        return _audited(Summary().data(catalog, faces).folds(folds, means), options, faces, folds).values
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
    promotion = promote_if_better(options.home, options.model_name, registered.version, options)
    card = write_card(options.home, options.model_name, registered.version)
    summary = Summary().data(catalog, faces).model(run, levels).evaluation(evaluation)
    summary = _audited(summary.folds(folds, cross_validated, prefix="cv_"), options, faces, folds)
    values = summary.registry(registered, promotion).values
    return with_sentence({**values, "card": str(card)}, promotion.sentence)


@flow(name="watch-command")
@with_secrets
def watch(options: WatchOptions) -> dict[str, Any]:
    """Source and scored pictures -> retrain, where either has changed."""
    source, looked = look_at_source(options), look_at_scores(options)
    triggers = [source, *looked.triggers]
    say_triggers(options, triggers, looked)
    is_wanted = any(one.fired for one in triggers) and not options.dry_run
    retrained = None
    if is_wanted and options.retrain_by == "event":
        tell_server(options, triggers)
    elif is_wanted:
        retrained = retrain(options.retraining)
    remember(looked)
    values = Summary().watched(triggers, looked, is_wanted, options.dry_run).values | (retrained or {})
    fired = ", ".join(one.kind for one in triggers if one.fired)
    return with_sentence(values, f"fired: {fired}" if fired else "nothing fired")


@flow
@with_secrets
def promote(options: PromoteOptions) -> dict[str, Any]:
    """Challenger -> champion, if it is better."""
    promotion = promote_if_better(
        options.home, options.model_name, options.version, options, options.dry_run, options.again
    )
    if not options.dry_run and promotion.verdict != UNPROVEN:
        write_card(options.home, options.model_name, promotion.model_version)
    return with_sentence(Summary().promotion(promotion).values, promotion.sentence)


@flow
@with_secrets
def rollback(options: RollbackOptions) -> dict[str, Any]:
    """Champion -> the champion before it."""
    made = roll_back(options.home, options.model_name, options.to, options.reason, options.dry_run)
    if not options.dry_run:
        _write_cards(options, made)
    return with_sentence(Summary().rollback(made).values, made.sentence)


def _write_cards(options: RollbackOptions, made: Rollback) -> None:
    """Of both champions; what is rolled back from may have lost its files, and is rolled back all the same."""
    for version in (made.rolled_back, made.after.champion):
        assert version is not None
        try:
            write_card(options.home, options.model_name, version)
        except InputError as error:
            logger.warning("card      of version %d is not written anew: %s", version, error)


@flow(name="directories-command")
@with_secrets
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


def _audited(summary: Summary, options: EvaluateOptions, faces: Made, folds: list[Fold]) -> Summary:
    """With the labels that a cross-validation of expressions doubts."""
    if options.is_tested_on_pairs or not folds:
        return summary
    return summary.audit(write_label_audit(options, faces, folds))
