"""The labels that a cross-validation doubts: each face by a model that has not seen its subject."""

import csv
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_end_to_end import QUICK
from whole_commands import run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_every_face_is_judged_by_who_has_not_seen_it_and_forgotten_with_its_subject(tmp_path: Path) -> None:
    asked = ["evaluate", *QUICK, "--folds", "2", "--json"]
    result = run(tmp_path, *asked).values
    page = Path(result["label_audit"])
    with page.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["doubted_labels"] > 0
    assert page.read_text().count("<fieldset") == min(len(rows), 200)
    tested = [
        set(pq.read_table(file)["sample_id"].to_pylist()) for file in tmp_path.glob("evaluations/*/predictions.parquet")
    ]
    assert len(tested) == 2
    assert not tested[0] & tested[1]
    for row in rows:
        (own,) = [fold for fold in tested if row["sample_id"] in fold]
        assert row["neighbour_id"] not in own
    assert "audit" in run(tmp_path, *asked).values["reused"]
    assert re.search(rf"^label_audit +{re.escape(str(page))}$", run(tmp_path, *asked[:-1]).out, re.MULTILINE)
    faces = pq.read_table(next(tmp_path.glob("catalogs/*/part-00000.parquet")), columns=["sample_id", "subject_id"])
    subject_of = dict(zip(*(faces[name].to_pylist() for name in faces.column_names), strict=True))
    uses = run(tmp_path, "lineage", "--subject", subject_of[rows[0]["sample_id"]], "--json").values["uses"]
    assert {use["role"] for use in uses if "/audits/" in use["directory"]} == {"held"}
    run(tmp_path, "ingest", "--forget", f"synthetic:{subject_of[rows[0]['sample_id']]}", "--json")
    assert not [*tmp_path.glob("audits/*/manifest.json")]
