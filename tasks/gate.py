"""The gate: a version against the champion on the same frozen test rows, and what it says told everywhere."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect.artifacts import create_markdown_artifact

from fer_core import gate
from fer_core.directories import folder_at
from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import Interval
from fer_core.files import write_bytes, write_json
from fer_core.options.gate import GateOptions
from fer_core.predictor import Predictor
from fer_core.report import Link, linked
from fer_core.rivals import decisions_of
from fer_core.runs import NETWORK
from fer_core.speed import seconds_of_both
from infra.mlflow_engine import EXPERIMENT, Registry
from infra.prefect_engine import flow_run_page
from infra.progress import logger
from tasks.evaluation import METRICS, PREDICTIONS, REPORT

DECISIONS, PAGE, NUMBERS = "decisions", "decision.html", "decision.json"
FLOW_RUN = "Flow run in Prefect"
NO_CHAMPION = "none"


def judge(registry: Registry, version: int, champion: int | None, options: GateOptions) -> gate.Decision:
    """Compare a version with a champion, and check what the options ask for; nothing is written.

    Args:
        champion: None: there is none.

    Raises:
        InputError: there is no such version, the two are tested in different ways, the champion was trained on what
            the version is tested on, or a floor is of a metric that the version was not measured by.
    """
    own = _predictions(registry, version)
    truth, subject, decision = (np.array(own[name].to_pylist()) for name in ("truth", "subject", "decision"))
    measured = json.loads(registry.artifact(version, METRICS).read_text())
    metrics = {name: interval["value"] for name, interval in measured.items()}
    if champion is None:
        return gate.decide(gate.Compared(decision == truth, None, truth, subject), options, metrics)
    candidate, rival = registry.predictor(version), registry.predictor(champion)
    _require_one_kind(registry, version, candidate, champion, rival)
    said = _said_by_the_champion(registry, version, own, champion, rival)
    rows = gate.Compared(decision == truth, said == truth, truth, subject)
    costs = (_seconds(candidate, rival), _bytes(registry, version, champion))
    return gate.decide(rows, options, metrics, costs)


def _said_by_the_champion(
    registry: Registry, version: int, own: pa.Table, champion: int, rival: Predictor
) -> np.ndarray:
    """The champion's decisions (N,) on a version's test rows: those of its own evaluation where these were the same."""
    tags, names = registry.tags_of(version), own["sample_id"].to_pylist()
    if registry.tags_of(champion)["test_rows"] == tags["test_rows"]:
        known = _predictions(registry, champion)
        decision_of = dict(zip(known["sample_id"].to_pylist(), known["decision"].to_pylist(), strict=True))
        return np.array([decision_of[name] for name in names])
    logger.info("gate      the champion was tested on other rows: it is run on this version's")
    require_never_seen(registry, champion, set(rival.level.sample_id.tolist()), version, names)
    return decisions_of(rival, folder_at(tags["faces"]), own)


def _require_one_kind(registry: Registry, version: int, candidate: Predictor, champion: int, rival: Predictor) -> None:
    """Raise InputError where the two models are tested in different ways, so that nothing can be compared."""
    theirs, own = (one.description.build_method().protocol for one in (rival, candidate))
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


def _seconds(candidate: Predictor, rival: Predictor) -> gate.Cost:
    return gate.Cost("seconds an image", *seconds_of_both(candidate, rival))


def _bytes(registry: Registry, version: int, champion: int) -> gate.Cost:
    own, theirs = (
        registry.model_file(one, f"{registry.tags_of(one)['run']}/{NETWORK}").stat().st_size
        for one in (version, champion)
    )
    return gate.Cost("bytes", own, theirs, Interval(own / theirs, own / theirs, own / theirs))


def page_of(home: Path, model_name: str, version: int, against: str) -> Path:
    """Where the page of a decision is.

    Args:
        against: the champion's version, or NO_CHAMPION.
    """
    return home / DECISIONS / f"{model_name}-v{version}-against-{against}" / PAGE


def show_decision(registry: Registry, home: Path, version: int, champion: int | None, decision: gate.Decision) -> Path:
    """Tell a decision: a page below the home, metrics and files of the version's MLflow run, a Prefect artifact.

    They link to each other where they have addresses, and to the version's report where the home has it. Its copy in
    MLflow gets these addresses too; below the home there is no second copy of the faces in it, for forgetting's sake.
    To tell it again does no harm.

    Returns:
        The page.
    """
    title = gate.title_of(registry.model_name, version, champion)
    elsewhere = _addresses(registry, version, champion)
    page = page_of(home, registry.model_name, version, str(champion or NO_CHAMPION))
    report = Path("..", "..", "evaluations", registry.tags_of(version)["evaluation"], REPORT)
    page.parent.mkdir(parents=True, exist_ok=True)
    has_report = (page.parent / report).exists()
    links = [*_report(report), *elsewhere] if has_report else elsewhere
    _write(page.parent, gate.decision_page(title, decision, links), decision)
    with tempfile.TemporaryDirectory() as folder:  # in MLflow the report lies beside it
        shown = gate.decision_page(title, decision, [*_report(Path(REPORT)), *elsewhere], framed=True)
        files = _write(Path(folder), shown, decision)
        if has_report:
            told_of = linked((page.parent / report).read_text(), [Link("Decision of the gate", PAGE), *elsewhere])
            write_bytes(Path(folder, REPORT), told_of.encode())
            files.append(Path(folder, REPORT))
        _log(registry, version, decision, files)
    told = gate.markdown_of(title, decision, elsewhere)
    create_markdown_artifact(key="gate", markdown=f"{told}\nPage: `{page}`\n")
    return page


def _addresses(registry: Registry, version: int, champion: int | None) -> list[Link]:
    """Of the two versions in MLflow and of the flow run in Prefect, as far as servers show them."""
    links = []
    if registry.uri.startswith("http"):
        models = f"{registry.uri.rstrip('/')}/#/models/{registry.model_name}/versions"
        numbers = [one for one in (version, champion) if one is not None]
        links = [Link(f"Version {one} in MLflow", f"{models}/{one}") for one in numbers]
    flow_run = flow_run_page()
    return links if flow_run is None else [*links, Link(FLOW_RUN, flow_run)]


def _report(path: Path) -> list[Link]:
    return [Link("Report of the evaluation", path.as_posix())]


def _write(folder: Path, page: str, decision: gate.Decision) -> list[Path]:
    write_bytes(folder / PAGE, page.encode())
    write_json(folder / NUMBERS, decision.as_json())
    return [folder / PAGE, folder / NUMBERS]


def _log(registry: Registry, version: int, decision: gate.Decision, files: list[Path]) -> None:
    runs, run = registry.runs(EXPERIMENT), registry.run_of(version)
    runs.log(run, {}, decision.metrics())
    runs.log_files(run, files)
    flow_run = flow_run_page()
    if flow_run is not None:
        runs.set_tags(run, {"gate_flow_run": flow_run})
