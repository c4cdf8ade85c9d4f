"""Model -> predictions on the test part, metrics, figures and the report."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from fer_core import assess as assessing
from fer_core import report_page
from fer_core.code_digest import code_digest
from fer_core.config import EvaluateOptions
from fer_core.directories import Directory
from fer_core.files import write_bytes, write_json, write_table
from fer_core.folds import Part
from fer_core.predictor import Predictor
from infra.progress import Ticker, logger
from tasks.made import Fold, Level, Made, make
from tasks.model import chosen_code, plan_of

PREDICTIONS, METRICS, REPORT, FIGURES = "predictions.parquet", "metrics.json", "report.html", "figures"


@task(cache_policy=NO_CACHE)
def write_evaluation(options: EvaluateOptions, faces: Made, level: Level, part: Part) -> Made:
    """Evaluate on the test part; figures and report too, except for the folds of a cross-validation."""
    directory = Directory(
        options.home / "evaluations",
        f"{options.dataset}-{options.method}",
        kind="evaluation",
        config={
            "part": list(part),
            "seed": options.seed,
            "resamples": options.resamples,
            "set_aside": faces.summary["set_aside"],
        },
        inputs={"faces": faces.content, "run": level.run.content, "level": level.groups.content},
        code=code_digest("fer_core.assess", "fer_core.report_page", *chosen_code(options)),
    )
    stage = "evaluate" if part.fold is None else f"evaluate {part.fold + 1}/{part.folds}"

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        table = plan_of(options, faces, part).read_faces()
        predictor = Predictor(level.run.path, level.groups.path)
        ticker = Ticker("evaluate", len(table.rows_of("test", upright=True)), "faces")
        assessment = assessing.assess(predictor, table, options.seed, options.resamples, ticker)
        write_table(directory.path / PREDICTIONS, assessing.predictions_table(assessment, predictor))
        metrics = {name: vars(interval) for name, interval in assessment.evaluation.metrics.items()}
        write_json(directory.path / METRICS, metrics)
        files = [PREDICTIONS, METRICS]
        if part.fold is None:
            logger.info("%-9s drawing figures", stage)
            files += _write_pages(directory.path, options, table, predictor, assessment, faces)
        return files, {name: interval["value"] for name, interval in metrics.items()}

    made = make(stage, directory, build)
    logger.info(
        "%-9s accuracy %.3f  kNN %.3f  F1 %.3f  NMI %.3f",
        stage,
        *(made.summary[name] for name in ("accuracy", "knn_accuracy", "f1", "nmi")),
    )
    _show_table(made)
    return made


def _write_pages(
    folder: Path, options: EvaluateOptions, table: Any, predictor: Predictor, assessment: Any, faces: Made
) -> list[str]:
    figures = report_page.draw(assessment, predictor, table, options.seed)
    (folder / FIGURES).mkdir(exist_ok=True)
    for figure in figures:
        write_bytes(folder / FIGURES / f"{figure.name}.png", figure.png)
    settings = options.model_dump(mode="json", include={"dataset", "method", "backbone", "levels", "seed"})
    details = {**settings, "face_size": options.crop_size, "patch": options.patch_size, **vars(options.recipe)}
    page = report_page.page(assessment, predictor, table, figures, details, faces.summary["set_aside"])
    write_bytes(folder / REPORT, page.encode())
    return [REPORT, *(f"{FIGURES}/{figure.name}.png" for figure in figures)]


def _show_table(made: Made) -> None:
    metrics = json.loads((made.path / METRICS).read_text())
    rows = [{"metric": name, **{key: round(value, 4) for key, value in row.items()}} for name, row in metrics.items()]
    create_table_artifact(table=rows, key="evaluation", description=f"{made.path}")


def cross_validation(folds: list[Fold]) -> dict[str, float]:
    """Mean and standard deviation (n - 1) over the folds of each metric that all of them have.

    A small fold has no Recall@32: a mean over some folds would stand beside means over all.
    """
    evaluations = [fold.evaluation for fold in folds]
    found = {}
    for name in evaluations[0].summary:
        if not all(name in made.summary for made in evaluations):
            continue
        values = [made.summary[name] for made in evaluations]
        found[name] = float(np.mean(values))
        found[f"{name}_std"] = float(np.std(values, ddof=1))
    return found
