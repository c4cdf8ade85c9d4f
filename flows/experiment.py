"""An experiment: a matrix of runs, each brought through the stages, and one table of them all."""

from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from fer_core.config import CropOptions, EvaluateOptions
from fer_core.experiments.options import CellPlan, ExperimentOptions, cells_of
from flows import stages
from flows.summary import Summary
from infra.ray_engine import cluster
from infra.settings import Settings
from tasks.experiment import files_of, log_experiment, measure_cell, say_cell, write_experiment
from tasks.made import Fold, Made
from tasks.model import train_run


@flow(name="experiment-command")
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
    ran = [run_cell(plan, number, len(plans)) for number, plan in enumerate(plans, start=1)]
    cells = [measure_cell(plan, folds, matrix.metrics_of(plan.column)) for plan, folds in zip(plans, ran, strict=True)]
    files = [files_of(folds, plan) for plan, folds in zip(plans, ran, strict=True)]
    made = write_experiment(options, matrix, cells, files)
    run_id = log_experiment(options, plans, cells, made)
    folds = [fold for cell in ran for fold in cell]
    return Summary().experiment(made, matrix, cells, folds, options.cost_per_hour, run_id).values


@flow
def train_ahead(plans: list[CellPlan]) -> None:
    """The first networks of all cells, several at once; the cells find them made."""
    waiting = []
    for plan in plans:
        for options in plan.options:
            faces = faces_of(options)
            for part in options.parts or (stages.HOLD_OUT,):
                waiting.append(train_run.submit(options, faces, part, None, True))
    for future in waiting:
        future.result()


@flow
def run_cell(plan: CellPlan, number: int, of: int) -> list[Fold]:
    """One row and column: a run for each seed and fold."""
    say_cell(plan, number, of)
    folds: list[Fold] = []
    for options in plan.options:
        faces = faces_of(options)
        if options.folds:
            folds += stages.cross_validate(options, faces)
            continue
        run = stages.train(options, faces)
        levels = stages.subdivide(options, faces, run)
        tested = faces_of(plan.tested) if plan.tested else None
        folds.append(Fold(levels, stages.evaluate(options, faces, levels[-1], tested=tested)))
    return folds


def faces_of(options: EvaluateOptions | CropOptions) -> Made:
    """The face crops of a cell's data."""
    return stages.prepare(options, stages.ingest(options))
