"""Evaluation -> registered version -> gate -> alias."""

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from fer_core import gate, runs
from fer_core.config import RetrainOptions
from fer_core.directories import folder_at
from fer_core.errors import InputError
from fer_core.files import digest_of
from fer_core.naming import params_of, title_of
from fer_core.predictor import Predictor
from fer_core.rivals import decisions_of
from infra.mlflow_engine import CHALLENGER, CHAMPION, PREVIOUS, Candidate, Registry
from infra.mlflow_models import PROJECT
from infra.progress import logger
from infra.settings import Settings
from tasks.evaluation import FIGURES, METRICS, PREDICTIONS, REPORT
from tasks.made import Level, Made


@dataclass(frozen=True)
class Promotion:
    """What the gate did."""

    model_version: int
    champion: int | None
    verdict: str
    reason: str
    seconds: float


@dataclass(frozen=True)
class Registered:
    """A version in the registry, and whether it was there already."""

    version: int
    reused: bool
    seconds: float


def open_registry(home: Path, model_name: str) -> Registry:
    """The registry that the environment names, else the home's own."""
    return Registry(home, Settings().mlflow_tracking_uri, model_name)


@task(cache_policy=NO_CACHE)
def register_model(
    options: RetrainOptions, faces: Made, level: Level, evaluation: Made, folds: dict[str, float]
) -> Registered:
    """Log the run to MLflow and register its model; the version of an evaluation that was registered before."""
    started = time.perf_counter()
    predictions = pq.read_table(evaluation.path / PREDICTIONS, columns=["sample_id", "truth"])
    config = options.told()
    tags = {
        "title": title_of(options, options.hold_out),
        "data_digest": faces.content,
        "faces": str(faces.path.absolute()),
        "config": json.dumps(config, sort_keys=True),
        "git_commit": git_commit(),
        "test_rows": gate.test_rows_digest(
            *(np.array(predictions[name].to_pylist()) for name in ("sample_id", "truth"))
        ),
        "run": level.run.path.name,
        "level": level.groups.path.name,
        "evaluation": evaluation.path.name,
    }
    candidate = Candidate(
        digest=digest_of([evaluation.path.name, folds]),
        params=params_of(options),
        metrics={
            **evaluation.summary,
            **{f"cv_{name}": value for name, value in folds.items()},
            **runs.speed_of(level.run.path),
        },
        tags=tags,
        history=runs.read_description(level.run.path).history,
        data_digest=faces.content,
        data_source=str(faces.path.absolute()),
        artifacts=[evaluation.path / name for name in (REPORT, METRICS, PREDICTIONS, FIGURES)],
        run=level.run.path,
        level=level.groups.path,
    )
    version, reused = open_registry(options.home, options.model_name).register(candidate)
    logger.info("register  %s%s version %d", "reused " if reused else "", options.model_name, version)
    return Registered(version, reused, time.perf_counter() - started)


@task(cache_policy=NO_CACHE)
def promote_if_better(home: Path, model_name: str, version: int | None, dry_run: bool = False) -> Promotion:
    """Compare a version with the champion as it is now, under a lock, and move the aliases.

    A version that has been decided on against the same champion keeps its verdict.

    Args:
        version: None takes the challenger.

    Raises:
        InputError: there is no such version, or no challenger.
    """
    started = time.perf_counter()
    registry = open_registry(home, model_name)
    with registry.locked():
        version = version or registry.version_of(CHALLENGER)
        if version is None:
            raise InputError(f"model {model_name} has no challenger; run retrain, or name one with --version")
        champion = registry.version_of(CHAMPION)
        tags = registry.tags_of(version)
        if champion == version or tags.get("compared_with") == str(champion):
            verdict, reason = tags["verdict"], tags["reason"]
        else:
            decision = _decide(registry, version, champion, tags)
            verdict, reason = decision.verdict, decision.reason
            if not dry_run:
                _apply(registry, version, champion, decision)
        after = registry.version_of(CHAMPION)
    logger.info("gate      %s: %s", verdict, reason)
    create_markdown_artifact(
        key="gate", markdown=f"# {model_name} version {version}: {verdict}\n\n{reason}\n\nChampion: {after}"
    )
    return Promotion(version, after, verdict, reason, time.perf_counter() - started)


def _decide(registry: Registry, version: int, champion: int | None, tags: dict[str, str]) -> gate.Decision:
    own = _predictions(registry, version)
    names = ("sample_id", "subject", "truth", "decision")
    sample_id, subject, truth, decision = (np.array(own[name].to_pylist()) for name in names)
    if champion is None:
        return gate.decide(decision == truth, None, truth, subject)
    rival = registry.predictor(champion)
    _require_one_kind(registry, champion, rival, version)
    if registry.tags_of(champion)["test_rows"] == tags["test_rows"]:
        known = _predictions(registry, champion)
        decision_of = dict(zip(known["sample_id"].to_pylist(), known["decision"].to_pylist(), strict=True))
        rival_decision = np.array([decision_of[name] for name in sample_id.tolist()])
    else:
        logger.info("gate      the champion was tested on other rows: it is run on this version's")
        require_never_seen(registry, champion, set(rival.level.sample_id.tolist()), version, sample_id.tolist())
        rival_decision = decisions_of(rival, folder_at(tags["faces"]), own)
    return gate.decide(decision == truth, rival_decision == truth, truth, subject)


def _require_one_kind(registry: Registry, champion: int, rival: Predictor, version: int) -> None:
    """Raise InputError where the two models are tested in different ways, so that nothing can be compared."""
    theirs, own = (one.description.build_method().protocol for one in (rival, registry.predictor(version)))
    if theirs != own:
        said = f"version {champion} is tested on {theirs}, version {version} on {own}"
        raise InputError(f"{registry.model_name}: {said}; register it under another --model-name")


def require_never_seen(registry: Registry, champion: int, trained: set[str], version: int, tested: list[str]) -> None:
    """Raise InputError where the champion was trained on pictures that the version is tested on; pairs hold two."""
    if any(name in trained for case in tested for name in case.split("|")):
        raise InputError(
            f"{registry.model_name}: version {champion} was trained on pictures that version {version} is tested on "
            "(another split or --test-people), so they cannot be compared; train both with the same"
        )


def _predictions(registry: Registry, version: int) -> pa.Table:
    return pq.read_table(registry.artifact(version, PREDICTIONS))


def _apply(registry: Registry, version: int, champion: int | None, decision: gate.Decision) -> None:
    """Tags first, aliases last: what is cut off in between is decided again."""
    registry.set_tag(version, "reason", decision.reason)
    registry.set_tag(version, "verdict", decision.verdict)
    if decision.promote:
        if champion is not None:
            registry.set_alias(PREVIOUS, champion)
        registry.set_alias(CHAMPION, version)
        if registry.version_of(CHALLENGER) == version:
            registry.drop_alias(CHALLENGER)
    else:
        registry.set_alias(CHALLENGER, version)
        registry.set_tag(version, "compared_with", str(champion))


def git_commit() -> str:
    """The commit of this project's checkout, with `-dirty` where files differ; `unknown` without one or without git."""
    if shutil.which("git") is None:
        return "unknown"
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"
