"""What a representation of landmarks is worth, against what scikit-learn and loops say of the same numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from landmark_fixtures import landmark_plan, landmark_rows, landmark_run, write_faces, write_human_triplets
from model_fixtures import MemoryStore, one_thread, silent  # noqa: F401
from sklearn.svm import LinearSVC

from fer_core.assessment import landmarks, protocols
from fer_core.assessment.base import Case
from fer_core.assessment.page import page
from fer_core.assessment.protocols import PROTOCOLS
from fer_core.errors import InputError
from fer_core.landmarks.generation import transfer
from fer_core.landmarks.quality import SVM_COSTS
from fer_core.predictor import Predictor
from fer_core.report import Published
from fer_core.tuples import label_triplets

PNG = b"\x89PNG\r\n\x1a\n"
MODELS = ("raw", "pca", "vae", "m1", "m2")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """model -> its case: two people are tested on, 14 rows, which are enough for triplets."""
    root = tmp_path_factory.mktemp("assessed")
    faces = write_faces(root, landmark_rows())
    made = {}
    for model in MODELS:
        (root / model).mkdir()
        plan = landmark_plan(faces, model)
        predictor = Predictor(*landmark_run(root / model, plan, MemoryStore()))
        table = plan.read_faces()
        made[model] = Case(predictor, table, table, seed=0, resamples=100)
    return made


@pytest.fixture(scope="module")
def assessed(cases):
    return {model: PROTOCOLS["landmarks"](case, silent) for model, case in cases.items()}


def embeddings_of(found):
    return np.stack(found.embeddings["embedding"].to_numpy(zero_copy_only=False)).astype(np.float64)


@pytest.mark.parametrize("model", MODELS)
def test_the_svm_learns_from_training_people_its_cost_from_validation_people(cases, assessed, model):
    faces, level = cases[model].tested, cases[model].predictor.level
    network = cases[model].predictor.network
    inputs = cases[model].predictor.description.inputs(faces)
    train_ND = level.embedding_ND.astype(np.float64)
    mean_D = train_ND.mean(axis=0)
    scale = 1 / np.sqrt(((train_ND - mean_D) ** 2).mean())
    valid = faces.rows_of("valid", upright=True)
    assert set(faces.group[valid]) == {"S04", "S05"}
    valid_MD = network(inputs.plain(valid)).embedding_BD.detach().numpy().astype(np.float64)
    right = {}
    for cost in SVM_COSTS:
        machine = LinearSVC(C=cost, dual=False).fit((train_ND - mean_D) * scale, level.class_N)
        valid_share = (machine.predict((valid_MD - mean_D) * scale) == faces.label[valid]).mean()
        tested = machine.predict((embeddings_of(assessed[model]) - mean_D) * scale)
        test_share = (tested == faces.label[faces.rows_of("test", upright=True)]).mean()
        right.setdefault(valid_share, test_share)
    found = assessed[model].metrics["svm_accuracy"]
    assert found.value == pytest.approx(right[max(right)])
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("model", MODELS)
def test_satisfied_triplets_are_counted_over_the_test_rows(cases, assessed, model):
    case, emb_MD = cases[model], embeddings_of(assessed[model])
    rows = case.tested.rows_of("test", upright=True)
    names = np.array(case.tested.classes)[case.tested.label[rows]]
    triplets_T3 = label_triplets(names, case.tested.intensity[rows], 4 * len(rows), case.seed)
    satisfied = sum(
        np.linalg.norm(emb_MD[a] - emb_MD[b]) < np.linalg.norm(emb_MD[a] - emb_MD[c]) for a, b, c in triplets_T3
    )
    found = assessed[model].metrics["satisfied_triplets"]
    assert found.value == pytest.approx(satisfied / len(triplets_T3))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert any(f"{4 * len(rows)} triplets of test faces" in note for note in assessed[model].notes)


def test_what_was_found_of_expressions_is_kept(assessed):
    for found in assessed.values():
        assert {"accuracy", "knn_accuracy", "nmi", "svm_accuracy", "satisfied_triplets"} <= found.metrics.keys()
        assert found.predictions.num_rows == found.embeddings.num_rows == 14
        assert ("decides by", "neighbours") in found.facts
    sizes = {model: dict(found.facts)["numbers of a face"] for model, found in assessed.items()}
    assert sizes == {"raw": 249, "pca": 6, "vae": 6, "m1": 6, "m2": 6}


@pytest.mark.parametrize("model", ["raw", "m2"])
def test_figures_are_drawn_and_those_of_the_decoder_where_there_is_one(assessed, model):
    drawn = assessed[model].draw()
    assert all(figure.png.startswith(PNG) and figure.heading and figure.caption for figure in drawn)
    decoder = ["traversals", "transfer"] if model == "m2" else []
    assert [figure.name for figure in drawn if figure.name in ("traversals", "transfer")] == decoder


def test_faces_are_generated_once(monkeypatch, cases):
    calls = []
    generated = landmarks._generated
    monkeypatch.setattr(protocols.expression_figures, "draw", lambda *_: [])
    monkeypatch.setattr(landmarks, "_generated", lambda *given: calls.append(1) or generated(*given))
    found = PROTOCOLS["landmarks"](cases["m1"], silent)
    assert not calls
    found.draw()
    found.files()
    assert len(calls) == 1


def test_files_of_the_decoder_are_json(cases, assessed):
    files = assessed["m1"].files()
    assert files.keys() == {"label_audit.csv", "label_audit.html", "traversals.json", "transfers.json"}
    moved, made = (json.loads(files[name]) for name in ("traversals.json", "transfers.json"))
    assert sorted(one["dimension"] for one in moved) == list(range(6))
    assert np.shape([one["faces"] for one in moved]) == (6, 7, 83, 3)
    assert [one["expression"] for one in made] == ["happiness", "surprise", "anger"]
    case = cases["m1"]
    rows = case.tested.rows_of("test", upright=True)
    row = rows[case.tested.label[rows] == 1][0]
    other = rows[case.tested.group[rows] != case.tested.group[row]][0]
    given = {name: np.reshape(made[0][name], -1) for name in ("source", "source_neutral", "target_neutral")}
    np.testing.assert_allclose(
        np.concatenate([given["source"], given["source_neutral"]]), case.tested.points[row], atol=1e-4
    )
    np.testing.assert_allclose(given["target_neutral"], case.tested.points[other, 249:], atol=1e-4)


def test_traversals_start_from_the_mean_neutral_face_of_training(cases, assessed):
    case = cases["m1"]
    coder = case.predictor.network.coder
    trained = case.tested.points[case.tested.rows_of("train", upright=True)]
    neutral_X = coder.mean_X.new_tensor(trained[:, 249:].mean(axis=0, dtype=np.float64))
    decoded_X = coder.decode(neutral_X[None], neutral_X.new_zeros(1, 6))[0].detach().numpy()
    moved = json.loads(assessed["m1"].files()["traversals.json"])
    for one in moved:
        np.testing.assert_allclose(np.ravel(one["faces"][3]), decoded_X, atol=1e-3)


def test_a_model_without_a_decoder_has_no_such_files(assessed):
    assert assessed["raw"].files().keys() == assessed["pca"].files().keys() == {"label_audit.csv", "label_audit.html"}


def test_too_few_test_faces_for_triplets_are_told_and_not_counted(cases):
    case = cases["pca"]
    rows = case.tested.rows_of("test", upright=True)
    few = replace(case, tested=case.tested.only(np.concatenate([rows[:1], rows[3:4]])))
    found = PROTOCOLS["landmarks"](few, silent)
    assert "satisfied_triplets" not in found.metrics
    assert any("too few for similarity triplets" in note for note in found.notes)


def asked_of(table, role, count, seed=0):
    """Triplets of any faces of a role, by their sample ids."""
    rng = np.random.default_rng(seed)
    names = table.sample_id[table.rows_of(role, upright=True, unlabelled=True)]
    return [rng.choice(names, 3, replace=False).tolist() for _ in range(count)]


@pytest.fixture(scope="module")
def of_people(tmp_path_factory):
    """A case of people's triplets, of faces a third of which have no class, and what they are: asked and weights."""
    root = tmp_path_factory.mktemp("people")
    rows = [{**row, "expression": None if "0.4" in row["sample_id"] else row["expression"]} for row in landmark_rows()]
    faces = write_faces(root, rows)
    table = landmark_plan(faces, "raw", options={"triplet_source": "human", "triplets": str(root)}).read_faces()
    asked = [*asked_of(table, "train", 5), *asked_of(table, "test", 40)]
    weights = [1] * 5 + [5, 5, 3, 1] * 10
    folder = write_human_triplets(root, asked, weights)
    plan = landmark_plan(faces, "raw", options={"triplet_source": "human", "triplets": str(folder)})
    predictor = Predictor(*landmark_run(root, plan, MemoryStore()))
    return Case(predictor, table, table, seed=0, resamples=100, human_triplets=folder), asked[5:], weights[5:]


