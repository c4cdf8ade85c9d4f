"""An experiment: a matrix of runs, each brought through the stages, and one table of them all."""

from contextlib import suppress
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from fer_core.experiments.options import CellPlan, ExperimentOptions, cells_of
from fer_core.experiments.results import Cell
from fer_core.options.stages import CropOptions, EvaluateOptions
from flows import stages
from flows.deployed import with_secrets
from flows.summary import Summary
from infra.ray_cluster import cluster
from infra.settings import Settings
from tasks.evaluation import Tested
from tasks.experiment import (
    failed_cell,
    files_of,
    log_experiment,
    measure_cell,
    report_of,
    say_cell,
    write_experiment,
)
from tasks.made import Fold, Made
from tasks.model import train_run


@flow(name="experiment-command")
@with_secrets
def experiment(options: ExperimentOptions) -> dict[str, Any]:
    """Experiment file -> every cell's evaluation -> table, page, MLflow runs."""
    matrix = options.experiment  # read once: the file may be edited while the cells are run
    plans = cells_of(options, matrix)
    if options.dry_run:
        return Summary().planned(plans).values
    if options.parallel > 1:
        runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=options.parallel)
        with cluster(Settings().ray_address, options.parallel):
            train_ahead.with_options(task_runner=runner)(plans)  # type: ignore[arg-type]
    ran = [
        try_cell(plan, number, len(plans), matrix.metrics_of(plan.column)) for number, plan in enumerate(plans, start=1)
    ]
    cells = [cell for _, cell in ran]
    files = [files_of(folds, plan) for plan, (folds, _) in zip(plans, ran, strict=True)]
    made = write_experiment(options, matrix, cells, files)
    run_id = log_experiment(options, cells, made)
    return Summary().experiment(made, report_of(made), [fold for folds, _ in ran for fold in folds], run_id).values


@flow
def train_ahead(plans: list[CellPlan]) -> None:
    """The first networks of all cells, several at once; the cells find them made."""
    waiting = []
    for plan in plans:
        for options in plan.options:
            with suppress(Exception):  # its cell meets the same error, and tells it
                faces = faces_of(options)
                for part in options.parts or (options.hold_out,):
                    waiting.append(train_run.submit(options, faces, part, None, True))
    for future in waiting:
        future.result(raise_on_failure=False)


def try_cell(plan: CellPlan, number: int, num_cells: int, metrics: tuple[str, ...]) -> tuple[list[Fold], Cell]:
    """Run and measure a cell; one that fails is empty and says why, so that the others are run."""
    say_cell(plan, number, num_cells)
    try:
        folds = run_cell(plan)
        return folds, measure_cell(plan, folds, metrics)
    except Exception as error:  # not Ctrl-C and kills, which are no Exceptions
        return [], failed_cell(plan, error)


@flow
def run_cell(plan: CellPlan) -> list[Fold]:
    """One row and column: a run for each seed and fold."""
    folds: list[Fold] = []
    for options in plan.options:
        faces = faces_of(options)
        if options.folds:
            folds += stages.cross_validate(options, faces)
            continue
        run = stages.train(options, faces)
        levels = stages.subdivide(options, faces, run)
        tested = Tested(plan.tested, faces_of(plan.tested)) if plan.tested else None
        folds.append(Fold(levels, stages.evaluate(options, faces, levels[-1], tested=tested)))
    return folds


def faces_of(options: EvaluateOptions | CropOptions) -> Made:
    """The face crops of a cell's data."""
    return stages.prepare(options, stages.ingest(options))
