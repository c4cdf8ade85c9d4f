"""Evaluation -> registered version."""

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core import gate, runs
from fer_core.directories import MANIFEST
from fer_core.files import digest_of
from fer_core.lineage.ancestry import registration_tags
from fer_core.naming import params_of, title_of
from fer_core.options.stages import RetrainOptions
from infra.mlflow_engine import Candidate, Registry, own_uri, store_file
from infra.mlflow_models import PROJECT
from infra.mlflow_versions import ModelVersion, Versions
from infra.progress import logger
from infra.settings import Settings
from tasks.evaluation import FIGURES, METRICS, PREDICTIONS, REPORT
from tasks.made import Level, Made


@dataclass(frozen=True)
class Registered:
    """A version in the registry, and whether it was there already."""

    version: int
    reused: bool
    seconds: float


def open_registry(home: Path, model_name: str) -> Registry:
    """The registry that the environment names, else the home's own."""
    return Registry(home, Settings().mlflow_tracking_uri, model_name)


def store_uri(home: Path) -> str:
    """Of the registry that open_registry opens; nothing is made."""
    return Settings().mlflow_tracking_uri or own_uri(home)


def all_versions(home: Path) -> list[ModelVersion]:
    """Those of the registry that open_registry opens; looking makes no registry.

    Raises:
        InputError: the registry does not answer.
    """
    if Settings().mlflow_tracking_uri is None and not store_file(home).exists():
        return []
    return Versions(store_uri(home)).all()


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
        "evaluation_digest": evaluation.content,
        **registration_tags(level.run.path),
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
        artifacts=[evaluation.path / name for name in (REPORT, METRICS, PREDICTIONS, FIGURES, MANIFEST)],
        run=level.run.path,
        level=level.groups.path,
    )
    version, reused = open_registry(options.home, options.model_name).register(candidate)
    logger.info("register  %s%s version %d", "reused " if reused else "", options.model_name, version)
    return Registered(version, reused, time.perf_counter() - started)


def git_commit() -> str:
    """The commit of this project's checkout, with `-dirty` where files differ; `unknown` without one or without git."""
    if shutil.which("git") is None:
        return "unknown"
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"