def test_peoples_triplets_are_counted_by_the_difference_of_votes(of_people):
    """Those of test faces alone, and also where a face has no class."""
    case, asked, weights = of_people
    found = PROTOCOLS["landmarks"](case, silent)
    points = {name: row[:249] for name, row in zip(case.tested.sample_id.tolist(), case.tested.points, strict=True)}
    assert any("0.4" in name for names in asked for name in names)
    right = [
        np.linalg.norm(points[a] - points[b]) < np.linalg.norm(points[a] - points[c]) for a, b, c in asked
    ]  # the training mean, which is taken off, makes no difference
    for weight, name in ((5, "_5"), (3, "_3"), (1, "_1"), (None, "")):
        own = [one for one, votes in zip(right, weights, strict=True) if weight in (None, votes)]
        share = found.metrics[f"satisfied_triplets{name}"]
        assert share.value == pytest.approx(np.mean(own))
        assert 0 <= share.low <= share.value <= share.high <= 1
    told = "40 triplets of test faces that people judged (20 of difference 5, 10 of difference 3, 10 of difference 1)"
    assert any(told in note for note in found.notes)
    assert found.predictions.num_rows == 8, "faces of no class are not classified"


def test_a_difference_that_nobody_has_is_not_printed(of_people, tmp_path):
    case, asked, _ = of_people
    folder = write_human_triplets(tmp_path, asked[:6], [5] * 6)
    metrics = PROTOCOLS["landmarks"](replace(case, human_triplets=folder), silent).metrics
    assert {"satisfied_triplets", "satisfied_triplets_5"} <= metrics.keys()
    assert not {"satisfied_triplets_3", "satisfied_triplets_1"} & metrics.keys()


