"""The labels that a cross-validation doubts: each face by a model that has not seen its subject."""

import csv
import re
from pathlib import Path

import pytest
from test_end_to_end import QUICK
from whole_commands import run

from fer_core.directories import read_columns, read_tables

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def write_two_classes(catalog: Path, file: Path) -> dict[str, str]:
    """Corrections that leave two expressions, and make some labels wrong; sample id -> subject of what is left."""
    rows = read_columns(catalog, "part-", ["sample_id", "expression", "subject_id"]).to_pylist()
    anger, fear = ([row for row in rows if row["expression"] == name] for name in ("anger", "fear"))
    wrong = [(row["sample_id"], "fear") for row in anger[::4]]
    removed = [(row["sample_id"], "remove") for row in rows if row["expression"] not in ("anger", "fear")]
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([("sample_id", "corrected"), *wrong, *removed])
    return {row["sample_id"]: row["subject_id"] for row in anger + fear}


def test_every_face_is_judged_by_who_has_not_seen_it_and_forgotten_with_its_subject(tmp_path: Path) -> None:
    catalog = Path(run(tmp_path, "ingest", *QUICK[:4], "--json").values["directory"])
    subject_of = write_two_classes(catalog, tmp_path / "two.csv")
    asked = ["evaluate", *QUICK, "--corrections", str(tmp_path / "two.csv"), "--folds", "2", "--json"]
    result = run(tmp_path, *asked).values
    page = Path(result["label_audit"])
    with page.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["doubted_labels"] > 0
    assert page.read_text().count("<fieldset") == min(len(rows), 200)
    evaluations = tmp_path.glob("evaluations/*/manifest.json")
    tested = [set(read_tables(file.parent, "predictions.parquet")["sample_id"].to_pylist()) for file in evaluations]
    assert len(tested) == 2
    assert not tested[0] & tested[1]
    assert tested[0] | tested[1] == subject_of.keys()
    assert result["audited_faces"] == len(subject_of)
    for row in rows:
        (own,) = [fold for fold in tested if row["sample_id"] in fold]
        assert row["neighbour_id"] not in own
    assert "audit" in run(tmp_path, *asked).values["reused"]
    assert re.search(rf"^label_audit +{re.escape(str(page))}$", run(tmp_path, *asked[:-1]).out, re.MULTILINE)
    uses = run(tmp_path, "lineage", "--subject", subject_of[rows[0]["sample_id"]], "--json").values["uses"]
    assert {use["role"] for use in uses if "/audits/" in use["directory"]} == {"held"}
    run(tmp_path, "ingest", "--forget", f"synthetic:{subject_of[rows[0]['sample_id']]}", "--json")
    assert not [*tmp_path.glob("audits/*/manifest.json")]
