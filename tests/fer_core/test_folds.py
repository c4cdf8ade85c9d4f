import hashlib
from collections import Counter

import numpy as np
import pytest

from fer_core.datasets import ck_plus
from fer_core.datasets.base import Pair
from fer_core.errors import InputError
from fer_core.folds import (
    HOLD_OUT_SHARE,
    VALIDATION_SHARE,
    Part,
    fold_by_pairs,
    fold_of_groups,
    folds_of_pairs,
    groups_of,
    hold_out,
    hold_out_exactly,
    roles,
    with_validation,
)

PEOPLE = [f"S{number:03d}" for number in range(103)]
RNG = np.random.default_rng(0)
ROWS = [PEOPLE[person] for person in np.concatenate([RNG.permutation(103), RNG.integers(0, 103, 900)])]


def test_a_group_is_the_subject_else_the_sequence_else_the_picture():
    assert groups_of(["s", None, None], ["q", "q", None], ["a", "b", "c"]) == ["s", "q", "c"]


@pytest.mark.parametrize("num_folds", [2, 3, 10, 103])
def test_folds_part_the_people_into_equal_numbers(num_folds):
    fold = fold_of_groups(ROWS, num_folds, seed=1)
    folds_of_person = {person: set(fold[np.array(ROWS) == person].tolist()) for person in PEOPLE}
    assert all(len(folds) == 1 for folds in folds_of_person.values())
    sizes = Counter(next(iter(folds)) for folds in folds_of_person.values())
    assert set(sizes) == set(range(num_folds))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_folds_do_not_go_by_the_order_of_the_rows():
    order = RNG.permutation(len(ROWS))
    shuffled = fold_of_groups([ROWS[row] for row in order], 10, seed=1)
    np.testing.assert_array_equal(shuffled, fold_of_groups(ROWS, 10, seed=1)[order])


def test_folds_go_by_the_seed_alone():
    np.random.seed(0)  # noqa: NPY002  global state must not matter
    first = fold_of_groups(ROWS, 10, seed=1)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(fold_of_groups(ROWS, 10, seed=1), first)
    assert (fold_of_groups(ROWS, 10, seed=2) != first).mean() > 0.5


def test_people_are_dealt_in_the_order_of_a_keyed_hash():
    order = sorted(PEOPLE, key=lambda person: hashlib.sha256(f"7\0{person}".encode()).hexdigest())
    expected = [order.index(person) % 4 for person in PEOPLE]
    assert fold_of_groups(PEOPLE, 4, seed=7).tolist() == expected


@pytest.mark.parametrize(("num_people", "num_folds"), [(3, 4), (3, 1), (0, 2)])
def test_more_folds_than_people_is_an_error(num_people, num_folds):
    with pytest.raises(InputError, match=f"{num_people} subjects cannot be dealt to {num_folds} folds"):
        fold_of_groups(PEOPLE[:num_people], num_folds, seed=0)


def test_the_hold_out_is_about_a_fifth_of_the_people_and_parts_none():
    people = [f"P{number:05d}" for number in range(5000)]
    share = hold_out(people).mean()
    assert abs(share - HOLD_OUT_SHARE) < 0.02  # 3.5 standard deviations of 5000 draws
    held = hold_out(ROWS)
    assert not {row for row, test in zip(ROWS, held, strict=True) if test} & {
        row for row, test in zip(ROWS, held, strict=True) if not test
    }


@pytest.mark.parametrize("num_people", range(1, 12))
def test_somebody_is_always_held_out(num_people):
    for first in range(60):
        assert hold_out(PEOPLE[first : first + num_people]).any()


def test_who_joins_moves_nobody_from_training_to_test():
    for number in range(1, len(PEOPLE)):
        before, after = hold_out(PEOPLE[:number]), hold_out(PEOPLE[: number + 1])[:number]
        assert not (after & ~before).any()
    assert (hold_out(PEOPLE[:50]) == hold_out(PEOPLE)[:50]).all()


@pytest.mark.parametrize("number", [1, 14, 57, 102])
def test_exactly_so_many_people_are_held_out(number):
    held = {row for row, test in zip(ROWS, hold_out_exactly(ROWS, number), strict=True) if test}
    left = {row for row, test in zip(ROWS, hold_out_exactly(ROWS, number), strict=True) if not test}
    assert len(held) == number
    assert not held & left


