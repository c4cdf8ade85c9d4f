import math
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from model_fixtures import (  # noqa: F401
    FACE,
    MemoryStore,
    faces_path,
    make_run,
    one_thread,
    plan_of,
    silent,
)

from fer_core import runs
from fer_core.embedding import Embeddings
from fer_core.errors import InputError
from fer_core.evaluation.neighbours import knn_predict
from fer_core.faces.crop import face_partition
from fer_core.faces.finding import Cropping
from fer_core.faces.keypoints import five_points
from fer_core.folds import Part
from fer_core.predictor import Predictor
from fer_core.reading import read_faces
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import decode_colour
from fer_core.synthetic import Face, render
from fer_core.training import train
from fer_core.world import World

METHODS = pytest.mark.parametrize("method", ["mul_dml", "sgm"])


@pytest.fixture(scope="module")
def faces(faces_path):  # noqa: F811
    return read_faces(faces_path, Part(), 3)


@pytest.fixture(scope="module")
def predictors(make_run):  # noqa: F811
    return {method: Predictor(*make_run(method)) for method in ("mul_dml", "sgm")}


def crops(faces):
    return faces.images(faces.rows_of("test", upright=True))


def png(image):
    return cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


@METHODS
def test_pictures_that_are_crops_are_predicted_as_crops(predictors, faces, method):
    predictor, images = predictors[method], crops(faces)
    by_picture = predictor.predict_pictures([png(image) for image in images])
    by_crop = predictor.predict_faces(images)
    for name in ("expression", "probability", "embedding", "group"):
        np.testing.assert_array_equal(getattr(by_picture, name), getattr(by_crop, name))


def test_landmarks_cut_the_face_out(predictors, faces):
    inner = crops(faces)[0]
    picture = np.zeros((3 * FACE, 4 * FACE, 3), np.uint8)
    picture[FACE : 2 * FACE, 50 : 50 + FACE] = inner
    side = FACE / 1.3  # the crop is the landmarks' box and 15 % on each side
    low = np.array([50, FACE]) + (FACE - 1) / 2 - side / 2
    box_P3 = np.array([[*low, 7.0], [*(low + side), 9.0]])
    cut = predictors["mul_dml"].predict_pictures([png(picture)], [box_P3])
    whole = predictors["mul_dml"].predict_faces(inner[None])
    np.testing.assert_allclose(cut.embedding, whole.embedding, atol=2e-3)
    np.testing.assert_array_equal(
        predictors["mul_dml"].predict_pictures([png(inner)], [None]).embedding, whole.embedding
    )


@pytest.mark.parametrize("roll", [0.0, 25.0])
def test_five_landmarks_cut_the_face_out_as_the_crops_that_were_trained_on(predictors, roll):
    """The same warp as faces.crop makes, tilted faces made upright."""
    picture, marks = render(Face(4, "happiness", 0.8, 10.0), 96)
    turn = cv2.getRotationMatrix2D((47.5, 47.5), roll, 1.0)
    picture = cv2.warpAffine(picture, turn, (96, 96), borderMode=cv2.BORDER_REPLICATE)
    five_P3 = np.column_stack([five_points(marks.astype(float))[:, :2] @ turn[:, :2].T + turn[:, 2], np.zeros(5)])
    row = {**dict.fromkeys(SAMPLE_SCHEMA.names), "image": png(picture), "landmarks": five_P3.ravel().tolist()}
    catalog = pa.Table.from_pylist([row], schema=SAMPLE_SCHEMA)
    crop = decode_colour(face_partition(catalog, Cropping(FACE, (0.0,)))[0]["image"][0].as_py())
    by_picture = predictors["mul_dml"].predict_pictures([png(picture)], [five_P3])
    by_crop = predictors["mul_dml"].predict_faces(crop[None])
    np.testing.assert_array_equal(by_picture.embedding, by_crop.embedding)


@pytest.mark.parametrize(
    "points", [np.full((5, 3), 9.0), np.full((30, 2), 9.0), np.zeros((0, 3)), np.full((5, 2), np.nan)]
)
def test_landmarks_that_place_no_face_are_named_with_their_picture(predictors, faces, points):
    picture = png(crops(faces)[0])
    with pytest.raises(InputError, match=r"picture 1 cannot be cropped: (all|it has no) landmarks"):
        predictors["mul_dml"].predict_pictures([picture, picture], [None, points])
    points = np.random.default_rng(0).uniform(0, 30, (30, 2))
    points[3] = np.inf
    with pytest.raises(InputError, match="picture 0 cannot be cropped"):
        predictors["mul_dml"].predict_pictures([picture], [points])


def test_a_grey_picture_is_its_grey_in_three_channels(predictors, faces):
    grey = cv2.cvtColor(crops(faces)[0], cv2.COLOR_RGB2GRAY)
    as_grey = predictors["mul_dml"].predict_pictures([png(grey)])
    as_rgb = predictors["mul_dml"].predict_faces(np.repeat(grey[None, :, :, None], 3, axis=3))
    np.testing.assert_array_equal(as_grey.embedding, as_rgb.embedding)