def test_peoples_triplets_of_training_faces_alone_are_told_and_not_counted(of_people, tmp_path):
    case = of_people[0]
    folder = write_human_triplets(tmp_path, asked_of(case.tested, "train", 4), [5] * 4)
    found = PROTOCOLS["landmarks"](replace(case, human_triplets=folder), silent)
    assert "satisfied_triplets" not in found.metrics
    assert any("None of people's triplets is of test faces" in note for note in found.notes)


def test_a_data_set_of_other_landmarks_is_named(tmp_path, cases):
    case = cases["m1"]
    other = landmark_plan(write_faces(tmp_path, landmark_rows(68)), "m1").read_faces()
    with pytest.raises(InputError, match=r"the model looks at 83 landmarks and faces-.* has 68 of a face"):
        PROTOCOLS["landmarks"](replace(case, tested=other), silent)


def test_another_data_set_is_tested_with_its_own_people(tmp_path, cases):
    case = cases["m2"]
    plan = landmark_plan(case.trained.directory, "m2")
    other = plan.read_tested(write_faces(tmp_path, landmark_rows(people=("S31", "S32"))), case.trained)
    found = PROTOCOLS["landmarks"](replace(case, tested=other), silent)
    assert set(found.predictions["subject"].to_pylist()) == {"S31", "S32"}
    assert np.isfinite(found.metrics["svm_accuracy"].value)


def test_the_page_says_what_was_chosen_and_on_whom(assessed):
    written = page("landmark_vae on synthetic", assessed["m2"], [], {}, {}, Published())
    assert "were chosen on validation people" in written
    assert "after the last epoch" not in written
    assert "linear SVM" in written


def test_an_expression_is_put_on_the_next_person_by_the_decoder(cases, assessed):
    case = cases["m2"]
    coder = case.predictor.network.coder
    made = json.loads(assessed["m2"].files()["transfers.json"])[0]
    x, y, other = (
        coder.mean_X.new_tensor(np.ravel(made[name])) for name in ("source", "source_neutral", "target_neutral")
    )
    again = transfer(coder.encode, coder.decode, x, y, other).transferred
    np.testing.assert_allclose(again, made["transferred"], atol=2e-3)


def test_unknown_degrees_leave_the_rule_of_degrees_out(tmp_path, cases):
    rows = [{**row, "intensity": None} for row in landmark_rows()]
    table = landmark_plan(write_faces(tmp_path, rows), "pca").read_faces()
    made = landmarks._triplets(table, table.rows_of("test", upright=True), 0)
    label_T3 = table.label[table.rows_of("test", upright=True)][made]
    assert (label_T3[:, 0] != label_T3[:, 2]).all()


def test_with_nobody_else_there_is_no_transfer(cases):
    case = cases["m1"]
    rows = case.tested.rows_of("test", upright=True)
    alone = case.tested.only(rows[case.tested.group[rows] == "S14"])
    assert landmarks._generated(case.predictor.network.coder, replace(case, tested=alone))[1] == []