def test_those_held_out_exactly_are_those_of_the_hold_out_and_their_order_plays_no_part():
    held = hold_out(PEOPLE)
    np.testing.assert_array_equal(hold_out_exactly(PEOPLE, int(held.sum())), held)
    assert (hold_out_exactly(PEOPLE, int(held.sum()) + 1) & held).sum() == held.sum()
    np.testing.assert_array_equal(hold_out_exactly(PEOPLE[::-1], 14), hold_out_exactly(PEOPLE, 14)[::-1])


def test_the_part_says_how_many_people_are_tested_on():
    made = roles([None] * len(ROWS), ROWS, Part(test_people=14), seed=5)
    assert [role == "test" for role in made] == hold_out_exactly(ROWS, 14).tolist()


TEN_FOLDS = [Pair(f"a{fold}", f"b{fold}", same, fold) for fold in range(10) for same in (True, False)]


def test_pairs_are_tested_in_equal_numbers_of_the_protocols_folds():
    halves, fifths = (folds_of_pairs(TEN_FOLDS, number) for number in (2, 5))
    assert [halves[f"a{fold}"] for fold in range(10)] == [0] * 5 + [1] * 5
    assert [fifths[f"b{fold}"] for fold in range(10)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("pairs", "num_folds", "message"),
    [
        (TEN_FOLDS, 3, r"--folds 3 does not part the 10 folds .*; use --folds 2 or 5$"),
        (TEN_FOLDS, 10, "use --folds 2 or 5"),
        (TEN_FOLDS[:8], 4, "the 4 folds .* use --folds 2$"),
        (TEN_FOLDS[:2], 2, "the 1 folds .* leave --folds out"),
    ],
)
def test_folds_that_do_not_part_the_protocols_are_an_error(pairs, num_folds, message):
    with pytest.raises(InputError, match=message):
        folds_of_pairs(pairs, num_folds)


def test_a_protocol_of_which_a_fold_is_not_there_is_parted_by_the_others():
    pairs = [Pair(f"a{fold}", f"b{fold}", True, fold) for fold in (0, 1, 2, 9)]
    assert folds_of_pairs(pairs, 2) == {"a0": 0, "b0": 0, "a1": 0, "b1": 0, "a2": 1, "b2": 1, "a9": 1, "b9": 1}


def test_people_go_with_their_pairs_and_those_of_none_are_always_trained_on():
    groups, paths = ["ann", "bob", "ann", "carl"], ["a0", "b7", "other", "another"]
    parts = [Part(fold, 2, fold_of=folds_of_pairs(TEN_FOLDS, 2)) for fold in range(2)]
    assert fold_by_pairs(groups, paths, parts[0].fold_of).tolist() == [0, 1, 0, -1]
    made = [roles([None] * 4, groups, part, seed=0, paths=paths) for part in parts]
    assert made == [["test", "train", "test", "train"], ["train", "test", "train", "train"]]


def test_somebody_in_pairs_of_two_folds_is_an_error():
    part = Part(0, 2, fold_of=folds_of_pairs(TEN_FOLDS, 2))
    assert fold_by_pairs(["ann", "ann"], ["a0", "b4"], part.fold_of).tolist() == [0, 0]
    with pytest.raises(InputError, match="ann is in pairs of two folds"):
        roles([None] * 3, ["ann", "bob", "ann"], part, 0, ["a0", "a6", "b5"])


def test_a_part_tells_its_digest_all_that_divides_the_rows():
    assert Part(1, 4).told == [1, 4, None]
    own, fewer = folds_of_pairs(TEN_FOLDS, 2), folds_of_pairs(TEN_FOLDS[:12], 2)
    told = [Part(fold, 2, fold_of=fold_of).told for fold_of in (own, fewer) for fold in range(2)]
    assert len({str(one) for one in told}) == 4
    assert Part(1, 2, fold_of=dict(own)).told == told[1]


def test_an_official_split_is_kept():
    splits = ["train", "valid", "test", "train"]
    assert roles(splits, list("abcd"), Part(), seed=0) == splits


def test_a_part_of_a_cross_validation_tests_each_person_once():
    tested = np.array(
        [[role == "test" for role in roles([None] * 8, list("aabbccdd"), Part(k, 4), 0)] for k in range(4)]
    )
    assert (tested.sum(axis=0) == 1).all()
    assert (tested.sum(axis=1) == 2).all()
    assert (tested[:, ::2] == tested[:, 1::2]).all()


