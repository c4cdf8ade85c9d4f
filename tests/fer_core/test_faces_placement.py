import cv2
import numpy as np
import pytest

from fer_core.faces.keypoints import five_points
from fer_core.faces.placement import (
    BEHIND,
    BOX_MARGIN,
    EYES_AT,
    SIDE,
    Placement,
    by_box,
    by_frame,
    by_key_points,
    by_landmarks,
    transform_of,
)
from fer_core.pose import GENERIC_FACE_P3
from fer_core.synthetic import LANDMARK_GROUPS, Face, render

RNG = np.random.default_rng(0)
ROLLS = (-180.0, -100.0, -45.0, -10.0, 0.0, 5.0, 90.0, 135.0)
SIZE = 100


def apply(transform, points):
    return points @ transform[:, :2].T + transform[:, 2]


def rolled(points_P2, degrees, about=(200.0, 150.0)):
    """Turned clockwise in the picture."""
    turn = np.deg2rad(degrees)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (points_P2 - about) @ spin + about


def marks_of(person, yaw=0.0, size=192):
    return render(Face(person, "neutral", 0.0, yaw), size)[1].astype(float)


def five_of(marks_P3):
    eyes = [marks_P3[LANDMARK_GROUPS[name]].mean(axis=0) for name in ("left_eye", "right_eye")]
    return np.stack([*eyes, *marks_P3[LANDMARK_GROUPS["nose_tip"]], *marks_P3[LANDMARK_GROUPS["mouth_corners"]]])


def generic(yaw, scale=2.0):
    """The generic face seen from a side, without perspective: (5, 2) pixels."""
    turn = np.deg2rad(yaw)
    x = GENERIC_FACE_P3[:, 0] * np.cos(turn) + GENERIC_FACE_P3[:, 2] * np.sin(turn)
    return scale * np.column_stack([x, GENERIC_FACE_P3[:, 1]]) + [200, 150]


def vertical(points_52):
    return points_52[3:].mean(axis=0) - points_52[:2].mean(axis=0)


def test_the_five_key_points_of_the_synthetic_landmarks_are_the_named_features():
    marks = marks_of(3, 20.0)
    np.testing.assert_allclose(five_points(marks), five_of(marks))
    np.testing.assert_allclose(five_points(marks[:, :2]), five_of(marks)[:, :2])


def test_sets_of_68_66_and_49_landmarks_are_one_set_with_points_left_out():
    """The 300-W figure: points 37 to 42 and 43 to 48 are the eyes, 31 the nose tip, 49 and 55 the corners."""
    marks = RNG.uniform(0, 100, (68, 2))
    marks[36:42] += [-200, 0]
    marks[42:48] += [200, 0]
    marks[48], marks[54] = (-150, 300), (150, 310)
    expected = [marks[36:42].mean(axis=0), marks[42:48].mean(axis=0), marks[30], marks[48], marks[54]]
    for chosen in (marks, np.delete(marks, [60, 64], axis=0), np.delete(marks, [60, 64], axis=0)[17:]):
        np.testing.assert_allclose(five_points(chosen), expected)


@pytest.mark.parametrize("roll", ROLLS)
def test_left_is_the_viewers_whichever_side_a_set_names_and_however_the_face_is_tilted(roll):
    points = rolled(generic(20), roll)
    np.testing.assert_array_equal(five_points(points), points)
    np.testing.assert_array_equal(five_points(points[[1, 0, 2, 4, 3]]), points)


@pytest.mark.parametrize("count", [1, 4, 6, 67, 84])
def test_the_key_points_of_an_unknown_set_are_not_known(count):
    assert five_points(RNG.uniform(0, 9, (count, 2))) is None


def test_a_frontal_face_is_placed_by_hand():
    points = np.array([[41.0, 50], [59, 50], [50, 60], [42, 70], [58, 70]])  # eyes 0.9 of the vertical apart
    side = 20 * SIDE
    expected = Placement(50.0, 50 + side * (0.5 - EYES_AT), side, 0.0, "x")
    made = by_key_points(points, None, "x")
    np.testing.assert_allclose(made[:4], expected[:4])
    assert made.by == "x"


def test_a_mouth_that_moves_changes_the_scale_by_a_quarter_of_its_way():
    neutral, open_ = np.array([[41.0, 50], [59, 50], [50, 60], [42, 70], [58, 70]]), np.array([0, 0, 0, 4.0, 4.0])
    made = by_key_points(neutral + np.stack([np.zeros(5), open_], axis=1), None, "x")
    np.testing.assert_allclose(made.side, 21 * SIDE)


@pytest.mark.parametrize("expression", ["happiness", "surprise", "disgust"])
def test_the_scale_is_nearly_that_of_the_neutral_face_whatever_the_expression(expression):
    for person in range(8):
        sides = []
        for kind, degree in (("neutral", 0.0), (expression, 1.0)):
            _, marks = render(Face(person, kind, degree, 0.0), 96)
            sides.append(by_landmarks(marks.astype(float), None, "x").placement.side)
        assert sides[1] == pytest.approx(sides[0], rel=0.07)  # the vertical alone changes by up to a quarter


