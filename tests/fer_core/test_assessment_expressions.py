import re

import numpy as np
import pytest
from model_fixtures import CLASSES, faces_path, make_run, one_thread, silent  # noqa: F401

from fer_core.assessment import expression_figures
from fer_core.assessment.base import Case
from fer_core.assessment.expressions import Assessment, measure_expressions, predictions_table
from fer_core.assessment.page import page
from fer_core.assessment.protocols import PROTOCOLS
from fer_core.figures import thumbnails
from fer_core.folds import Part
from fer_core.predictor import Predictor
from fer_core.reading import read_faces
from fer_core.subdivision import medoids

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
    monkeypatch.setattr(expression_figures.figures, "galleries", lambda images: seen.update(images) or PNG)
    expression_figures.draw(assessment, case_of(predictor, faces))
    level = predictor.level
    assert list(seen) == [level.name_of(group, CLASSES) for group in level.group_G]
    for group, medoid in medoids(level.embedding_ND, level.group_N).items():
        shown = seen[level.name_of(group, CLASSES)]
        row = np.flatnonzero((faces.sample_id == level.sample_id[medoid]) & (faces.rotation == 0))
        np.testing.assert_array_equal(shown[0], faces.images(row)[0])
        assert len(shown) == min(expression_figures.GALLERY_SIZE, (level.group_N == group).sum())


def with_predictions(assessment, predicted, probability):
    """The assessment of a model that had said this."""
    evaluation = vars(assessment.evaluation) | {"predicted": predicted}
    predictions = vars(assessment.predictions) | {"expression": predicted, "probability": probability}
    return Assessment(
        assessment.rows,
        assessment.test,
        type(assessment.predictions)(**predictions),
        type(assessment.evaluation)(**evaluation),
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


@pytest.mark.parametrize(
    ("dataset", "published"), [("ck_plus", "Mul-DML, table III, CK+ 10-fold"), ("synthetic", None)]
)
def test_the_page_is_one_file_with_its_figures(evaluated, faces, drawn, dataset, published):
    predictor, _ = evaluated["mul_dml"]
    details = {"dataset": dataset, "method": "mul_dml", "note": "<b>&"}
    assessed = PROTOCOLS["expressions"](case_of(predictor, faces), silent)
    html = page(assessed, drawn, details, {"damaged": 3}, faces.has_subjects)
    assert html.count("data:image/png;base64,") == len(drawn)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    assert "http:" not in html
    assert "https:" not in html
    assert "<script" not in html
    assert "<b>&" not in html
    assert f"<title>mul_dml on {dataset}</title>" in html
    assert all(figure.heading in html for figure in drawn)
    assert "3 damaged" in html
    assert "bootstrap over 2 subjects" in html
    assert (published is None) or published in html
    assert ("held-out subjects" in html) == (published is not None)