def test_without_a_split_and_folds_the_hold_out_is_tested_on():
    made = roles([None] * len(ROWS), ROWS, Part(), seed=5)
    assert [role == "test" for role in made] == hold_out(ROWS).tolist()
    assert set(made) == {"train", "test"}


def test_without_a_test_part_the_validation_part_is_tested_on():
    assert roles(["train", "valid", "train"], ["a", "b", "c"], Part(), 0) == ["train", "test", "train"]
    assert roles(["train", "valid", "test"], ["a", "b", "c"], Part(), 0) == ["train", "valid", "test"]


@pytest.mark.parametrize(
    ("splits", "groups", "part", "message"),
    [
        (["train", "test"], ["a", "b"], Part(0, 2), "official split, so --folds does not apply"),
        (["train", "train"], ["a", "b"], Part(), "no row is left to test on: the official split has none"),
        (["test", "test"], ["a", "b"], Part(), "no row is left to train on"),
        ([None, None], ["a", "a"], Part(), "no row is left to train on: 1 subjects"),
        ([None, None], ["a", "b"], Part(0, 3), "2 subjects cannot be dealt to 3 folds"),
        (["train", "test"], ["a", "b"], Part(test_people=1), "official split, so --test-people does not apply"),
        ([None, None], ["a", "b"], Part(test_people=2), "--test-people 2 leaves nobody to train on: there are 2"),
    ],
)
def test_a_part_that_leaves_nothing_is_an_error(splits, groups, part, message):
    with pytest.raises(InputError, match=message):
        roles(splits, groups, part, seed=0)


def test_ten_folds_of_ck_plus_hold_all_classes_in_training(real_ck_plus):
    rows = ck_plus.ADAPTER.scan(real_ck_plus).rows
    fold = fold_of_groups([row["subject_id"] for row in rows], 10, seed=0)
    expression = np.array([row["expression"] for row in rows])
    people = np.array([row["subject_id"] for row in rows])
    assert sorted(len(set(people[fold == k])) for k in range(10)) == [11] * 2 + [12] * 8
    for k in range(10):
        assert len(set(expression[fold != k])) == 7


def test_validation_people_are_an_eighth_of_those_who_are_trained_on_and_nobody_else():
    people = [f"P{number:05d}" for number in range(5000)]
    before = roles([None] * len(people), people, Part(), seed=0)
    after = with_validation(before, people)
    assert {(was, now) for was, now in zip(before, after, strict=True)} == {
        ("train", "train"),
        ("train", "valid"),
        ("test", "test"),
    }
    share = after.count("valid") / before.count("train")
    assert abs(share - VALIDATION_SHARE) < 0.02  # 3.8 standard deviations of 4000 draws


@pytest.mark.parametrize("part", [Part(), Part(2, 5)])
def test_no_group_is_in_two_roles(part):
    made = np.array(with_validation(roles([None] * len(ROWS), ROWS, part, seed=1), ROWS))
    people = [set(np.array(ROWS)[made == role]) for role in ("train", "valid", "test")]
    assert all(people)
    assert sum(map(len, people)) == len(PEOPLE)


def test_who_joins_moves_nobody_from_training_to_validation():
    for number in range(3, len(PEOPLE)):
        before, after = (
            np.array(with_validation(["train"] * count, PEOPLE[:count])) == "valid" for count in (number, number + 1)
        )
        assert not (after[:number] & ~before).any()
    assert with_validation(["train"] * 50, PEOPLE[:50]) == with_validation(["train"] * 103, PEOPLE)[:50]


@pytest.mark.parametrize("num_people", range(2, 12))
def test_somebody_is_always_validated_on_and_somebody_trained_on(num_people):
    for first in range(60):
        made = with_validation(["train"] * num_people, PEOPLE[first : first + num_people])
        assert set(made) == {"train", "valid"}


def test_an_official_validation_part_is_kept():
    given = ["train", "valid", "train", "test"]
    assert with_validation(given, list("abcd")) == given


def test_one_person_cannot_be_trained_and_validated_on():
    with pytest.raises(InputError, match="the training rows are of one subject, so none can be kept for validation"):
        with_validation(["train", "train", "test"], ["a", "a", "b"])
