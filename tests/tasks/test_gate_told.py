"""A decision is told as a page, in MLflow and to Prefect, and these know of each other."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from promotion_fixtures import home as home
from promotion_fixtures import template as template

from fer_core.gate import Compared, Decision, decide
from fer_core.options.gate import GateOptions
from fer_core.report import ReportPage, render_report
from tasks import gate
from tasks.evaluation import REPORT
from tasks.registry import open_registry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy
]
ELSEWHERE = re.compile(r'<li><a href="([^"#]*)"')
FRAMED = re.compile(r"<code>(.*)</code>")
FLOW_RUN = "http://prefect:4200/flow-runs/flow-run/7"


@pytest.fixture
def artifacts(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What Prefect is told; the flow run that tells it has a page."""
    told: list[dict[str, str]] = []
    monkeypatch.setattr(gate, "create_markdown_artifact", lambda **artifact: told.append(artifact))
    monkeypatch.setattr(gate, "flow_run_page", lambda: FLOW_RUN)
    return told


def decision() -> Decision:
    right = np.arange(200) % 10 > 1
    rows = Compared(right, right & (np.arange(200) % 10 > 4), np.array(["anger", "fear"] * 100), np.arange(200))
    return decide(rows, GateOptions(), {})


def test_it_is_told_three_times(home: Path, artifacts: list[dict[str, str]]) -> None:
    registry, made = open_registry(home, "fer"), decision()
    page = gate.show_decision(registry, home, 2, 1, made)
    assert page == home / "decisions" / "fer-v2-against-1" / "decision.html"
    assert json.loads((page.parent / "decision.json").read_text()) == made.as_json()
    logged = registry.artifact(2, "decision.html").read_text()
    assert json.loads(registry.artifact(2, "decision.json").read_text()) == made.as_json()
    run: Any = registry._client.get_run(registry.run_of(2))
    assert made.metrics().items() <= run.data.metrics.items()
    assert run.data.tags["gate_flow_run"] == FLOW_RUN
    (artifact,) = artifacts
    assert artifact["key"] == "gate"
    assert artifact["markdown"].startswith("# fer version 2 against version 1: improved")
    assert f"Page: `{page}`" in artifact["markdown"]
    assert "<code>report.html</code>" in logged
    assert "<a href" not in logged, "MLflow shows it in a frame that follows no link"


def test_the_page_below_the_home_links_to_a_report_that_is_there(home: Path, artifacts: list[dict[str, str]]) -> None:
    registry = open_registry(home, "fer")
    assert "Report of the evaluation" not in gate.show_decision(registry, home, 2, None, decision()).read_text()
    report = home / "evaluations" / registry.tags_of(2)["evaluation"] / REPORT
    report.parent.mkdir(parents=True)
    report.write_text(render_report(ReportPage("page")))
    for champion in (1, None):  # told again, the addresses are not there twice
        page = gate.show_decision(registry, home, 2, champion, decision())
        address, flow_run = ELSEWHERE.findall(page.read_text())
        assert (page.parent / address).resolve() == report.resolve()
        assert flow_run == FLOW_RUN
        assert FRAMED.findall(registry.artifact(2, REPORT).read_text()) == [page.name, FLOW_RUN]
        assert not (page.parent / REPORT).exists(), "its faces would outlive their forgetting"
    assert len(artifacts) == 3


def test_a_server_s_pages_are_linked(home: Path, artifacts: list[dict[str, str]], monkeypatch: Any) -> None:
    registry = open_registry(home, "fer")
    monkeypatch.setattr(registry, "uri", "http://mlflow:5000/")
    links = {link.text: link.address for link in gate._addresses(registry, 2, 1)}
    assert links == {
        "Version 2 in MLflow": "http://mlflow:5000/#/models/fer/versions/2",
        "Version 1 in MLflow": "http://mlflow:5000/#/models/fer/versions/1",
        "Flow run in Prefect": FLOW_RUN,
    }
    monkeypatch.setattr(gate, "flow_run_page", lambda: None)
    assert [link.text for link in gate._addresses(registry, 2, None)] == ["Version 2 in MLflow"]
