import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from model_fixtures import FACE, draw_face, faces_path, make_run, one_thread  # noqa: F401

from fer_core.errors import InputError
from fer_core.galleries.gallery import training_gallery
from fer_core.galleries.retrieval import NEAREST, SCHEMA, SHEET, nearest_others, write_nearest
from fer_core.galleries.training_faces import TrainingFaces
from fer_core.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(make_run):  # noqa: F811
    return Predictor(*make_run("mul_dml"))


@pytest.fixture(scope="module")
def training(predictor, faces_path):  # noqa: F811
    return training_gallery(predictor, TrainingFaces(faces_path, predictor.level))


@pytest.fixture
def query(tmp_path):
    file = tmp_path / "query.png"
    cv2.imwrite(str(file), draw_face(np.random.default_rng(5), 1, 120))
    return file


def test_the_nearest_come_first_with_their_euclidean_distances():
    rng = np.random.default_rng(0)
    query_D, gallery_ND = rng.normal(size=8), rng.normal(size=(200, 8)).astype(np.float32)
    rows, distances = nearest_others(query_D, gallery_ND, 7)
    expected = np.linalg.norm(gallery_ND - query_D, axis=1)
    np.testing.assert_array_equal(rows, expected.argsort()[:7])
    np.testing.assert_allclose(distances, np.sort(expected)[:7], rtol=1e-6)


def test_no_picture_comes_twice_and_the_query_not_at_all():
    rng = np.random.default_rng(1)
    own_ND = rng.normal(size=(30, 8)).astype(np.float32)
    copies_ND = np.repeat(own_ND, 12, axis=0) * (1 + rng.normal(size=(360, 1)) * 1e-4).astype(np.float32)
    rows, distances = nearest_others(own_ND[3], copies_ND, 5)
    assert len(set((rows // 12).tolist())) == 5
    assert 3 not in rows // 12
    expected = np.sort(np.linalg.norm(own_ND - own_ND[3], axis=1))[1:6]
    np.testing.assert_allclose(distances, expected, rtol=1e-2)


def test_a_small_gallery_is_all_there_is():
    gallery_ND = np.eye(4, 8, dtype=np.float32)
    rows, _ = nearest_others(gallery_ND[0], np.concatenate([gallery_ND, gallery_ND]), 10)
    assert sorted(rows.tolist()) == [1, 2, 3]


def test_the_table_and_the_sheet_say_what_is_nearest(tmp_path, predictor, training, query):
    told = write_nearest(tmp_path, predictor, query, training, 4)
    table = pq.read_table(tmp_path / NEAREST)
    assert table.schema == SCHEMA
    assert table.to_pylist() == told["nearest"]
    assert [row["rank"] for row in told["nearest"]] == [1, 2, 3, 4]
    assert (told["rows"], told["gallery"], told["gallery_rows"]) == (4, "training faces", len(training.name))
    made = predictor.predict_pictures([query.read_bytes()])
    assert told["expression"] == predictor.classes[made.expression[0]]
    for row in told["nearest"]:
        place = training.name.index(row["source_path"])
        distance = np.linalg.norm(predictor.level.embedding_ND[place] - made.embedding[0])
        assert row["distance"] == pytest.approx(distance, rel=1e-5)
        assert row["expression"] == predictor.classes[predictor.level.class_N[place]]
        assert row["sub_class"].startswith(row["expression"])
    sheet = cv2.imread(str(tmp_path / SHEET))
    assert sheet.std() > 20  # of white paper it would be 0


def test_faces_that_are_gone_are_grey_on_the_sheet(tmp_path, predictor, training, query):
    gone = training_gallery(predictor, None)
    assert write_nearest(tmp_path, predictor, query, gone, 4)["rows"] == 4
    without = cv2.imread(str(tmp_path / SHEET)).astype(float)
    write_nearest(tmp_path, predictor, query, training, 4)
    assert np.abs(cv2.imread(str(tmp_path / SHEET)) - without).max() > 50


def test_a_query_without_a_face_is_named_with_the_reason(tmp_path, predictor, training):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"--query .*text\.png: not a PNG, JPEG, BMP, TIFF picture"):
        write_nearest(tmp_path, predictor, tmp_path / "text.png", training, 4)


def test_training_faces_are_looked_up_by_their_names(training, predictor):
    names = training.name[:3]
    crops = training.crops(names)
    assert list(crops) == names
    given = predictor.embed_faces(np.stack(list(crops.values())))
    np.testing.assert_allclose(given.embedding_ND, training.embedding_ND[:3], atol=1e-4)
    assert next(iter(crops.values())).shape == (FACE, FACE, 3)
