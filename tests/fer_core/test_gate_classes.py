"""Is every class still found? What passes, what fails, what cannot be told."""

import dataclasses

import numpy as np
import pytest

from fer_core.evaluation.bootstrap import SubjectBootstrap
from fer_core.gate import Compared, compare_classes, least_rows, least_subjects
from fer_core.gate.classes import LEVEL, RESAMPLES

NUM_SUBJECTS, MARGIN = 40, 0.05


def compared(differences, num_rows, subjects=NUM_SUBJECTS, recall=0.8):
    """Classes c0, c1, ... of equally many rows, whose recall differs by so much, rows spread over the subjects."""
    correct, champion, truth = [], [], []
    for k, difference in enumerate(differences):
        order = np.random.default_rng(k).permutation(num_rows)
        champion.append(order < recall * num_rows)
        correct.append(order < (recall + difference) * num_rows)
        truth += [f"c{k}"] * num_rows
    subject = np.tile(np.arange(num_rows) % subjects, len(differences))
    return Compared(np.concatenate(correct), np.concatenate(champion), np.array(truth), subject)


def outcomes(rows, margin=MARGIN):
    return [check.outcome for check in compare_classes(rows, margin)]


def test_what_is_as_good_passes_and_what_collapses_fails():
    assert outcomes(compared([0, 0.05, -0.6], 400)) == ["passed", "passed", "failed"]


def test_a_proven_loss_within_the_margin_passes():
    rows = compared([-0.02, 0.01], 4000)
    check = compare_classes(rows, MARGIN)[0]
    assert check.difference.low > -MARGIN
    assert check.difference.high < 0
    assert (check.outcome, outcomes(rows, 0.02)[0]) == ("passed", "failed")


def test_what_may_be_a_loss_or_none_cannot_be_told():
    """Two models of one recall that err on different rows."""
    row = np.arange(300)
    (check,) = compare_classes(Compared(row % 10 > 1, row % 10 < 8, np.full(300, "c0"), row), MARGIN)
    assert check.difference.low <= -MARGIN
    assert check.difference.high >= 0
    assert check.outcome == "untold"


def test_few_rows_cannot_tell_even_where_not_one_is_lost():
    """Without discordant rows the bootstrap has an interval of no width, however few rows there are."""
    least = least_rows(MARGIN, 2)
    assert outcomes(compared([0, 0], least - 1)) == ["untold"] * 2
    assert outcomes(compared([0, 0], least)) == ["passed"] * 2
    assert outcomes(compared([0.2, -0.8], least - 9)) == ["passed", "failed"], "what is proven is told"


@pytest.mark.parametrize("margin", [0.02, 0.05, 0.3])
@pytest.mark.parametrize("num_classes", [1, 2, 8])
def test_the_least_rows_are_those_of_the_exact_binomial(margin, num_classes):
    least, tail = least_rows(margin, num_classes), LEVEL / 2 / num_classes
    assert (1 - margin) ** least <= tail < (1 - margin) ** (least - 1)


def test_one_subject_says_nothing_of_others():
    rows = compared([0, -0.8], 400)
    one = rows.truth_N == "c1"
    alone = Compared(rows.correct_N, rows.champion_N, rows.truth_N, np.where(one, 0, rows.subject_N))
    first, second = compare_classes(alone, MARGIN)
    assert (first.outcome, second.outcome, second.num_subjects) == ("passed", "untold", 1)
    assert (second.difference.low, second.difference.high) == (-1, 1)


@pytest.mark.parametrize(("num_tests", "least"), [(1, 6), (2, 7), (8, 9)])
def test_few_subjects_prove_nothing(num_tests, least):
    """All of them on one side is a proof where that happens by chance in less than 2.5 % / K of the cases."""
    assert least_subjects(num_tests) == least
    assert 2.0**-least < LEVEL / 2 / num_tests < 2.0 ** (1 - least)
    differences = [-0.5] + [0] * (num_tests - 1)
    assert compare_classes(compared(differences, 400, subjects=least - 1), MARGIN)[0].outcome == "untold"
    assert compare_classes(compared(differences, 400, subjects=least), MARGIN)[0].outcome == "failed"


def test_more_classes_are_more_tests():
    """The same rows among others have a wider interval, at the K-th of the level."""
    alone, among = compared([-0.1], 300), compared([-0.1] + [0] * 9, 300)
    (one,), (same, *_) = compare_classes(alone, MARGIN), compare_classes(among, MARGIN)
    assert same.difference.value == one.difference.value
    assert same.difference.low < one.difference.low
    assert same.difference.high > one.difference.high


def test_the_interval_is_that_of_resampled_subjects():
    rows = compared([-0.1, 0.1], 300, subjects=25)
    own = rows.truth_N == "c0"
    gain = (rows.correct_N.astype(float) - rows.champion_N) * own
    draws = []
    for weights in SubjectBootstrap(rows.subject_N, 0, RESAMPLES).weights():
        draws.extend((weight @ gain) / (weight @ own) for weight in weights)
    low, high = np.quantile(draws, (LEVEL / 4, 1 - LEVEL / 4))
    difference = compare_classes(rows, MARGIN)[0].difference
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=1e-12)


def test_a_class_that_is_missing_in_a_resample_is_still_measured():
    rows = compared([0.0, -0.5], 200, subjects=120)
    rare = (rows.truth_N == "c0") | (rows.subject_N < 7)
    few = Compared(rows.correct_N[rare], rows.champion_N[rare], rows.truth_N[rare], rows.subject_N[rare])
    check = compare_classes(few, MARGIN)[1]
    assert (check.num_rows, check.num_subjects) == (14, 7)
    assert -1 <= check.difference.low <= check.difference.value <= check.difference.high < 1


def test_without_a_champion_there_is_recall_alone():
    rows = compared([0, -0.6], 100)
    checks = compare_classes(dataclasses.replace(rows, champion_N=None), MARGIN)
    assert [(one.name, one.num_rows, one.num_subjects) for one in checks] == [("c0", 100, 40), ("c1", 100, 40)]
    assert [one.recall for one in checks] == pytest.approx([0.8, 0.2], abs=0.01)
    assert {(one.champion_recall, one.difference, one.outcome) for one in checks} == {(None, None, None)}


def test_pairs_have_classes_too():
    """Of verification the truth is same or different."""
    rows = compared([0, -0.6], 300)
    pairs = dataclasses.replace(rows, truth_N=np.where(rows.truth_N == "c0", "different", "same"))
    different, same = compare_classes(pairs, MARGIN)
    assert (different.name, different.outcome, same.name, same.outcome) == ("different", "passed", "same", "failed")
