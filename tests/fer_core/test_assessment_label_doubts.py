"""The files of the label audit, of a real model's training faces."""

import csv
import io

import numpy as np
import pytest
from model_fixtures import CLASSES, faces_path, make_run, one_thread  # noqa: F401

from fer_core.assessment import label_doubts
from fer_core.assessment.base import Case
from fer_core.assessment.label_doubts import AUDIT_PAGE, LABEL_AUDIT, write_audit
from fer_core.folds import Part
from fer_core.label_audit import LabelAudit
from fer_core.label_audit_page import small_picture
from fer_core.predictor import Predictor
from fer_core.reading import read_faces


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
    assert [(row["label"], row["proposed"]) for row in rows[:2]] == [CLASSES[:2], CLASSES[1:]]
    assert {(row["corrected"], row["note"]) for row in rows} == {("", "")}
    page = files[AUDIT_PAGE].decode()
    table = case.trained
    for name in names[:5]:
        (row,) = np.flatnonzero((table.sample_id == name) & (table.rotation == 0))
        (face,) = table.images([row])
        assert f'<img src="{small_picture(face)}" width="112" height="112" alt="The face' in page
    assert page.count("<fieldset") == 5


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
