from collections import Counter

import numpy as np
import pytest

from fer_core.errors import InputError
from fer_core.tuples import agreement, human_triplets, samples_to_ask, triplets_to_ask

VOTES = np.array([[0, 1, 2, 5, 0], [3, 4, 5, 1, 4], [0, 2, 3, 3, 2], [4, 0, 5, 0, 5], [5, 3, 1, 2, 3]])


def test_the_one_with_more_votes_is_the_positive():
    triplets, weight = human_triplets(VOTES)
    assert triplets.tolist() == [[0, 1, 2], [3, 5, 4], [0, 2, 3], [4, 5, 0], [5, 1, 3]]
    assert weight.tolist() == [5, 3, 1, 5, 1]
    assert triplets.dtype == weight.dtype == np.int64


def test_agreement_counts_by_the_split_of_the_reference():
    split = ["train", "test", "test", "train", "valid", "valid", "unused"]
    table = agreement(human_triplets(VOTES), split)
    assert table == {
        "train": {5: 1, 3: 1, 1: 1},
        "test": {5: 0, 3: 0, 1: 0},
        "valid": {5: 1, 3: 0, 1: 1},
        "unused": {5: 0, 3: 0, 1: 0},
    }
    with pytest.raises(InputError, match="split is missing in 1 of 7"):
        agreement(human_triplets(VOTES), [*split[:-1], None])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 1, 2, 2, 2], r"row 5 .*1: 2, 2: 2\) needs 5 votes"),
        ([0, 1, 2, 3, 3], "row 5 .*needs 5 votes"),
        ([0, 1, 2, 6, -1], "row 5 .*needs 5 votes"),
        ([0, 1, 2, 0, 0], "row 5 .*needs 5 votes"),
        ([0, 0, 2, 4, 1], "row 5 .*needs three different samples"),
        ([0, 2, 2, 4, 1], "row 5 .*needs three different samples"),
        ([2, 0, 2, 4, 1], "row 5 .*needs three different samples"),
    ],
)
def test_a_bad_row_is_named(row, message):
    with pytest.raises(InputError, match=message):
        human_triplets(np.array([*VOTES.tolist(), row]))


@pytest.mark.parametrize("votes", [VOTES[:, :4], VOTES[0], VOTES.astype(float)])
def test_only_five_columns_of_integers_are_votes(votes):
    with pytest.raises(ValueError, match=r"integers \(V, 5\) are needed"):
        human_triplets(votes)


def test_no_votes_are_no_triplets():
    triplets, weight = human_triplets(VOTES[:0])
    assert triplets.shape == (0, 3)
    assert weight.shape == (0,)


def test_one_sample_is_asked_about_for_each_person_and_combination():
    smile, frown, nothing = frozenset({6, 12}), frozenset({4}), frozenset()
    subject = ["ann", "ann", "ann", "ann", "bob", "bob", "bob", "bob", "bob"]
    units = [smile, smile, smile, nothing, smile, frown, frown, None, frozenset({12, 6})]
    blink = [False, True, False, False, False, True, True, False, True]
    chosen = {tuple(samples_to_ask(subject, units, blink, seed).tolist()) for seed in range(30)}
    assert chosen == {(0, 3, 4), (2, 3, 4)}
    made = samples_to_ask(subject, units, blink, seed=0)
    assert made.dtype == np.int64
    np.testing.assert_array_equal(made, samples_to_ask(subject, units, blink, seed=0))


def test_nothing_to_ask_about():
    assert samples_to_ask(["ann", "bob"], [None, frozenset()], [False, True], seed=0).tolist() == []
    assert samples_to_ask([], [], [], seed=0).tolist() == []


def test_samples_to_ask_refuses_bad_columns():
    with pytest.raises(InputError, match="subject is missing"):
        samples_to_ask(["ann", None], [frozenset()] * 2, [False] * 2, seed=0)
    with pytest.raises(ValueError, match="subject 1, action_units 1, blink 2"):
        samples_to_ask(["ann"], [frozenset()], [False] * 2, seed=0)


@pytest.mark.parametrize("per_sample", [3, 6, 12])
@pytest.mark.parametrize("num_samples", [7, 8, 9, 40, 1001])
def test_each_sample_is_in_exactly_so_many_questions(num_samples, per_sample):
    questions = triplets_to_ask(num_samples, per_sample, seed=3)
    assert questions.dtype == np.int64
    assert questions.shape == (num_samples * per_sample // 3, 3)
    assert all(len(set(question)) == 3 for question in questions.tolist())
    assert set(Counter(questions.ravel().tolist()).values()) == {per_sample}
    for column in questions.T:
        assert set(Counter(column.tolist()).values()) == {per_sample // 3}
    assert len({(a, frozenset((b, c))) for a, b, c in questions.tolist()}) == len(questions)


def test_the_seed_decides_the_questions():
    np.testing.assert_array_equal(triplets_to_ask(50, seed=0), triplets_to_ask(50, 6, seed=0))
    assert not np.array_equal(triplets_to_ask(50, seed=0), triplets_to_ask(50, seed=1))


@pytest.mark.parametrize(("num_samples", "per_sample"), [(0, 6), (2, 3), (3, 6), (4, 12)])
def test_too_few_samples_for_different_questions(num_samples, per_sample):
    with pytest.raises(InputError, match=f"{num_samples} samples are too few for {per_sample} different"):
        triplets_to_ask(num_samples, per_sample, seed=0)


@pytest.mark.parametrize("per_sample", [0, -3, 4, 1])
def test_per_sample_is_a_multiple_of_three(per_sample):
    with pytest.raises(ValueError, match="a positive multiple of 3 is needed"):
        triplets_to_ask(30, per_sample, seed=0)