@pytest.mark.parametrize("roll", ROLLS)
@pytest.mark.parametrize("person", [0, 7])
def test_the_eyes_of_a_face_lie_at_their_place_and_its_vertical_is_upright(person, roll):
    points = rolled(five_of(marks_of(person))[:, :2], roll)
    placement = by_key_points(points, None, "landmarks")
    moved = apply(transform_of(placement, SIZE, 0.0), points)
    # a share of the crop is half a pixel to the right of the pixel's centre
    np.testing.assert_allclose((moved[:2].mean(axis=0) + 0.5) / SIZE, [0.5, EYES_AT], atol=1e-6)
    assert vertical(moved)[0] == pytest.approx(0, abs=1e-6)
    assert vertical(moved)[1] == pytest.approx(SIZE / SIDE, rel=0.25)  # people's faces are longer or shorter
    lean = np.rad2deg(np.arctan2(*vertical(five_of(marks_of(person))[:, :2])))
    turned = (placement.tilt - roll + lean + 180) % 360 - 180
    assert turned == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("yaw", [-45.0, -20.0, 30.0, 45.0])
def test_the_scale_is_nearly_that_of_the_frontal_face_whatever_the_yaw(yaw):
    for person in range(8):
        frontal, turned = (by_landmarks(marks_of(person, angle), None, "x").placement for angle in (0.0, yaw))
        assert turned.side == pytest.approx(frontal.side, rel=0.08)


@pytest.mark.parametrize("yaw", [-90, -60, -30, 0, 30, 60, 90])
def test_towards_profile_the_square_moves_back_by_its_share(yaw):
    points = generic(yaw)
    placed = by_landmarks(points, None, "x")
    assert placed.yaw == pytest.approx(yaw, abs=1e-6)
    moved = apply(transform_of(placed.placement, SIZE, 0.0), points)
    eyes = (moved[:2].mean(axis=0) + 0.5) / SIZE
    back = BEHIND * np.sin(np.deg2rad(yaw))
    assert eyes[0] == pytest.approx(0.5 + back, abs=1e-6)
    assert eyes[1] == pytest.approx(EYES_AT, abs=0.02)


def test_the_yaw_that_is_known_goes_before_the_estimate_which_is_told():
    points = generic(30)
    placed = by_landmarks(points, -90.0, "x")
    assert placed.placement == by_key_points(points, -90.0, "x")
    assert placed.yaw == pytest.approx(30, abs=1e-6)


def test_a_mirrored_face_is_placed_in_the_mirror():
    points = rolled(generic(25), 12)
    mirrored = ([-1, 1] * points)[[1, 0, 2, 4, 3]]
    one, other = by_landmarks(points, None, "x").placement, by_landmarks(mirrored, None, "x").placement
    np.testing.assert_allclose([-other.x, other.y, other.side, -other.tilt], one[:4], atol=1e-9)


def test_landmarks_of_an_unknown_number_are_placed_by_their_box():
    points = RNG.uniform([10, 20], [110, 90], (30, 2))
    low, high = points.min(axis=0), points.max(axis=0)
    placed = by_landmarks(points, None, "landmarks")
    assert placed.yaw is None
    assert placed.placement.by == "box of landmarks"
    moved = apply(transform_of(placed.placement, 130, 0.0), points)
    np.testing.assert_allclose(moved.min(axis=0) + moved.max(axis=0), [129, 129], atol=1e-9)
    np.testing.assert_allclose(np.ptp(moved, axis=0).max(), 130 / (1 + 2 * BOX_MARGIN), atol=1e-9)
    assert placed.placement == by_box(low, high, "box of landmarks")


@pytest.mark.parametrize("count", [5, 30, 68, 83, 1])
def test_landmarks_that_are_one_point_place_nothing(count):
    assert by_landmarks(np.full((count, 3), 7.0), None, "x") is None
    assert by_landmarks(np.full((count, 3), 7.0), 30.0, "x") is None


def test_eyes_and_mouth_at_one_point_place_nothing():
    points = np.array([[40.0, 50], [60, 50], [50, 60], [40, 50.5], [60, 50.5]])
    assert by_key_points(points, None, "x") is None
    assert by_landmarks(points, None, "x") is None


def test_the_frame_is_the_largest_centred_square():
    assert by_frame(40, 60, "frame") == Placement(29.5, 19.5, 40.0, 0.0, "frame")
    assert by_frame(61, 40, "centre") == Placement(19.5, 30.0, 40.0, 0.0, "centre")
    np.testing.assert_array_equal(transform_of(by_frame(48, 48, "frame"), 48, 0.0), [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("rotation", [-45.0, -10.0, 0.0, 5.0, 30.0])
@pytest.mark.parametrize("face_size", [48, 236])
@pytest.mark.parametrize("tilt", [0.0, 25.0])
def test_the_transform_is_opencvs_rotation_about_the_centre_then_a_shift(rotation, face_size, tilt):
    placement = Placement(95.25, 90.5, 77.0, tilt, "x")
    centre = np.array([95.25, 90.5])
    expected = cv2.getRotationMatrix2D(tuple(centre), rotation + tilt, face_size / 77)
    expected[:, 2] += (face_size - 1) / 2 - centre
    made = transform_of(placement, face_size, rotation)
    np.testing.assert_allclose(made, expected, atol=1e-4)  # OpenCV rounds the centre to float32
    assert made.dtype == np.float64
    wider = transform_of(placement, face_size, rotation, margin=9)
    np.testing.assert_allclose(wider - made, [[0, 0, 9], [0, 0, 9]], atol=1e-9)


def test_a_positive_rotation_is_counter_clockwise():
    turned = apply(transform_of(by_frame(101, 101, "frame"), 101, 90.0), np.array([[100.0, 50.0]]))
    np.testing.assert_allclose(turned, [[50.0, 0.0]], atol=1e-12)  # from the right to the top
