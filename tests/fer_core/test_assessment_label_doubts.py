"""The files of the label audit, of a real model's training faces."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from model_fixtures import CLASSES, face_rows, faces_path, finished, make_run, one_thread  # noqa: F401

from fer_core.assessment import label_doubts
from fer_core.assessment.base import Case
from fer_core.assessment.label_doubts import AUDIT_PAGE, write_audit
from fer_core.estimates.expressions import write_expressions
from fer_core.folds import Part
from fer_core.ingest.corrections import read_corrections
from fer_core.label_audit.doubts import LABEL_AUDIT, LabelAudit
from fer_core.pictures import small_picture
from fer_core.predictor import Predictor
from fer_core.reading import read_faces
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard


@pytest.fixture(scope="module")
def case(make_run, faces_path):  # noqa: F811
    faces = read_faces(faces_path, Part(), 3)
    return Case(Predictor(*make_run("sgm")), faces, faces, seed=0, resamples=100)


def planted(num_suspects: int) -> LabelAudit:
    index = np.arange(num_suspects)
    return LabelAudit(index, index % 3, (index + 1) % 3, np.linspace(1, 0.6, num_suspects), index + 1)


def test_each_suspect_stands_with_its_own_face_and_its_neighbours(case):
    files = write_audit(case, planted(5))
    assert files.keys() == {LABEL_AUDIT, AUDIT_PAGE}
    rows = list(csv.DictReader(io.StringIO(files[LABEL_AUDIT].decode())))
    names = case.predictor.level.sample_id.tolist()
    assert [(row["sample_id"], row["neighbour_id"]) for row in rows] == [(names[at], names[at + 1]) for at in range(5)]
    assert [(row["trained"], row["proposed"]) for row in rows[:2]] == [CLASSES[:2], CLASSES[1:]]
    assert [row["label"] for row in rows] == [row["sample_id"].split("-")[1] for row in rows]
    assert {(row["corrected"], row["note"]) for row in rows} == {("", "")}
    page = files[AUDIT_PAGE].decode()
    table = case.trained
    for name in names[:5]:
        (row,) = np.flatnonzero((table.sample_id == name) & (table.rotation == 0))
        (face,) = table.images([row])
        assert f'<img src="{small_picture(face)}" width="112" height="112" alt="The face' in page
    assert page.count("<fieldset") == 5
    offered = set(re.findall(r"<option>(\w+)</option>", page))
    assert offered <= set(CLASSES), "a class that the data set lacks would be one of a few faces"


def relabelled_faces(folder, corrected, estimated):
    """The faces of model_fixtures where one picture was corrected before, and a model said what another expresses."""
    said = {corrected: {"expression_original": "neutral"}, estimated: {"expression": None}}
    rows = [
        {**row, "source_path": f"{row['sample_id']}.png", **said.get(row["sample_id"], {})}
        for row in face_rows().to_pylist()
    ]

    def build(path):
        write_picture_shard(path, "part-00000.parquet", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
        write_expressions(path, lambda crops: (np.array([CLASSES[1]]), np.ones(1)), "a model", 0.5)

    return finished(folder, "faces", build).path


def test_labels_that_are_not_the_data_sets_own_can_be_corrected_by_the_table(case, tmp_path):
    corrected, estimated = case.predictor.level.sample_id[:2].tolist()
    faces = read_faces(relabelled_faces(tmp_path, corrected, estimated), Part(), 3)
    files = write_audit(replace(case, trained=faces, tested=faces), planted(3))
    rows = list(csv.DictReader(io.StringIO(files[LABEL_AUDIT].decode())))
    assert [row["label"] for row in rows] == ["neutral", "none", rows[2]["sample_id"].split("-")[1]]
    assert [row["trained"] for row in rows] == list(CLASSES)
    page = files[AUDIT_PAGE].decode()
    assert f"keep {CLASSES[0]}" in page
    assert f"labelled {CLASSES[0]}; the data set says neutral" in page
    assert 'data-label="neutral"' in page
    file = tmp_path / "audit.csv"
    file.write_text(files[LABEL_AUDIT].decode().replace(",,\n", ",contempt,\n"))
    made = read_corrections(file)
    for name, own in ((corrected, "neutral"), (estimated, None)):
        row = made.applied({"sample_id": name, "source_path": f"{name}.png", "expression": own})
        assert row["expression"] == "contempt"


def test_the_page_holds_the_worst_alone(case, monkeypatch):
    monkeypatch.setattr(label_doubts, "MOST_SHOWN", 2)
    files = write_audit(case, planted(5))
    assert files[LABEL_AUDIT].decode().count("\n") == 6
    assert files[AUDIT_PAGE].decode().count("<fieldset") == 2
    assert "The worst 2 of 5 are here" in files[AUDIT_PAGE].decode()


def test_without_suspects_both_files_say_so(case):
    files = write_audit(case, planted(0))
    assert files[LABEL_AUDIT].decode().count("\n") == 1
    assert "No training face" in files[AUDIT_PAGE].decode()
