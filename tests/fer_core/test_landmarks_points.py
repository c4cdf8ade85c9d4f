import math

import numpy as np
import pyarrow as pa
import pytest

from fer_core.errors import InputError
from fer_core.landmarks.points import LowerLids, input_vectors, lower_lids, table_vectors
from fer_core.records import SAMPLE_SCHEMA
from fer_core.synthetic import Face, landmarks_3d, render

FACES = [Face(1, "happiness", 1.0, -30.0, 0), Face(2, "surprise", 0.7, 0.0, 1), Face(5, "sadness", 1.0, 25.0, 2)]
HEADS = np.stack([landmarks_3d(face) for face in FACES])
YAWS = np.array([face.yaw for face in FACES])
LIDS_OF = {5: ([0], [1]), 68: ([40, 41], [46, 47]), 83: ([5, 6, 7], [13, 14, 15])}


def turned(points_P3, yaw, roll=0.0):
    """Turn a head to the viewer's right about the vertical, then tilt its top there: y up."""
    yaw, roll = math.radians(yaw), math.radians(roll)
    made = []
    for x, y, z in points_P3:
        x, z = x * math.cos(yaw) + z * math.sin(yaw), z * math.cos(yaw) - x * math.sin(yaw)
        made.append((x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll), z))
    return np.array(made)


def by_loops(points_P3, lids):
    """A frontal, level face, y up: centred between the eyes, the eyes 1 apart."""
    eyes = [[sum(points_P3[i][k] for i in lid) / len(lid) for k in range(3)] for lid in lids]
    middle, apart = [(a + b) / 2 for a, b in zip(*eyes, strict=True)], math.dist(*eyes)
    return [(value - middle[k]) / apart for point in points_P3 for k, value in enumerate(point)]


def level(points_NP3, lids):
    """The heads with their eye line made horizontal, which a person's own asymmetry tilts a little."""
    made = []
    for points in points_NP3:
        line = points[lids[1]].mean(axis=0) - points[lids[0]].mean(axis=0)
        made.append(turned(points, 0, math.degrees(math.atan2(line[1], line[0]))))
    return made


def random_face(num_points, seed=0):
    points = np.random.default_rng(seed).normal(size=(num_points, 3))
    for lid, x in zip(LIDS_OF[num_points], (-1.0, 1.0), strict=True):
        points[lid] = (x, 0.3, 0.1)
    return points


@pytest.mark.parametrize("num_points", [5, 68, 83])
def test_vectors_equal_the_loops(num_points):
    points = 100 * random_face(num_points) + 7
    (x_X,) = input_vectors(points[None], np.zeros(1), y_down=False)
    assert x_X.dtype == np.float32
    assert x_X.shape == (3 * num_points,)
    np.testing.assert_allclose(x_X, by_loops(points, LIDS_OF[num_points]), atol=1e-5)


def test_synthetic_heads():
    x_NX = input_vectors(HEADS, np.zeros(3), y_down=False)
    expected = [by_loops(head, LIDS_OF[83]) for head in level(HEADS, LIDS_OF[83])]
    np.testing.assert_allclose(x_NX, expected, atol=1e-5)
    frontal = x_NX.reshape(3, 83, 3)
    assert (frontal[:, 48:68, 1].max(axis=1) < 0).all(), "mouths are below the eyes"
    assert (frontal[:, 46, 2] > 0.1).all(), "noses stick out to the viewer"


@pytest.mark.parametrize("yaw", [-80.0, -30.0, 10.0, 60.0])
@pytest.mark.parametrize("roll", [-25.0, 0.0, 15.0])
def test_any_pose_place_and_size_gives_the_frontal_vector(yaw, roll):
    frontal = input_vectors(HEADS, np.zeros(3), y_down=False)
    level_heads = frontal.reshape(3, 83, 3).astype(float)
    moved = np.stack([50 * turned(head, yaw, roll) + (300, -20, 9) for head in level_heads])
    np.testing.assert_allclose(input_vectors(moved, np.full(3, yaw), y_down=False), frontal, atol=1e-4)
    down = moved * (1, -1, 1)
    np.testing.assert_allclose(input_vectors(down, np.full(3, yaw), y_down=True), frontal, atol=1e-4)


@pytest.mark.parametrize("yaw", [-60.0, 0.0, 25.0])
def test_unknown_yaw_is_read_off_the_eyes(yaw):
    points = random_face(83)
    expected = input_vectors(points[None], np.zeros(1), y_down=False)
    moved = turned(points, yaw, roll=8.0)[None]
    np.testing.assert_allclose(input_vectors(moved, None, y_down=False), expected, atol=1e-5)
    np.testing.assert_allclose(input_vectors(moved, np.array([np.nan]), y_down=False), expected, atol=1e-5)


def test_rendered_faces_give_nearly_the_vectors_of_their_heads():
    """The sign of the yaw, and the tilt, are those of rows: left are the float32 pixels and skew eyes."""
    pictures = np.stack([render(face, 128)[1] for face in FACES])
    expected = input_vectors(HEADS, np.zeros(3), y_down=False)
    right = np.abs(input_vectors(pictures, YAWS, y_down=True) - expected).max(axis=1)
    wrong = np.abs(input_vectors(pictures, -YAWS, y_down=True) - expected).max(axis=1)
    assert (right < 0.02).all()
    assert (wrong[[0, 2]] > 0.3).all()


