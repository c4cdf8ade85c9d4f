"""Model -> predictions on the test part, metrics, figures and the report."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from fer_core.assessment.base import Assessed, Case
from fer_core.assessment.page import page
from fer_core.assessment.protocols import PROTOCOLS
from fer_core.code_digest import code_digest
from fer_core.config import EvaluateOptions
from fer_core.datasets.base import Pair
from fer_core.directories import Directory
from fer_core.files import write_bytes, write_json, write_table
from fer_core.folds import Part
from fer_core.predictor import Predictor
from infra.progress import Ticker, logger
from tasks.made import Fold, Level, Made, make
from tasks.model import chosen_code, plan_of

PREDICTIONS, METRICS, REPORT, FIGURES = "predictions.parquet", "metrics.json", "report.html", "figures"
EMBEDDINGS = "embeddings.parquet"
HEADLINE = ("accuracy", "knn_accuracy", "f1", "nmi", "pose_accuracy", "svm_accuracy", "satisfied_triplets")
PAIRS_HEADLINE = ("pair_accuracy", "auc", "eer")


@task(cache_policy=NO_CACHE)
def write_evaluation(
    options: EvaluateOptions, faces: Made, level: Level, part: Part, tested: Made | None = None
) -> Made:
    """Evaluate on the test part; figures and report too, except for the folds of a cross-validation.

    Args:
        tested: face crops of another data set to test on instead.
    """
    inputs = {"faces": faces.content, "run": level.run.content, "level": level.groups.content}
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
        inputs=inputs if tested is None else {**inputs, "tested": tested.content},
        code=code_digest("fer_core.assessment.protocols", "fer_core.assessment.page", *chosen_code(options)),
    )
    stage = "evaluate" if part.fold is None else f"evaluate {part.fold + 1}/{part.folds}"

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        case = _case(options, faces, level, part, tested)
        ticker = Ticker("evaluate", len(case.tested.rows_of("test", upright=True)), "faces")
        protocol = PROTOCOLS[case.predictor.description.build_method().protocol]
        assessed = protocol(case, ticker)
        write_table(directory.path / PREDICTIONS, assessed.predictions)
        write_table(directory.path / EMBEDDINGS, assessed.embeddings)
        metrics = {name: vars(interval) for name, interval in assessed.metrics.items()}
        write_json(directory.path / METRICS, metrics)
        files = [PREDICTIONS, EMBEDDINGS, METRICS]
        if part.fold is None:
            logger.info("%-9s drawing figures", stage)
            files += _write_pages(directory.path, options, case, assessed, (tested or faces).summary["set_aside"])
        return files, {name: interval["value"] for name, interval in metrics.items()}

    made = make(stage, directory, build)
    shown = [name for name in HEADLINE + PAIRS_HEADLINE if name in made.summary]
    logger.info("%-9s %s", stage, "  ".join(f"{name} {made.summary[name]:.3f}" for name in shown))
    _show_table(made)
    return made


def _case(options: EvaluateOptions, faces: Made, level: Level, part: Part, tested: Made | None) -> Case:
    plan = plan_of(options, faces, part)
    trained = plan.read_faces()
    table = trained if tested is None else plan.read_tested(tested.path, trained)
    predictor = Predictor(level.run.path, level.groups.path)
    return Case(predictor, table, trained, options.seed, options.resamples, _pairs(options, predictor))


def _pairs(options: EvaluateOptions, predictor: Predictor) -> list[Pair] | None:
    """The pairs that the data set prescribes, for a model that is tested on pairs."""
    prescribed, is_asked = options.adapter.pairs, predictor.description.build_method().protocol == "pairs"
    return prescribed(options.source) if prescribed and options.source and is_asked else None


def _write_pages(
    folder: Path, options: EvaluateOptions, case: Case, assessed: Assessed, set_aside: dict[str, int]
) -> list[str]:
    drawn = assessed.draw()
    (folder / FIGURES).mkdir(exist_ok=True)
    for figure in drawn:
        write_bytes(folder / FIGURES / f"{figure.name}.png", figure.png)
    extra = assessed.files()
    for name, content in extra.items():
        write_bytes(folder / name, content)
    settings = options.model_dump(mode="json", include={"dataset", "method", "levels", "seed"})
    sizes = {"backbone": options.backbone_name, "face_size": options.crop_size, "patch": options.patch_size}
    details = {**settings, **sizes, **vars(options.recipe)}
    written = page(assessed, drawn, details, set_aside, case.tested.has_subjects)
    write_bytes(folder / REPORT, written.encode())
    return [REPORT, *extra, *(f"{FIGURES}/{figure.name}.png" for figure in drawn)]


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
