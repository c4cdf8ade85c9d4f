import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_core.errors import InputError
from fer_core.synthetic import LANDMARK_GROUPS, Face, landmarks_3d, render
from fer_core.synthetic.actions import ACTION_UNITS, EXPRESSION_ACTIONS, action_units
from fer_core.synthetic.camera import Camera
from fer_core.synthetic.geometry import landmarks_of
from fer_core.synthetic.people import person_of
from fer_core.vocabulary import EIGHT

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = range(12)


def group(points, name):
    return points[LANDMARK_GROUPS[name]]


def digest(faces, size):
    total = hashlib.sha256()
    for face in faces:
        picture, marks = render(face, size)
        total.update(picture.tobytes() + marks.tobytes())
    return total.hexdigest()


def test_same_face_gives_same_bytes_in_another_process():
    faces = [Face(4, "fear", 0.7, -20.0, 3), Face(9, "contempt", 1.0, 45.0)]
    program = (
        "import hashlib\nfrom fer_core.synthetic import Face, render\ntotal = hashlib.sha256()\n"
        f"for face in {faces!r}:\n"
        "    picture, marks = render(face, 64)\n    total.update(picture.tobytes() + marks.tobytes())\n"
        "print(total.hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(faces, 64) == digest(faces, 64)


@pytest.mark.parametrize("size", [48, 96, 100])
def test_shapes_and_types(size):
    picture, marks = render(Face(1, "anger", 0.5, 10.0), size)
    assert (picture.shape, picture.dtype) == ((size, size, 3), np.uint8)
    assert (marks.shape, marks.dtype) == ((83, 3), np.float32)
    model = landmarks_3d(Face(1, "anger", 0.5, 10.0))
    assert (model.shape, model.dtype) == ((83, 3), np.float32)


def test_groups_cover_every_landmark_once():
    features = list(LANDMARK_GROUPS)[:8]
    indices = np.concatenate([group(np.arange(83), name) for name in features])
    assert np.array_equal(np.sort(indices), np.arange(83))


def test_lower_lid_lies_under_the_upper():
    points = landmarks_3d(Face(2, "neutral", 0.0, 0.0))
    for side in ("left", "right"):
        eye, lower = group(points, f"{side}_eye"), group(points, f"{side}_eye_lower")
        assert lower[:, 1].max() < eye[1:4, 1].min()
        assert set(map(tuple, lower)) <= set(map(tuple, eye))


@pytest.mark.parametrize("expression", EIGHT)
def test_landmarks_lie_in_the_picture(expression):
    for identity in range(15):
        for yaw in (-45.0, 0.0, 45.0):
            _, marks = render(Face(identity, expression, 1.0, yaw, identity), 48)
            assert marks[:, :2].min() > -0.5
            assert marks[:, :2].max() < 47.5


def test_landmarks_scale_with_the_picture():
    face = Face(3, "sadness", 0.6, 15.0, 2)
    small, large = render(face, 48)[1], render(face, 96)[1]
    # Pixel middles: coordinate c at size 48 is 2 c + 0.5 at size 96; depth has no such offset.
    np.testing.assert_allclose(large[:, :2], 2 * small[:, :2] + 0.5, atol=1e-3)
    np.testing.assert_allclose(large[:, 2], 2 * small[:, 2], atol=1e-3)


def grey_at(picture, place):
    column, row = np.rint(place[:2]).astype(int)
    return float(picture[row - 1 : row + 2, column - 1 : column + 2].mean())


@pytest.mark.parametrize("yaw", [-25.0, 0.0, 25.0])
def test_features_are_drawn_where_the_landmarks_are(yaw):
    mouths, eyes, cheeks = [], [], []
    for identity in PEOPLE:
        picture, marks = render(Face(identity, "surprise", 1.0, yaw), 96)
        near = "left_eye" if yaw > 0 else "right_eye"
        cheek = 0.5 * (marks[[38, 43]].mean(0) + group(marks, f"{near}_lower").mean(0))
        inner = group(marks, "inner_mouth")
        mouths.append(grey_at(picture, 0.4 * inner[2] + 0.6 * inner[6]))
        eyes.append(grey_at(picture, group(marks, near).mean(0)))
        cheeks.append(grey_at(picture, cheek))
    darker = np.array(mouths) < np.array(cheeks)
    assert darker.mean() >= 0.9
    assert np.mean(np.array(eyes) < np.array(cheeks)) >= 0.75


def test_degree_zero_is_neutral():
    neutral = landmarks_3d(Face(5, "neutral", 1.0, 0.0, 4))
    for expression in EIGHT:
        np.testing.assert_array_equal(landmarks_3d(Face(5, expression, 0.0, 30.0, 4)), neutral)
        np.testing.assert_array_equal(
            render(Face(5, expression, 0.0, 30.0, 4))[0], render(Face(5, "neutral", 0.7, 30.0, 4))[0]
        )


@pytest.mark.parametrize("expression", EIGHT[1:])
def test_degree_moves_the_face_steadily(expression):
    steps = [landmarks_3d(Face(6, expression, degree, 0.0)) for degree in np.linspace(0, 1, 11)]
    away = [np.linalg.norm(step - steps[0]) for step in steps]
    assert np.all(np.diff(away) > 0)
    assert np.max(np.diff(away)) < 0.4 * away[-1]


@pytest.mark.parametrize("expression", [name for name in EIGHT if name != "contempt"])
def test_symmetric_expressions_mirror(expression):
    units = dict.fromkeys(ACTION_UNITS, 0.0) | EXPRESSION_ACTIONS[expression]
    points = landmarks_of(person_of(7), units)
    mirrored = points * (-1, 1, 1)
    np.testing.assert_allclose(group(points, "left_eye"), group(mirrored, "right_eye"), atol=1e-9)
    np.testing.assert_allclose(group(points, "left_brow"), group(mirrored, "right_brow"), atol=1e-9)
    np.testing.assert_allclose(group(points, "contour"), group(mirrored, "contour")[::-1], atol=1e-9)


def test_yaw_mirrors_and_foreshortens():
    points = landmarks_of(person_of(7), dict.fromkeys(ACTION_UNITS, 0.0))
    turned = {yaw: Camera(yaw, 0.0, 40.0, (48.0, 48.0)).project(points) for yaw in (-30.0, 0.0, 30.0)}
    left, right = group(turned[-30.0], "left_eye"), group(turned[30.0], "right_eye")
    np.testing.assert_allclose(48 - left[:, 0], right[:, 0] - 48, atol=1e-9)
    np.testing.assert_allclose(left[:, 1:], right[:, 1:], atol=1e-9)
    assert group(turned[30.0], "nose_tip")[0, 0] > group(turned[0.0], "nose_tip")[0, 0] + 5

    def width(yaw, name):
        return np.ptp(group(turned[yaw], name)[:, 0])

    assert width(30.0, "right_eye") < 0.8 * width(30.0, "left_eye")


def test_yaw_leaves_model_landmarks_alone():
    np.testing.assert_array_equal(landmarks_3d(Face(8, "fear", 1.0, -40.0)), landmarks_3d(Face(8, "fear", 1.0, 40.0)))


@pytest.mark.parametrize("identity", PEOPLE)
def test_expressions_move_what_they_should(identity):
    def points(expression):
        return landmarks_3d(Face(identity, expression, 1.0, 0.0))

    def height(expression, name):
        return group(points(expression), name)[:, 1].mean()

    def opening(expression, name):
        return np.ptp(group(points(expression), name)[:, 1])

    assert height("happiness", "mouth_corners") > height("neutral", "mouth_corners") + 0.05
    assert height("sadness", "mouth_corners") < height("neutral", "mouth_corners") - 0.05
    assert height("surprise", "left_brow") > height("neutral", "left_brow") + 0.08
    assert height("anger", "left_brow") < height("neutral", "left_brow") - 0.04
    assert opening("surprise", "inner_mouth") > opening("neutral", "inner_mouth") + 0.15
    assert opening("fear", "right_eye") > opening("neutral", "right_eye")
    assert opening("happiness", "right_eye") < opening("neutral", "right_eye")
    fear, neutral = group(points("fear"), "mouth_corners"), group(points("neutral"), "mouth_corners")
    assert fear[1, 0] - fear[0, 0] > neutral[1, 0] - neutral[0, 0]


@pytest.mark.parametrize("identity", PEOPLE)
def test_contempt_is_unilateral_on_the_persons_side(identity):
    lift = landmarks_3d(Face(identity, "contempt", 1.0, 0.0)) - landmarks_3d(Face(identity, "neutral", 0.0, 0.0))
    left, right = group(lift, "mouth_corners")[:, 1]
    assert np.sign(right - left) == person_of(identity).contempt_side
    assert abs(right - left) > 0.04


def test_identities_differ():
    pictures = [render(Face(identity, "neutral", 0.0, 0.0))[0].astype(float) for identity in PEOPLE]
    shapes = [landmarks_3d(Face(identity, "neutral", 0.0, 0.0)) for identity in PEOPLE]
    for first in PEOPLE:
        for second in range(first):
            assert np.abs(pictures[first] - pictures[second]).mean() > 8
            assert np.abs(shapes[first] - shapes[second]).max() > 0.02
    assert len({person_of(identity).hair_style for identity in range(200)}) == 10


def test_variation_changes_the_take_but_not_the_person():
    face = Face(3, "disgust", 0.8, 0.0)
    again = dataclasses.replace(face, variation=1)
    assert not np.array_equal(render(face)[0], render(again)[0])
    assert np.abs(landmarks_3d(face) - landmarks_3d(again)).max() < 0.15
    assert action_units(face) != action_units(again)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("expression", "joy", "happiness"),
        ("degree", 1.1, "0 to 1"),
        ("degree", float("nan"), "0 to 1"),
        ("yaw", -46.0, "-45 to 45"),
        ("identity", -1, "0 or above"),
        ("variation", 0.5, "0 or above"),
    ],
)
def test_bad_fields_are_named_with_the_choices(field, value, says):
    good = {"identity": 0, "expression": "fear", "degree": 0.5, "yaw": 0.0, "variation": 0}
    with pytest.raises(InputError, match=field) as error:
        Face(**{**good, field: value})
    assert says in str(error.value)


def test_bad_size_is_named():
    with pytest.raises(InputError, match=r"size 8 .* 32 to 512"):
        render(Face(0, "fear", 0.5, 0.0), 8)
