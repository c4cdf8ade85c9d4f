import numpy as np
import pytest

from fer_core.pose import GENERIC_FACE_P3, estimate_yaw, estimated_view, known_view, view_of
from fer_core.synthetic import LANDMARK_GROUPS, Face, render


def seen(yaw, roll=0.0, scale=1.7):
    """The generic face turned, then rolled, drawn without perspective."""
    yaw, roll = np.radians([yaw, roll])
    x = GENERIC_FACE_P3[:, 0] * np.cos(yaw) + GENERIC_FACE_P3[:, 2] * np.sin(yaw)
    turned = np.column_stack([x, GENERIC_FACE_P3[:, 1]])
    spin = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return scale * turned @ spin.T + [40, 90]


def five(marks):
    eyes = [marks[LANDMARK_GROUPS[name], :2].mean(axis=0) for name in ("left_eye", "right_eye")]
    return np.stack([*eyes, *marks[LANDMARK_GROUPS["nose_tip"], :2], *marks[LANDMARK_GROUPS["mouth_corners"], :2]])


@pytest.mark.parametrize("yaw", [-90, -61.5, -20, 0, 7, 45, 89])
@pytest.mark.parametrize("roll", [0, 30, -75])
@pytest.mark.parametrize("scale", [0.05, 8])
def test_exact_for_the_generic_face_whatever_its_roll_and_size(yaw, roll, scale):
    assert estimate_yaw(seen(yaw, roll, scale)) == pytest.approx(yaw, abs=1e-6)


@pytest.mark.parametrize("yaw", [-45, -20, 0, 20, 45])
def test_sign_and_size_agree_with_the_renderer(yaw):
    for person in range(8):
        marks = render(Face(person, "neutral", 0.0, float(yaw)), 96)[1]
        assert estimate_yaw(five(marks)) == pytest.approx(yaw, abs=4)


def test_a_mirrored_face_has_the_opposite_yaw():
    points = seen(25) + np.random.default_rng(0).normal(0, 1, (5, 2))
    mirrored = (points * [-1, 1])[[1, 0, 2, 4, 3]]
    assert estimate_yaw(mirrored) == pytest.approx(-estimate_yaw(points), abs=1e-9)


def test_stays_within_a_right_angle_for_any_points():
    rng = np.random.default_rng(1)
    assert all(abs(estimate_yaw(rng.normal(size=(5, 2)))) <= 90 for _ in range(200))


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.zeros((4, 2)), np.full((5, 2), np.nan)])
def test_points_without_a_yaw_are_refused(points):
    with pytest.raises(ValueError, match="five different points"):
        estimate_yaw(points)


def test_a_known_yaw_has_the_nearest_view_and_the_first_of_two_equally_near():
    assert [view_of(yaw) for yaw in (-90, -68, -67, -22.5, 0, 22.6, 80)] == [-90, -90, -45, -45, 0, 45, 90]


@pytest.mark.parametrize(
    ("stated", "yaw", "view"), [(30, 80.0, 30), (0, None, 0), (None, 80.0, 90), (None, None, None)]
)
def test_the_view_that_is_stated_goes_before_that_of_the_yaw(stated, yaw, view):
    assert known_view(stated, yaw) == view


def test_an_estimate_is_a_profile_from_where_profiles_are_estimated():
    yaws = (-90, -52.5, -52.4, -23, -22, 0, 22, 23, 52.4, 52.5, 80)
    assert [estimated_view(yaw) for yaw in yaws] == [-90, -90, -45, -45, 0, 0, 0, 45, 45, 90, 90]
