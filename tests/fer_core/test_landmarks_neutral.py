import math

import numpy as np
import pytest

from fer_core.landmarks import neutral
from fer_core.landmarks.neutral import most_central, neutral_rows

ABSENT, SMILE = {6: 0.0, 12: 0.0}, {6: 0.0, 12: 3.0}


def central_by_loops(rows):
    return min(range(len(rows)), key=lambda i: sum(math.dist(rows[i], other) for other in rows))


@pytest.mark.parametrize("num_candidates", [1, 2, 3, 40])
def test_most_central_equals_the_loops(num_candidates, monkeypatch):
    monkeypatch.setattr(neutral, "_BLOCK", 16)
    for seed in range(4):
        x_CX = np.random.default_rng(seed).normal(size=(num_candidates, 6))
        assert most_central(x_CX) == central_by_loops(x_CX.tolist())


def test_labelled_neutral_comes_before_absent_units():
    x_NX = np.arange(4.0)[:, None]
    found = neutral_rows(x_NX, ["a"] * 4, ["anger", "neutral", None, None], [None, None, ABSENT, ABSENT])
    assert found.row_N.tolist() == [1, 1, 1, 1]
    assert found == (found.row_N, 0, 0)


def test_of_several_the_one_in_the_middle():
    x_NX = np.array([0.0, 10.0, 4.0, 5.0, 9.0, 100.0])[:, None]
    labelled = neutral_rows(x_NX, ["a"] * 6, ["neutral"] * 4 + ["anger"] * 2, [None] * 6)
    assert set(labelled.row_N.tolist()) == {2}, "0, 10, 4 and 5: 4 and 5 are equally near, the first counts"
    by_units = neutral_rows(x_NX, ["a"] * 6, [None] * 6, [ABSENT, ABSENT, None, ABSENT, SMILE, ABSENT])
    assert set(by_units.row_N.tolist()) == {1}, "0, 10, 5 and 100: uncoded and smiling frames are no candidates"


def test_each_person_has_their_own_and_who_has_none_is_counted():
    x_NX = np.arange(8.0)[:, None]
    subjects = ["a", "b", "a", "c", None, "b", "c", "d"]
    expressions = ["neutral", None, "fear", "fear", "neutral", None, "anger", "surprise"]
    units = [None, SMILE, None, {}, ABSENT, list(ABSENT.items()), [(12, 1.0)], None]
    found = neutral_rows(x_NX, subjects, expressions, units)
    assert found.row_N.dtype == np.int64
    assert found.row_N.tolist() == [0, 5, 0, -1, -1, 5, -1, -1]
    assert (found.num_people_left_out, found.num_rows_left_out) == (2, 4)


def test_columns_of_different_lengths():
    with pytest.raises(ValueError, match=r"lengths \[2, 2, 1, 2\]"):
        neutral_rows(np.zeros((2, 3)), ["a", "a"], ["neutral"], [None, None])