@METHODS
def test_probabilities_sum_to_one(predictors, faces, method):
    made = predictors[method].predict_faces(crops(faces))
    assert made.probability.shape == (12, 3)
    assert made.probability.dtype == np.float32
    assert (made.probability >= 0).all()
    np.testing.assert_allclose(made.probability.sum(axis=1), 1, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(made.probability[np.arange(12), made.expression], made.probability.max(axis=1))


def test_neighbours_decide_as_the_evaluation_does(make_run):  # noqa: F811
    """Five votes to five: the nearest neighbour's class, not the first one."""
    predictor = Predictor(*make_run("sgm"))
    gallery_ND = np.zeros((11, 8), np.float32)
    gallery_ND[:, 0] = np.arange(1, 12)
    class_N = np.array([1, 0, 0, 1, 0, 1, 0, 1, 2, 0, 1])
    predictor.level = replace(predictor.level, embedding_ND=gallery_ND, class_N=class_N)
    query_BD = np.zeros((2, 8), np.float32)
    query_BD[1, 0] = 9.4  # the nearest is alone in its class, the next is of class 0
    made = predictor.predicted(Embeddings(query_BD))
    np.testing.assert_allclose(made.probability, [[5 / 11, 5 / 11, 1 / 11]] * 2, rtol=1e-6)
    assert made.expression.tolist() == [1, 0]
    assert made.expression.tolist() == knn_predict(query_BD, gallery_ND, class_N, k=11).tolist()
    assert predictor.level.class_G[np.searchsorted(predictor.level.group_G, made.group)].tolist() == [1, 0]


def test_sub_classes_are_summed_to_their_class(tmp_path, make_run, faces_path, faces):  # noqa: F811
    run, level = make_run("mul_dml")
    plan = plan_of(faces_path, "mul_dml", epochs=1, start=run / runs.NETWORK, sub_labels=level)
    runs.save_run(tmp_path, plan, train(plan, World(), MemoryStore(), silent))
    predictor = Predictor(tmp_path, level)
    images = crops(faces)
    with torch.inference_mode():
        logits = predictor.network(torch.from_numpy(images[:, 4:28, 4:28])).logits_BC.double().numpy()
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert predictor.description.class_of_label == [0, 0, 1, 1, 2, 2]
    expected = share[:, 0::2] + share[:, 1::2]
    made = predictor.predict_faces(images)
    np.testing.assert_allclose(made.probability, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(made.expression, expected.argmax(axis=1))


def test_huge_logits_stay_finite(predictors):
    embedding_BD = predictors["mul_dml"].level.embedding_ND[:2]
    logits_BC = np.array([[1e4, 0, 0], [-1e4, -2e4, -1e4]], np.float32)
    made = predictors["mul_dml"].predicted(Embeddings(embedding_BD, logits_BC))
    np.testing.assert_allclose(made.probability, [[1, 0, 0], [0.5, 0, 0.5]], atol=1e-6)


def most_probable_group(level, emb_D, own_class):
    best, group = -math.inf, None
    for place, candidate in enumerate(level.group_G.tolist()):
        if level.class_G[place] != own_class:
            continue
        joint = math.log(level.weight_G[place])
        for value, mean, variance in zip(emb_D, level.mean_GD[place], level.variance_GD[place], strict=True):
            joint -= math.log(2 * math.pi * variance) / 2 + (value - mean) ** 2 / (2 * variance)
        if joint > best:
            best, group = joint, candidate
    return group


def test_the_group_is_the_likeliest_component_of_the_class(make_run):  # noqa: F811
    predictor, rng = Predictor(*make_run("sgm")), np.random.default_rng(1)
    mixtures = {
        "mean_GD": rng.normal(size=(6, 8)),
        "variance_GD": rng.uniform(0.3, 2, (6, 8)),
        "weight_G": rng.uniform(0.2, 0.8, 6),
    }
    predictor.level = replace(predictor.level, **mixtures)
    emb_BD, class_B = rng.normal(size=(80, 8)), rng.integers(3, size=80)
    expected = [most_probable_group(predictor.level, row, own) for row, own in zip(emb_BD, class_B, strict=True)]
    np.testing.assert_array_equal(predictor.group(emb_BD, class_B), expected)
    assert len(set(expected)) == 6


@METHODS
def test_training_faces_keep_their_groups(predictors, method):
    level = predictors[method].level
    np.testing.assert_array_equal(predictors[method].group(level.embedding_ND, level.class_N), level.group_N)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty file"), (b"not a picture", "not a "), (None, "damaged or truncated picture")],
)
def test_an_unreadable_picture_is_named(predictors, faces, data, reason):
    whole = png(crops(faces)[0])
    data = whole[: len(whole) // 2] if data is None else data
    with pytest.raises(InputError, match=f"picture 1 cannot be read: {reason}"):
        predictors["mul_dml"].predict_pictures([whole, data])


def test_crops_of_another_size_are_scaled_as_pictures_are(predictors, faces):
    large = np.stack([cv2.resize(crop, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for crop in crops(faces)[:6]])
    by_crop = predictors["mul_dml"].predict_faces(large)
    by_picture = predictors["mul_dml"].predict_pictures([png(crop) for crop in large])
    np.testing.assert_allclose(by_crop.embedding, by_picture.embedding, atol=1e-6)


def test_faces_are_labelled_with_the_most_probable_expression(predictors, faces):
    images = crops(faces)[:5]
    label, probability = predictors["mul_dml"].label_faces(images)
    made = predictors["mul_dml"].predict_faces(images)
    assert label.tolist() == [predictors["mul_dml"].classes[at] for at in made.expression]
    np.testing.assert_array_equal(probability, made.probability.max(axis=1))
