import re
from dataclasses import replace

import numpy as np
import pytest
from model_fixtures import CLASSES, faces_path, make_run, one_thread, silent  # noqa: F401

from fer_core.assessment import expression_figures, expressions
from fer_core.assessment.base import Case
from fer_core.assessment.expressions import measure_expressions, predictions_table, view_table
from fer_core.assessment.page import page
from fer_core.assessment.protocols import PROTOCOLS
from fer_core.figures import thumbnails
from fer_core.folds import Part
from fer_core.label_audit.doubts import audit_labels
from fer_core.predictor import Predictor
from fer_core.reading import read_faces
from fer_core.report import Published, PublishedRow
from fer_core.subdivision import top_k
from fer_core.targets import UNKNOWN

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def faces(faces_path):  # noqa: F811
    return read_faces(faces_path, Part(), 3)


def case_of(predictor, faces):
    return Case(predictor, faces, faces, seed=0, resamples=100)


@pytest.fixture(scope="module")
def evaluated(make_run, faces):  # noqa: F811
    made = {}
    for method in ("mul_dml", "sgm"):
        case = case_of(Predictor(*make_run(method)), faces)
        made[method] = case.predictor, measure_expressions(case, silent)
    return made


@pytest.fixture(scope="module")
def drawn(evaluated, faces):
    predictor, assessment = evaluated["mul_dml"]
    return expression_figures.draw(assessment, case_of(predictor, faces))


@pytest.mark.parametrize("method", ["mul_dml", "sgm"])
def test_an_assessment_speaks_of_the_upright_test_rows(evaluated, faces, method):
    predictor, assessment = evaluated[method]
    np.testing.assert_array_equal(assessment.rows, faces.rows_of("test", upright=True))
    np.testing.assert_array_equal(assessment.test.label, faces.label[assessment.rows])
    assert set(assessment.test.subject) == {"S14", "S22"}
    assert not set(assessment.test.sample_id) & set(predictor.level.sample_id)
    np.testing.assert_array_equal(assessment.evaluation.predicted, assessment.predictions.expression)
    direct = predictor.predict_faces(faces.images(assessment.rows))
    np.testing.assert_array_equal(assessment.predictions.probability, direct.probability)
    accuracy = assessment.evaluation.metrics["accuracy"].value
    assert accuracy == pytest.approx((direct.expression == assessment.test.label).mean())
    assert (assessment.test.probability is None) == (method == "sgm")


@pytest.mark.parametrize("method", ["mul_dml", "sgm"])
def test_the_predictions_table_has_a_row_a_test_picture(evaluated, faces, method):
    predictor, assessment = evaluated[method]
    table = predictions_table(assessment, case_of(predictor, faces)).to_pydict()
    assert table["sample_id"] == faces.sample_id[assessment.rows].tolist()
    assert table["subject"] == faces.group[assessment.rows].tolist()
    assert table["truth"] == [CLASSES[label] for label in assessment.test.label]
    assert table["decision"] == [CLASSES[label] for label in assessment.predictions.expression]
    np.testing.assert_array_equal(np.array(table["probability"], np.float32), assessment.predictions.probability)
    for expression, sub_class in zip(table["decision"], table["sub_class"], strict=True):
        assert re.fullmatch(rf"{expression} [12]", sub_class)


def test_every_figure_is_a_png_with_a_caption(drawn, evaluated):
    names = [figure.name for figure in drawn]
    mistaken = ["mistakes"] if evaluated["mul_dml"][1].evaluation.metrics["accuracy"].value < 1 else []
    always = ["confusion", "tsne", "retrieval", "f1_over_k", "galleries", "training", "slice_grid"]
    assert [name for name in names if name != "label_audit"] == [*always, *mistaken]
    assert all(figure.png.startswith(PNG) and figure.caption and figure.heading for figure in drawn)


def test_galleries_are_the_faces_nearest_each_medoid(monkeypatch, evaluated, faces):
    predictor, assessment = evaluated["mul_dml"]
    seen = {}
    monkeypatch.setattr(expression_figures.figures, "galleries", lambda images, columns: seen.update(images) or PNG)
    expression_figures.draw(assessment, case_of(predictor, faces))
    level = predictor.level
    assert list(seen) == [level.name_of(group, CLASSES) for group in level.group_G]
    for group, (medoid,) in top_k(level.embedding_ND, level.group_N, 1).items():
        shown = seen[level.name_of(group, CLASSES)]
        row = np.flatnonzero((faces.sample_id == level.sample_id[medoid]) & (faces.rotation == 0))
        np.testing.assert_array_equal(shown[0], faces.images(row)[0])
        assert len(shown) == min(expression_figures.GALLERY_SIZE, (level.group_N == group).sum())


def with_predictions(assessment, predicted, probability):
    """The assessment of a model that had said this."""
    return replace(
        assessment,
        predictions=replace(assessment.predictions, expression=predicted, probability=probability),
        evaluation=replace(assessment.evaluation, predicted=predicted),
    )


