"""Registered version -> its model card and the record of what it is made of, in the home and with its MLflow run."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core import model_card
from fer_core.directories import read_columns
from fer_core.evaluation.bootstrap import Interval
from fer_core.files import write_bytes
from fer_core.levels import LABELS
from fer_core.lineage.ancestry import Ancestry, condition_of
from fer_core.report.measures import grouped
from fer_core.runs import DESCRIPTION, RunDescription
from infra.mlflow_versions import ModelVersion, Versions
from infra.progress import logger
from tasks.evaluation import METRICS, PREDICTIONS
from tasks.lineage import RECORD, read_ancestry
from tasks.registry import all_versions, open_registry, store_uri

CARD, CARD_PAGE = "model_card.md", "model_card.html"


@task(cache_policy=NO_CACHE)
def write_card(home: Path, model_name: str, version: int) -> Path:
    """Make the card of a version, with what was decided on it so far; the page in the home.

    It goes to cards/ of the home and to the artifacts of the version's MLflow run, and a few sentences of it become the
    version's description. What the version is made of is recorded the first time, when all of it is there.
    """
    (chosen,) = [one for one in all_versions(home) if (one.name, one.version) == (model_name, version)]
    ancestry, _ = read_ancestry(home, chosen)
    described = describe(home, chosen, ancestry)
    card = model_card.card_of(described)
    folder = home / "cards" / f"{model_name}-version-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    papers = {RECORD: ancestry.to_json(), CARD: model_card.markdown(card), CARD_PAGE: model_card.html(card)}
    for name, text in papers.items():
        write_bytes(folder / name, text.encode())
    store = Versions(store_uri(home))
    store.log_papers(chosen, [folder / name for name in papers], _in_short(described, store.page_of(chosen, CARD)))
    logger.info("card      %s", folder / CARD_PAGE)
    return folder / CARD_PAGE


def describe(home: Path, version: ModelVersion, ancestry: Ancestry) -> model_card.Described:
    """What the card says, out of the files that were logged with the version."""
    registry, number, tags = open_registry(home, version.name), version.version, version.tags
    run = json.loads(registry.model_file(number, f"{tags['run']}/{DESCRIPTION}").read_text())
    labels = pq.read_table(registry.model_file(number, f"{tags['level']}/{LABELS}"), columns=["class"])
    metrics = json.loads(registry.artifact(number, METRICS).read_text())
    return model_card.Described(
        name=version.name,
        version=number,
        tags=tags,
        created=datetime.fromtimestamp(version.created, UTC).date().isoformat(),
        description=RunDescription(**run),
        trained=labels["class"].to_numpy(),
        metrics={name: Interval(**measured) for name, measured in metrics.items()},
        predictions=pq.read_table(registry.artifact(number, PREDICTIONS)),
        yaw_of=_yaw_of(home, ancestry),
        ancestry=ancestry,
    )


def _yaw_of(home: Path, ancestry: Ancestry) -> dict[str, int]:
    """By the crops that stand in the home; an empty dict where these are gone."""
    faces = ancestry.of_kind("faces")
    if faces is None or condition_of(home, faces) != "whole":
        return {}
    rows = read_columns(home / faces.name, "part-", ["sample_id", "pose_bin"])
    known = zip(rows["sample_id"].to_pylist(), rows["pose_bin"].to_pylist(), strict=True)
    return {name: yaw for name, yaw in known if yaw is not None}


def _in_short(made: model_card.Described, card: str) -> str:
    first = next(row for rows in grouped(made.metrics).values() for row in rows)
    return (
        f"{made.tags['title']}: {first.label.lower()} {first.value} (95 % interval {first.interval}). For research on "
        f"pictures of people who agreed; not for inferring feelings, at work or in education above all. "
        f"[Model card]({card})"
    )
