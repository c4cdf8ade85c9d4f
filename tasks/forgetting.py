"""People who withdraw their consent -> a home without them, and the models that had learnt from them."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.consent.forgetting import Forgetting, forget, plan_forgetting
from fer_core.options.stages import IngestOptions, RetrainOptions
from fer_core.options.text import as_arguments, dotted, pair_options
from infra.mlflow_versions import ModelVersion
from infra.progress import logger
from tasks.registry import all_versions


@dataclass(frozen=True)
class Forgotten:
    """What was done, or of a dry run what would be.

    Attributes:
        plan: whom and what it was about.
        renamed: directory that went on without these people -> its new name; of a dry run empty.
        models: run, version, aliases and retrain (a command line) of each model that had learnt from them; all but the
            run are empty for one that is not registered.
        unsure: likewise, those of which it cannot be told whether they had.
        holders: registered versions whose own files hold rows about them, or may, in MLflow.
    """

    plan: Forgetting
    renamed: dict[str, str]
    models: list[dict[str, Any]]
    unsure: list[dict[str, Any]]
    holders: list[str]


@task(cache_policy=NO_CACHE)
def forget_people(options: IngestOptions) -> Forgotten:
    """Take people out of the home for good, and say which models are to be trained again.

    What had begun while it was planned and done may have read their pictures, so it looks again until nothing is left.

    Raises:
        InputError: as plan_forgetting and forget; the registry does not answer, and nothing has been done.
    """
    names = [name.get_secret_value() for name in options.forget]
    plan, versions, renamed = plan_forgetting(options.home, names), all_versions(options.home), dict[str, str]()
    if not options.dry_run:
        renamed = forget(options.home, plan)
        while not (later := plan_forgetting(options.home, names)).is_done:
            renamed |= forget(options.home, later)
            plan, versions = plan.followed_by(later), all_versions(options.home)
    done = "would be " if options.dry_run else ""
    gone = len(plan.removed) - len(plan.rewritten)
    logger.info("%-9s %d directories %sremoved, %d rewritten", "forget", gone, done, len(plan.rewritten))
    faces = {content for one in plan.listed for content in one.faces}
    learnt = {run for one in plan.listed for run in one.runs}
    models = _models(options.home, learnt, versions)
    unsure = _models(options.home, {run for one in plan.listed for run in one.unsure} - learnt, versions)
    titles = {model["version"] for model in (*models, *unsure)}
    holders = [one.title for one in versions if one.title in titles or one.tags.get("data_digest") in faces]
    return Forgotten(plan, renamed, models, unsure, holders)


def _models(home: Path, runs: Collection[str], versions: Sequence[ModelVersion]) -> list[dict[str, Any]]:
    """Runs, each with its versions; not those of which nothing is left."""
    models: list[dict[str, Any]] = []
    for run in sorted(runs):
        own = [version for version in versions if version.tags.get("run") == run]
        models += [
            {
                "run": run,
                "version": version.title,
                "aliases": list(version.aliases),
                "retrain": retrain_command(home, version),
            }
            for version in own
        ]
        if not own and (home / "runs" / run).exists():
            models.append({"run": run, "version": None, "aliases": [], "retrain": None})
    return models


def retrain_command(home: Path, version: ModelVersion) -> str | None:
    """The command line that trains a version again, on what its source holds by then; None where it is not known."""
    if "config" not in version.tags:
        return None
    pairs = pair_options(RetrainOptions)
    by_default = dotted(RetrainOptions.model_construct().told(), pairs)
    config = dotted(json.loads(version.tags["config"]), pairs)
    changed = {name: value for name, value in config.items() if by_default.get(name) != value}
    return " ".join(["python -m flows retrain", *as_arguments({**changed, "home": str(home)}, pairs)])
