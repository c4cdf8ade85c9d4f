"""An experiment's cells -> its table, page and MLflow runs."""

import json
import traceback
from collections.abc import Iterable
from typing import Any

import pyarrow.parquet as pq
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from fer_core import runs
from fer_core.code_digest import code_digest
from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import Interval
from fer_core.experiments import drawing
from fer_core.experiments.cell_files import CellFiles
from fer_core.experiments.options import CellPlan, ExperimentOptions
from fer_core.experiments.page import experiment_page
from fer_core.experiments.report import as_report
from fer_core.experiments.results import Cell, orders, table_lines
from fer_core.experiments.spec import Experiment, short_name
from fer_core.files import write_bytes, write_json
from fer_core.levels import LABELS
from fer_core.options.text import plain
from fer_core.speed import forward_speed
from infra.mlflow_runs import MatrixCell, log_matrix
from infra.progress import logger
from tasks.evaluation import FIGURES, METRICS, REPORT
from tasks.made import Fold, Made, make
from tasks.registry import open_registry

RESULTS = "results.json"
MATRICES = "fer-experiments"
"""The MLflow experiment of the tables."""
MOST_LETTERS = 300
"""Of an error that is no sentence of ours, such as Ray's with all its workers' traces."""


def say_cell(plan: CellPlan, number: int, num_cells: int) -> None:
    """Progress: which cell comes now."""
    what = f"is left empty: no --data {plan.missing}=FOLDER" if plan.missing else "begins"
    logger.info("cell %d/%d  %s, %s %s", number, num_cells, plan.row, plan.column, what)


@task(cache_policy=NO_CACHE)
def measure_cell(plan: CellPlan, folds: list[Fold], metrics: tuple[str, ...]) -> Cell:
    """What came of a cell's runs; the speed of the network is measured where it is printed."""
    if plan.missing:
        return Cell(plan.row, plan.column, missing=plan.missing)
    measured = tuple(_metrics(fold, "images_per_second" in metrics) for fold in folds)
    trained = {level.run.path for fold in folds for level in fold.levels}
    batch_size = plan.options[0].recipe.batch_size
    num_faces = {pq.read_metadata(fold.levels[-1].groups.path / LABELS).num_rows for fold in folds}
    return Cell(
        plan.row,
        plan.column,
        measured,
        num_seeds=len(plan.options),
        settings={**plan.settings, "training_faces": sorted(num_faces)},
        trained={run.name: runs.seconds_of(run, batch_size) for run in sorted(trained)},
        evaluations={fold.evaluation.path.name: fold.evaluation.content for fold in folds},
    )


def failed_cell(plan: CellPlan, error: Exception) -> Cell:
    """A cell that an error ended: empty, with the error in a sentence; a fault of ours is shown in full as well."""
    sentence = " ".join(str(error).split())
    if not isinstance(error, InputError):
        sentence = f"{type(error).__name__}: {sentence[:MOST_LETTERS]}"
        logger.error("%s", "".join(traceback.format_exception(error)))
    logger.error("%s, %s failed: %s", plan.row, plan.column, sentence)
    return Cell(plan.row, plan.column, failed=sentence, settings=plan.settings)


def _metrics(fold: Fold, speed: bool) -> dict[str, Interval]:
    values = json.loads((fold.evaluation.path / METRICS).read_text())
    measured = {name: Interval(**value) for name, value in values.items()}
    if speed:
        measured["images_per_second"] = forward_speed(fold.levels[-1].run.path)
    return measured


@task(cache_policy=NO_CACHE)
def write_experiment(
    options: ExperimentOptions, experiment: Experiment, cells: list[Cell], files: list[CellFiles]
) -> Made:
    """The table, its figures and its page."""
    directory = Directory(
        options.home / "experiments",
        ("smoke-" if options.smoke else "") + short_name(options.name),
        kind="experiment",
        config={
            "experiment": experiment.model_dump(mode="json"),
            "cells": [[cell.row, cell.column, cell.missing, cell.failed, cell.settings] for cell in cells],
            "asked": vars(options.asked),
        },
        inputs={name: content for cell in cells for name, content in cell.evaluations.items()},
        code=code_digest("fer_core.experiments.page", "fer_core.experiments.report"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        logger.info("%-9s drawing figures", "table")
        drawn, undrawn = drawing.draw(experiment, cells, files)
        (directory.path / FIGURES).mkdir(exist_ok=True)
        for figure in drawn:
            write_bytes(directory.path / FIGURES / f"{figure.name}.png", figure.png)
        write_json(directory.path / RESULTS, as_report(experiment, cells, options.asked, undrawn))
        html = experiment_page(experiment, cells, orders(experiment, cells), drawn, undrawn, options.asked)
        write_bytes(directory.path / REPORT, html.encode())
        return [RESULTS, REPORT, *(f"{FIGURES}/{figure.name}.png" for figure in drawn)], {"cells": len(cells)}

    made = make("table", directory, build)
    lines = table_lines(experiment, cells)
    create_markdown_artifact(key="experiment", markdown=f"# {experiment.title}\n\n```\n" + "\n".join(lines) + "\n```")
    return made


def report_of(made: Made) -> dict[str, Any]:
    """What a table's directory says, see report.as_report."""
    return json.loads((made.path / RESULTS).read_text())


@task(cache_policy=NO_CACHE)
def log_experiment(options: ExperimentOptions, cells: list[Cell], made: Made) -> str:
    """One MLflow run for the table, one below it for each cell; the id of the former. Logged once."""
    logged = [
        MatrixCell(
            name=f"{cell.row}, {cell.column}",
            params={name: plain(value) for name, value in cell.settings.items()},
            metrics={name: interval.value for name in cell.runs[0] if (interval := cell.metric(name)) is not None},
            tags={"evaluations": json.dumps([*cell.evaluations]), "interval_by": cell.interval_by},
        )
        for cell in cells
        if cell.runs
    ]
    artifacts = [made.path / name for name in (REPORT, RESULTS, FIGURES)]
    registry = open_registry(options.home, MATRICES)
    with registry.locked():
        run_id = log_matrix(registry.runs(MATRICES), options.name, made.path.name, logged, artifacts)
    logger.info("%-9s %s: MLflow run %s", "table", made.path / REPORT, run_id)
    return run_id


def files_of(folds: list[Fold], plan: CellPlan) -> CellFiles:
    """Where a cell's first run and its figures are."""
    if not folds:
        return CellFiles(plan.row, plan.column, None, None, None)
    first = folds[0]
    num_folds = len(plan.options[0].parts)
    return CellFiles(
        plan.row,
        plan.column,
        first.levels[-1].run.path,
        first.levels[-1].groups.path,
        first.evaluation.path,
        tuple(fold.evaluation.path for fold in folds[:num_folds]),
    )
