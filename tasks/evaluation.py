"""Model -> predictions on the test part, metrics, figures and the report."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from fer_core.assessment.base import Assessed, CasePlan
from fer_core.assessment.page import page
from fer_core.assessment.protocols import measured, protocol_of
from fer_core.assessment.published import published_for
from fer_core.code_digest import code_digest
from fer_core.datasets.base import Pair
from fer_core.directories import Directory
from fer_core.files import digest_of, write_bytes, write_json, write_table
from fer_core.folds import Part
from fer_core.naming import telling_options, title_of
from fer_core.options.stages import CropOptions, EvaluateOptions
from fer_core.report import Published
from fer_core.training import TrainingPlan
from infra.progress import Ticker, logger
from infra.ray_engine import on_workers
from infra.settings import Settings
from tasks.made import Level, Made, make
from tasks.model import chosen_code, plan_of, triplets_of, worth_workers

PREDICTIONS, METRICS, REPORT, FIGURES = "predictions.parquet", "metrics.json", "report.html", "figures"
EMBEDDINGS = "embeddings.parquet"
HEADLINE = ("accuracy", "knn_accuracy", "f1", "nmi", "pose_accuracy", "svm_accuracy", "satisfied_triplets")
PAIRS_HEADLINE = ("pair_accuracy", "auc", "eer")
EVALUATION_CODE = ("fer_core.assessment.protocols", "fer_core.assessment.page")
"""The modules that make it, beside those of the method and the backbone."""


class Tested(NamedTuple):
    """Another data set that a model is tested on, and its face crops."""

    options: CropOptions
    faces: Made


class Page(NamedTuple):
    """What the report says beside what was measured."""

    title: str
    details: dict[str, Any]
    published: Published
    notes: list[str]

    @property
    def digest(self) -> str:
        """Of all it says: a table of a paper that is read anew makes a new page."""
        return digest_of([self.title, self.details, asdict(self.published), self.notes])


@task(cache_policy=NO_CACHE)
def write_evaluation(
    options: EvaluateOptions, faces: Made, level: Level, part: Part, tested: Tested | None = None
) -> Made:
    """Evaluate on the test part; figures and report too, of a cross-validation in its first fold.

    Args:
        tested: another data set to test on instead.
    """
    told = _told(options, part, tested) if part.fold in (None, 0) else None
    plan, pairs = plan_of(options, faces, part), _pairs(options, tested)
    directory = _directory(options, faces, level, plan, pairs, tested, told)
    stage = "evaluate" if part.fold is None else f"evaluate {part.fold + 1}/{part.folds}"

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        assessed = _assessed(options, _case_plan(options, level, plan, pairs, tested))
        write_table(directory.path / PREDICTIONS, assessed.predictions)
        write_table(directory.path / EMBEDDINGS, assessed.embeddings)
        metrics = {name: vars(interval) for name, interval in assessed.metrics.items()}
        write_json(directory.path / METRICS, metrics)
        files = [PREDICTIONS, EMBEDDINGS, METRICS]
        if told is not None:
            logger.info("%-9s drawing figures", stage)
            set_aside = (faces if tested is None else tested.faces).summary["set_aside"]
            files += _write_pages(directory.path, told, assessed, set_aside)
        return files, {name: interval["value"] for name, interval in metrics.items()}

    made = make(stage, directory, build)
    shown = [name for name in HEADLINE + PAIRS_HEADLINE if name in made.summary]
    logger.info("%-9s %s", stage, "  ".join(f"{name} {made.summary[name]:.3f}" for name in shown))
    _show_table(made)
    return made


def _directory(
    options: EvaluateOptions,
    faces: Made,
    level: Level,
    plan: TrainingPlan,
    pairs: list[Pair] | None,
    tested: Tested | None,
    told: Page | None,
) -> Directory:
    inputs = {"faces": faces.content, "run": level.run.content, "level": level.groups.content}
    inputs |= triplets_of(plan)
    inputs |= {} if pairs is None else {"pairs": digest_of(pairs)}
    return Directory(
        options.home / "evaluations",
        f"{options.dataset}-{options.method}",
        kind="evaluation",
        config={
            "part": plan.part.told,
            "seed": options.seed,
            "resamples": options.resamples,
            "set_aside": faces.summary["set_aside"],
            "page": None if told is None else told.digest,
        },
        inputs=inputs if tested is None else {**inputs, "tested": tested.faces.content},
        code=code_digest(*EVALUATION_CODE, *chosen_code(options)),
    )


def _told(options: EvaluateOptions, part: Part, tested: Tested | None) -> Page:
    other = None if tested is None else tested.options.dataset
    named = {"dataset", "method", "levels", "seed", "test_people"}
    settings = options.model_dump(mode="json", include=named, exclude_none=True)
    sizes = {"backbone": options.backbone_name, "face_size": options.crop_size, "patch": options.patch_size}
    weights = {"weights": "random" if options.weights is None else options.weights.name}
    notes = []
    if part.fold is not None:
        notes = [f"Fold {part.fold + 1} of {part.folds} alone: the others are measured alike and have no page."]
    return Page(
        title_of(options, part, other),
        {**settings, **telling_options(options), **sizes, **weights, **vars(options.recipe)},
        published_for(options, part, other),
        notes,
    )


def _case_plan(
    options: EvaluateOptions, level: Level, plan: TrainingPlan, pairs: list[Pair] | None, tested: Tested | None
) -> CasePlan:
    run, groups = level.run.path.absolute(), level.groups.path.absolute()
    other = None if tested is None else tested.faces.path.absolute()
    return CasePlan(run, groups, plan, other, options.seed, options.resamples, pairs)


def _assessed(options: EvaluateOptions, plan: CasePlan) -> Assessed:
    case = plan.made()
    protocol = protocol_of(case)
    num_tested = len(case.tested.rows_of("test", upright=True))
    if worth_workers(options, num_tested + len(case.predictor.level.sample_id)):
        return protocol.tell(case, on_workers(measured, (plan,), options, Settings().ray_address, logger.info))
    return protocol(case, Ticker("evaluate", num_tested, "faces"))


def _pairs(options: EvaluateOptions, tested: Tested | None) -> list[Pair] | None:
    """The pairs that the tested data set prescribes, for a method that is tested on pairs."""
    data = options if tested is None else tested.options
    prescribed = data.adapter.pairs
    return prescribed(data.source) if prescribed and data.source and options.is_tested_on_pairs else None


def _write_pages(folder: Path, told: Page, assessed: Assessed, set_aside: dict[str, int]) -> list[str]:
    drawn = assessed.draw()
    (folder / FIGURES).mkdir(exist_ok=True)
    for figure in drawn:
        write_bytes(folder / FIGURES / f"{figure.name}.png", figure.png)
    extra = assessed.files()
    for name, content in extra.items():
        write_bytes(folder / name, content)
    written = page(told.title, assessed, drawn, told.details, set_aside, told.published, told.notes)
    write_bytes(folder / REPORT, written.encode())
    return [REPORT, *extra, *(f"{FIGURES}/{figure.name}.png" for figure in drawn)]


def _show_table(made: Made) -> None:
    metrics = json.loads((made.path / METRICS).read_text())
    columns = ("value", "low", "high")
    rows = [{"metric": name, **{key: round(row[key], 4) for key in columns}} for name, row in metrics.items()]
    report = made.path / REPORT
    shown = report if report.exists() else made.path  # of the folds after the first there is none
    create_table_artifact(table=rows, key="evaluation", description=f"`{shown.absolute()}`")
