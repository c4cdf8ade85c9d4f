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
from fer_core.assessment.label_doubts import (
    AUDIT_PAGE,
    AuditedFold,
    audit_of_folds,
    write_audit,
    write_audit_of_folds,
)
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


def test_the_worst_of_all_folds_come_first(case):
    level, faces, rng = case.predictor.level, case.trained, np.random.default_rng(0)
    rows = faces.rows_of("test", upright=True)

    def fold(own, blur):
        """Test faces that look as training faces of the next class do."""
        places = [rng.choice(np.flatnonzero(level.class_N == (faces.label[row] + 1) % 3)) for row in own]
        near = level.embedding_ND[places] + rng.normal(scale=blur, size=(len(own), level.embedding_ND.shape[1]))
        truth = [CLASSES[label] for label in faces.label[own]]
        return AuditedFold(CLASSES, level, faces.sample_id[own], truth, near.astype(np.float32))

    folds = [fold(rows[:6], blur=2.0), fold(rows[6:], blur=0.0)]
    table = audit_of_folds(folds, faces.directory)
    found = table.to_pylist()
    assert {row["sample_id"] for row in found} >= set(faces.sample_id[rows[6:]])
    assert {row["neighbour_id"] for row in found} <= set(level.sample_id)
    shares = [row["share"] for row in found]
    assert shares == sorted(shares, reverse=True)
    assert min(shares) < max(shares)
    first = [set(fold.sample_id) for fold in folds]
    assert not any({row["sample_id"] for row in found[:2]} <= own for own in first), "no fold comes before all others"
    assert all(row["sample_id"].split("-")[1] == row["label"] == row["trained"] != row["proposed"] for row in found)
    files = write_audit_of_folds(table, folds, faces)
    assert files[LABEL_AUDIT].decode().count("\n") == len(found) + 1
    page = files[AUDIT_PAGE].decode()
    assert page.count("<fieldset") == len(found)
    assert "not trained on them" in page


def test_folds_without_doubts_say_so(case):
    level, rows = case.predictor.level, np.arange(5)
    truth = [CLASSES[label] for label in level.class_N[rows]]
    by_heart = np.eye(3, dtype=np.float32)[level.class_N]
    fold = AuditedFold(CLASSES, replace(level, embedding_ND=by_heart), level.sample_id[rows], truth, by_heart[rows])
    table = audit_of_folds([fold, fold], case.trained.directory)
    assert len(table) == 0
    assert "No face has neighbours" in write_audit_of_folds(table, [fold], case.trained)[AUDIT_PAGE].decode()


def test_a_fold_may_lack_a_class_and_neighbours_may_have_estimated_labels(case, tmp_path):
    level = case.predictor.level
    corrected, estimated = level.sample_id[:2].tolist()
    directory = relabelled_faces(tmp_path, corrected, estimated)
    near_estimated = np.zeros_like(level.embedding_ND)
    near_estimated[1] = 1.0
    own = replace(level, embedding_ND=near_estimated[1:2], class_N=np.array([1]), sample_id=level.sample_id[1:2])
    truth, tested = [CLASSES[0]], level.sample_id[5:6]
    fold = AuditedFold(CLASSES[:2], own, tested, truth, near_estimated[1:2])
    table = audit_of_folds([fold], directory)
    assert table["neighbour_id"].to_pylist() == [estimated]
    files = write_audit_of_folds(table, [fold], read_faces(directory, Part(0, 3), 0, unlabelled=True))
    page = files[AUDIT_PAGE].decode()
    assert page.count("<fieldset") == 1
    assert "<option>" not in page, "only what some model knows is offered"
