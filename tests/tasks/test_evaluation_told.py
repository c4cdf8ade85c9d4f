"""What Prefect is told of an evaluation."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks import evaluation
from tasks.evaluation import METRICS, REPORT
from tasks.made import Made


@pytest.mark.parametrize("has_report", [True, False])
def test_the_table_names_the_report_or_else_to_the_folder(
    tmp_path: Path, has_report: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a home" / "ck_plus-cnn"
    folder.mkdir(parents=True)
    (folder / METRICS).write_text(json.dumps({"accuracy": {"low": 0.1, "value": 0.23456, "high": 0.5}}))
    if has_report:
        (folder / REPORT).write_text("page")
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(evaluation, "create_table_artifact", lambda **artifact: told.append(artifact))
    evaluation._show_table(Made("evaluate", folder, "content", reused=False, seconds=1.0, summary={}))
    (artifact,) = told
    (row,) = artifact["table"]
    assert list(row.items()) == [("metric", "accuracy"), ("value", 0.2346), ("low", 0.1), ("high", 0.5)]
    shown = folder / REPORT if has_report else folder
    assert artifact["description"] == f"`{shown}`", "a browser follows no link from a server's page to a file"
