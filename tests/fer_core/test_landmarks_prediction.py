"""A model of landmarks in use: given as in pictures, y downwards, it says what training on the same faces says."""

import numpy as np
import pytest
from landmark_fixtures import landmark_plan, landmark_rows, landmark_run, write_faces
from model_fixtures import MemoryStore, one_thread, silent  # noqa: F401

from fer_core.embedding import embed_rows
from fer_core.errors import InputError
from fer_core.landmarks.prediction import embed_landmarks
from fer_core.predictor import Predictor

BATCH = ("S14-anger-0.9", "S22-neutral-0.0", "S14-happiness-0.4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(a predictor of M1, its rows)."""
    root = tmp_path_factory.mktemp("used")
    plan = landmark_plan(write_faces(root, landmark_rows()), "m1")
    return Predictor(*landmark_run(root, plan, MemoryStore())), plan.read_faces()


def in_pixels(name):
    """The landmarks of a row as they would lie in a picture: y downwards, another unit and place."""
    points_P3 = {row["sample_id"]: np.reshape(row["landmarks_3d"], (83, 3)) for row in landmark_rows()}[name]
    return (points_P3 * (50, -50, 50) + (120, 80, 0)).ravel()


def rows_of(faces, names):
    place = {name: row for row, name in enumerate(faces.sample_id.tolist())}
    return np.array([place[name] for name in names])


def embedded(predictor, names, neutral, yaws=None, neutral_yaws=None):
    given = [in_pixels(name) for name in names]
    unknown = [None] * len(names)
    return embed_landmarks(predictor, given, yaws or unknown, neutral, neutral_yaws or unknown).embedding_ND


def test_beside_the_own_neutral_face_the_embedding_is_that_of_training(model):
    predictor, faces = model
    neutral = [in_pixels(f"{name[:3]}-neutral-0.0") for name in BATCH]
    rows = rows_of(faces, BATCH)
    expected = embed_rows(predictor.network, predictor.description.inputs(faces), rows, silent).embedding_ND
    np.testing.assert_allclose(embedded(predictor, BATCH, neutral), expected, atol=1e-4)
    np.testing.assert_allclose(embedded(predictor, BATCH, neutral, [0.0] * 3, [0.0] * 3), expected, atol=5e-2)


def test_where_it_is_not_known_the_mean_of_training_stands_in_for_that_row_alone(model):
    predictor, faces = model
    own = in_pixels("S14-neutral-0.0")
    mixed = embedded(predictor, BATCH, [own, None, own])
    np.testing.assert_array_equal(mixed[[0, 2]], embedded(predictor, BATCH, [own] * 3)[[0, 2]])
    y_NX = faces.points[faces.rows_of("train", upright=True), 249:]
    rows = rows_of(faces, BATCH[1:2])
    xy_12X = np.concatenate([faces.points[rows, :249], y_NX.mean(axis=0, keepdims=True)], axis=1)
    outputs = predictor.network(predictor.network.neutral_X.new_tensor(xy_12X))
    np.testing.assert_allclose(mixed[1], outputs.embedding_BD[0].detach().numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("landmarks", "neutral", "message"),
    [
        ([None], [None], "the landmarks of face 0 are 0 numbers; x, y, z of 83 points are needed"),
        ([np.zeros(15)], [None], "the landmarks of face 0 are 15 numbers"),
        ([in_pixels(BATCH[0])], [np.zeros(15)], "the neutral landmarks of face 0 are 15 numbers"),
        ([np.zeros(249)], [None], "the landmarks cannot be used: face 0 has no input vector: the eyes coincide"),
        ([np.full(249, np.nan)], [None], "the landmarks cannot be used: .*NaN"),
        (
            [in_pixels(BATCH[0])] * 2,
            [None, np.tile([1.0, 1.0, 0.0], 83) * np.repeat(np.arange(83), 3)],
            "the neutral landmarks cannot be used: face 1 .*no depth and its yaw is not known",
        ),
    ],
)
def test_faces_that_cannot_be_used_are_named(model, landmarks, neutral, message):
    unknown = [None] * len(landmarks)
    with pytest.raises(InputError, match=message):
        embed_landmarks(model[0], landmarks, unknown, neutral, unknown)
