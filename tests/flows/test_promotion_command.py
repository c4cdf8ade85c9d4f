"""Promotion and rollback as commands."""

import json
from pathlib import Path

import pytest
from whole_commands import run

from infra.mlflow_engine import CHALLENGER, CHAMPION, PREVIOUS
from infra.promotion_log import log_file
from tasks.registry import open_registry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy
]

FACES = ["--synthetic.identities", "6", "--synthetic.takes", "1"]
RETRAIN = ["retrain", *FACES, "--face-size", "32", "--batch-size", "16", "--epochs", "1", "--resamples", "100"]


def test_retrain_twice_look_and_roll_back(tmp_path: Path) -> None:
    first = run(tmp_path, *RETRAIN, "--json").values
    assert (first["model_version"], first["champion"], first["verdict"]) == (1, 1, "first"), first["reason"]
    second = run(tmp_path, *RETRAIN, "--lr", "0.002", "--json").values
    assert (second["model_version"], second["champion"]) == (2, 1), second["reason"]
    assert second["aliases"]["after"] == {"champion": 1, "challenger": 2, "previous": None}
    log = log_file(tmp_path, "fer")
    before = log.read_bytes()
    entries = [json.loads(line) for line in before.splitlines()]
    assert [entry["state"] for entry in entries] == ["intended", "done"] * 2
    assert all(entry["flow_run"] for entry in entries[::2])

    looked = run(tmp_path, "promote", "--version", "2", "--again", "--dry-run", "--json").values
    assert (looked["dry_run"], looked["verdict"], looked["champion"]) == (True, second["verdict"], 1)
    assert "no champion before version 1 to roll back to" in run(tmp_path, "rollback", code=2).err.splitlines()[-1]
    assert log.read_bytes() == before

    registry = open_registry(tmp_path, "fer")  # a person does so on MLflow's page
    for alias, version in {CHAMPION: 2, PREVIOUS: 1, CHALLENGER: None}.items():
        registry.set_alias(alias, version)
    looked = run(tmp_path, "rollback", "--dry-run", "--json").values
    assert (looked["dry_run"], looked["champion"], looked["previous"], looked["rolled_back"]) == (True, 1, None, 2)
    assert log.read_bytes() == before
    made = run(tmp_path, "rollback", "--reason", "a customer complains", "--json").values
    assert made["aliases"]["before"] == {"champion": 2, "challenger": None, "previous": 1}
    assert (made["dry_run"], made["champion"], made["previous"], made["rolled_back"]) == (False, 1, None, 2)
    assert "a customer complains" in (tmp_path / "cards" / "fer-version-2" / "model_card.md").read_text()
    assert "no champion before version 1 to roll back to" in run(tmp_path, "rollback", code=2).err.splitlines()[-1]

    again = run(tmp_path, *RETRAIN, "--lr", "0.002", "--json").values
    assert (again["model_version"], again["champion"]) == (2, 1)
    assert "was rolled back" in again["reason"]
    assert "a customer complains" in again["reason"]