def test_mistakes_come_surest_first(monkeypatch, evaluated, faces):
    predictor, assessment = evaluated["mul_dml"]
    truth = assessment.test.label
    predicted, probability = truth.copy(), np.eye(3, dtype=np.float32)[truth]
    for at, sureness in ((2, 0.5), (7, 0.9), (9, 0.7)):
        predicted[at] = (truth[at] + 1) % 3
        probability[at] = (1 - sureness) / 2
        probability[at, predicted[at]] = sureness
    seen = []
    drawing = expression_figures.figures
    monkeypatch.setattr(drawing, "thumbnails", lambda *given: seen.append(given) or thumbnails(*given))
    made = expression_figures.draw(with_predictions(assessment, predicted, probability), case_of(predictor, faces))
    (images, titles), sheet = seen[0], made[-1]
    assert sheet.name == "mistakes"
    assert "3 of 3 mistakes" in sheet.caption
    assert titles == [f"{CLASSES[truth[at]]} -> {CLASSES[predicted[at]]}" for at in (7, 9, 2)]
    np.testing.assert_array_equal(np.stack(images), faces.images(assessment.rows[[7, 9, 2]]))


def test_a_model_without_mistakes_has_no_sheet_of_them(evaluated, faces):
    predictor, assessment = evaluated["mul_dml"]
    truth = assessment.test.label
    perfect = with_predictions(assessment, truth, np.eye(3, dtype=np.float32)[truth])
    assert "mistakes" not in [figure.name for figure in expression_figures.draw(perfect, case_of(predictor, faces))]


def test_the_page_is_one_file_with_its_figures(evaluated, faces, drawn):
    predictor, _ = evaluated["mul_dml"]
    details = {"dataset": "ck_plus", "method": "mul_dml", "note": "<b>&"}
    assessed = PROTOCOLS["expressions"](case_of(predictor, faces), silent)
    published = Published([PublishedRow("Mul-DML on CK+ (mul_dml/table3)", {"accuracy": 0.9849})], ["Other folds."])
    html = page("mul_dml (hist) on ck_plus", assessed, drawn, details, {"damaged": 3}, published, ["Fold 1 alone."])
    assert html.count("data:image/png;base64,") == len(drawn)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    assert "http:" not in html
    assert "https:" not in html
    assert "<script" not in html
    assert "<b>&" not in html
    assert "<title>mul_dml (hist) on ck_plus</title>" in html
    assert all(figure.heading in html for figure in drawn)
    assert "3 damaged" in html
    assert "bootstrap over 2 subjects" in html
    assert re.search(r"Mul-DML on CK\+ \(mul_dml/table3\)</th><td[^>]*>98.49</td>", html)
    assert "Other folds." in html
    assert "Fold 1 alone." in html
    assert "the copy of this page in the version&#39;s MLflow run" in html
    without = page("a", assessed, [], details, {}, Published())
    assert "Beside the paper" not in without
    assert "What differs" not in without


def test_suspects_are_looked_for_once(monkeypatch, evaluated, faces):
    calls = []

    def counted(*given, **named):
        calls.append(1)
        return audit_labels(*given, **named)

    monkeypatch.setattr(expressions, "audit_labels", counted)
    assessed = PROTOCOLS["expressions"](case_of(evaluated["mul_dml"][0], faces), silent)
    assessed.draw()
    assessed.files()
    assert len(calls) == 1


def seen_from(faces, poses, pose):
    """The faces as if they had been taken from several sides."""
    return replace(faces, poses=poses, pose=np.asarray(pose))


def test_accuracy_is_told_by_class_and_by_view(evaluated, faces):
    predictor, assessment = evaluated["mul_dml"]
    rows = assessment.rows
    pose = np.full(len(faces.label), UNKNOWN)
    pose[rows] = np.arange(len(rows)) % 3 - 1  # a third of them is not known
    case = case_of(predictor, seen_from(faces, (-45, 0), pose))
    found = measure_expressions(case, silent)
    right = found.evaluation.predicted == found.test.label
    shares = {f"accuracy_{name}": right[found.test.label == at].mean() for at, name in enumerate(CLASSES)}
    assert {name: found.evaluation.metrics[name].value for name in shares} == pytest.approx(shares)
    views = {"accuracy_view_-45": right[pose[rows] == 0].mean(), "accuracy_view_0": right[pose[rows] == 1].mean()}
    assert {name: interval.value for name, interval in found.views.items()} == pytest.approx(views)
    (table,) = view_table(found, case)
    assert table.columns == ["expression", "-45°", "0°", "all views"]
    assert [name for name, _ in table.rows] == [*CLASSES, "all"]
    told = (pose[rows] >= 0) & (found.test.label == 1)
    assert table.rows[1][1][2] == f"{100 * right[told].mean():.1f} % ({told.sum()})"
    told = pose[rows] == 0
    assert table.rows[3][1][0] == f"{100 * right[told].mean():.1f} % ({told.sum()})"
    assessed = PROTOCOLS["expressions"](case, silent)
    assert views.keys() | shares.keys() <= assessed.metrics.keys()
    assert assessed.tables == [table]
    assert "pose_table" in [figure.name for figure in assessed.draw()]


def test_one_view_is_no_table(evaluated, faces):
    predictor, _ = evaluated["sgm"]
    case = case_of(predictor, seen_from(faces, (0,), np.zeros(len(faces.label), dtype=np.int64)))
    found = measure_expressions(case, silent)
    assert found.views == {}
    assert view_table(found, case) == []
