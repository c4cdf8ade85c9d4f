import numpy as np
import pytest

from fer_core.errors import InputError
from fer_core.landmarks.blinks import is_blink, lid_distance
from fer_core.landmarks.points import input_vectors
from fer_core.synthetic import Face, landmarks_3d
from fer_core.vocabulary import EIGHT


def frames(person):
    """A person's vectors, one an expression, the last with lids that nearly touch."""
    heads = [landmarks_3d(Face(person, name, 1.0, 0.0)) for name in EIGHT]
    shut = landmarks_3d(Face(person, "neutral", 0.0, 0.0))
    for upper, lower in (((1, 2, 3), (7, 6, 5)), ((9, 10, 11), (15, 14, 13))):
        shut[list(upper)] = shut[list(lower)] + (0, 0.01, 0)
    return input_vectors(np.stack([*heads, shut]), None, y_down=False)


@pytest.mark.parametrize(
    ("num_points", "eyes"),
    [
        (49, (([20, 21], [23, 24]), ([26, 27], [29, 30]))),
        (66, (([37, 38], [40, 41]), ([43, 44], [46, 47]))),
        (68, (([37, 38], [40, 41]), ([43, 44], [46, 47]))),
        (83, (([1, 2, 3], [5, 6, 7]), ([9, 10, 11], [13, 14, 15]))),
    ],
)
def test_distance_equals_the_loops(num_points, eyes):
    points = np.random.default_rng(0).normal(size=(4, num_points, 3))
    expected = [
        sum(np.linalg.norm(face[upper].mean(axis=0) - face[lower].mean(axis=0)) for upper, lower in eyes) / 2
        for face in points
    ]
    np.testing.assert_allclose(lid_distance(points.reshape(4, -1)), expected, atol=1e-12)


def test_only_shut_eyes_are_blinks():
    people = list(range(12))
    x_NX = np.concatenate([frames(person) for person in people])
    subjects = np.repeat([f"P{person}" for person in people], 9)
    expected = np.tile([False] * 8 + [True], 12)
    assert np.array_equal(is_blink(x_NX, subjects), expected)
    order = np.random.default_rng(0).permutation(len(x_NX))
    assert np.array_equal(is_blink(x_NX[order], subjects[order]), expected[order])


def test_each_person_has_their_own_opening():
    x_NX = np.concatenate([frames(0)[:4], frames(0)[-1:].repeat(3, axis=0)])
    assert is_blink(x_NX, ["a"] * 7).tolist() == [False] * 4 + [True] * 3
    assert not is_blink(x_NX, ["a"] * 4 + ["b"] * 3).any(), "someone whose eyes are always so is not blinking"


def test_what_has_no_lids():
    with pytest.raises(InputError, match="5 landmarks have no known eyelids"):
        is_blink(np.zeros((1, 15)), ["a"])
    with pytest.raises(ValueError, match="1 frames and 2 subjects"):
        is_blink(np.zeros((1, 249)), ["a", "b"])
    assert is_blink(np.zeros((0, 249)), []).shape == (0,)