def test_faces_without_depth_are_widened():
    flat = random_face(68)
    flat[:, 2] = 0
    expected = input_vectors(flat[None, :, :2], np.zeros(1), y_down=False)
    narrow = flat * (math.cos(math.radians(40)), 1, 1)
    for points in (narrow[None], narrow[None, :, :2]):
        x_NX = input_vectors(points, np.array([40.0]), y_down=False)
        np.testing.assert_allclose(x_NX, expected, atol=1e-5)
        assert (x_NX[:, 2::3] == 0).all()


def test_other_layouts_say_where_the_eyes_are():
    points = random_face(68)
    more = np.concatenate([points, points[:3]])
    lids = LowerLids((40, 41), (46, 47))
    x_NX = input_vectors(more[None], np.zeros(1), y_down=False, lids=lids)
    np.testing.assert_allclose(x_NX[:, : 3 * 68], input_vectors(points[None], np.zeros(1), y_down=False), atol=1e-6)
    with pytest.raises(InputError, match=r"71 landmarks is not known .* say which landmarks are the lower lid"):
        input_vectors(more[None], np.zeros(1), y_down=False)


def test_sides_may_be_named_either_way():
    points = random_face(68)[None]
    swapped = LowerLids((46, 47), (40, 41))
    for given in (None, swapped):
        expected = input_vectors(points, np.zeros(1), y_down=False)
        np.testing.assert_allclose(input_vectors(points, np.zeros(1), False, given), expected, atol=1e-6)


def test_what_cannot_be_a_vector_is_refused():
    points = np.stack([random_face(5), random_face(5, seed=1)])
    with pytest.raises(InputError, match="4 landmarks are too few"):
        input_vectors(points[:, :4], None, y_down=False, lids=LowerLids((0,), (1,)))
    with pytest.raises(ValueError, match="landmarks have shape"):
        input_vectors(points[0], None, y_down=False)
    with pytest.raises(ValueError, match="yaw has shape"):
        input_vectors(points, np.zeros(3), y_down=False)
    with pytest.raises(ValueError, match=r"lower lids .* must be landmarks from 0 to 4"):
        input_vectors(points, None, y_down=False, lids=LowerLids((0,), (5,)))
    blind = points.copy()
    blind[1, 1] = blind[1, 0]
    with pytest.raises(ValueError, match="face 1 has no input vector: the eyes coincide"):
        input_vectors(blind, None, y_down=False)
    for bad in (math.nan, math.inf):
        spoilt = points.copy()
        spoilt[1, 3, 2] = bad
        with pytest.raises(ValueError, match="landmarks of face 1 hold NaN or inf"):
            input_vectors(spoilt, None, y_down=False)
    with pytest.raises(ValueError, match=r"face 0 .* its yaw is not known"):
        input_vectors(points[:, :, :2], None, y_down=False)
    with pytest.raises(ValueError, match=r"face 1 .* turned by more than 60 degrees"):
        input_vectors(points[:, :, :2], np.array([0.0, -61.0]), y_down=False)


@pytest.mark.parametrize("num_points", [5, 49, 66, 68, 83])
def test_usual_sets_are_known(num_points):
    lids = lower_lids(num_points)
    assert max(*lids.one, *lids.other) < num_points
    assert not set(lids.one) & set(lids.other)


def test_no_faces_give_no_vectors():
    assert input_vectors(np.zeros((0, 83, 3)), None, y_down=False).shape == (0, 249)


def table(rows):
    return pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)


def test_table_of_picture_landmarks():
    def row(points, yaw):
        return {"landmarks": None if points is None else np.ravel(points).tolist(), "pose_yaw": yaw}

    pictures = [render(face, 128)[1] for face in FACES]
    flat = pictures[0] * (1, 1, 0)
    five = pictures[0][[1, 9, 46, 48, 54]]
    rows = [
        row(pictures[0], YAWS[0]), row(None, 0.0), row(pictures[1], YAWS[1]), row(five, 0.0), row(flat, None),
        row(flat, 70.0), row(np.ones((83, 3)), 0.0), row(pictures[2], YAWS[2]),
    ]  # fmt: skip
    found = table_vectors(table(rows))
    assert found.row_N.tolist() == [0, 2, 7]
    np.testing.assert_allclose(found.x_NX, input_vectors(np.stack(pictures), YAWS, y_down=True), atol=1e-6)
    assert found.left_out == {
        "no landmarks": 1,
        "another number of landmarks": 1,
        "the eyes coincide": 1,
        "it has no depth and its yaw is not known": 1,
        "it has no depth and is turned by more than 60 degrees": 1,
    }


def test_table_with_scans_uses_them_alone():
    rows = [
        {"landmarks_3d": turned(head, 20.0).ravel().tolist(), "landmarks": [1.0] * 15, "pose_yaw": 45.0}
        for head in HEADS
    ]
    found = table_vectors(table([*rows, {"landmarks": [1.0] * 15}]))
    assert found.row_N.tolist() == [0, 1, 2]
    assert found.left_out == {"no landmarks": 1}
    np.testing.assert_allclose(found.x_NX, input_vectors(HEADS, None, y_down=False), atol=0.02)


def test_table_in_several_pieces():
    whole = table([{"landmarks_3d": head.ravel().tolist()} for head in HEADS])
    pieces = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert np.array_equal(table_vectors(pieces).x_NX, table_vectors(whole).x_NX)
    assert table_vectors(whole.slice(1)).x_NX.shape == (2, 249)


def test_table_without_landmarks_names_the_way_out():
    for rows in ([], [{"pose_yaw": 0.0}]):
        with pytest.raises(InputError, match="no row has landmarks; find some with --landmarks mtcnn"):
            table_vectors(table(rows))
