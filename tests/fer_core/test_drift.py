"""Drift is found where there is some and seldom where there is none; groups, not rows, are what counts."""

import numpy as np
import pytest
from scipy.stats import binom, chi2_contingency

from fer_core.drift import two_samples
from fer_core.drift.page import drift_page
from fer_core.drift.two_samples import LEAST_ALPHA, LEAST_GROUPS, Sample, compare, holm, too_few
from fer_core.figures.drift import drifted_classes, drifted_embeddings

CLASSES = ("anger", "happiness", "neutral")
DRAWS = 199
D = 64


def sample(rng, num_groups=30, of_a_group=1, shift=0.0, mix=(1 / 3, 1 / 3, 1 / 3), own=1.0):
    """People with a place of their own, `own` apart, in one of three clusters an expression."""
    centre_CD = 3 * np.eye(3, D)
    group_N = np.repeat(np.arange(num_groups), of_a_group)
    label_N = rng.choice(3, size=len(group_N), p=mix)
    person_GD = own * rng.normal(size=(num_groups, D))
    emb_ND = centre_CD[label_N] + person_GD[group_N] + 0.5 * rng.normal(size=(len(group_N), D))
    emb_ND[:, 5] += shift
    return Sample(emb_ND.astype(np.float32), np.array(CLASSES)[label_N], np.array([f"p{one}" for one in group_N]))


def p_values(reference, recent, seed=0):
    return [shift.p_value for shift in compare(reference, recent, seed, DRAWS).shifts]


@pytest.mark.parametrize(("of_a_group", "of_recent_group"), [(1, 1), (8, 8), (8, 1), (1, 8)])
def test_without_a_shift_false_alarms_are_as_rare_as_the_level_says(of_a_group, of_recent_group):
    rng = np.random.default_rng(1)
    found = []
    for seed in range(200):
        reference, recent = sample(rng, 15, of_a_group), sample(rng, 20, of_recent_group)
        found.append(p_values(reference, recent, seed))
    most = binom.ppf(0.9995, 200, 0.05)
    assert ((np.array(found) <= 0.05).sum(axis=0) <= most).all()
    assert np.mean(found, axis=0) == pytest.approx([0.5, 0.5], abs=0.1)  # p values of no shift are uniform


def test_rows_taken_for_independent_would_raise_false_alarms():
    """Why groups are permuted."""
    rng = np.random.default_rng(2)
    alarms = 0
    for seed in range(30):
        both = [sample(rng, 12, 8) for _ in range(2)]
        alone = [one._replace(group_N=np.arange(len(one.group_N))) for one in both]
        alarms += p_values(*alone, seed)[0] <= 0.05
    assert alarms > 20


def test_shifts_are_found():
    rng = np.random.default_rng(3)
    moved = [p_values(sample(rng, 100, own=0.3), sample(rng, 100, own=0.3, shift=1.0))[0] for _ in range(20)]
    mixed = [p_values(sample(rng, 100), sample(rng, 100, mix=(0.6, 0.2, 0.2)))[1] for _ in range(20)]
    assert np.mean(np.array(moved) <= 0.01) > 0.9
    assert np.mean(np.array(mixed) <= 0.01) > 0.7


def test_the_same_seed_gives_the_same_numbers_in_any_order_of_seeds():
    rng = np.random.default_rng(4)
    reference, recent = sample(rng, 40, 3), sample(rng, 40)
    first, other, again = (compare(reference, recent, seed, DRAWS).shifts for seed in (0, 1, 0))
    assert first == again
    assert first != other


def test_energy_is_what_its_definition_says():
    rng = np.random.default_rng(5)
    x_ND, y_MD = rng.normal(size=(7, 3)), rng.normal(1, 2, size=(5, 3))

    def mean(one, two):
        return np.mean([np.linalg.norm(a - b) for a in one for b in two])

    expected = 2 * mean(x_ND, y_MD) - mean(x_ND, x_ND) - mean(y_MD, y_MD)
    is_recent = np.repeat([[0.0, 1.0]], [7, 5], axis=1)
    distance_TT = two_samples.distances(np.concatenate([x_ND, y_MD]) + 1e4)  # far from 0, where squares lose digits
    assert two_samples.energy(distance_TT, is_recent)[0] == pytest.approx(expected, rel=1e-9)


def test_chi_square_is_scipys():
    rng = np.random.default_rng(6)
    label_T = rng.integers(3, size=40)
    is_recent = (rng.random((1, 40)) < 0.3).astype(float)
    table = [np.bincount(label_T[is_recent[0] == one], minlength=3) for one in (0, 1)]
    expected = chi2_contingency(table, correction=False).statistic
    assert two_samples.chi_square(np.eye(3)[label_T], is_recent)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("given", "adjusted"),
    [([0.01, 0.04], [0.02, 0.04]), ([0.04, 0.01], [0.04, 0.02]), ([0.03, 0.02], [0.04, 0.04]), ([0.9, 0.8], [1, 1])],
)
def test_holm(given, adjusted):
    assert holm(given) == pytest.approx(adjusted)


def test_of_large_groups_no_more_is_drawn_than_is_usual_in_the_other_sample():
    rng = np.random.default_rng(7)
    found = compare(sample(rng, 20, 8), sample(rng, 30, 2), 0, DRAWS)
    for one, groups in ((found.reference, 20), (found.recent, 30)):
        names, counts = np.unique(one.group_N, return_counts=True)
        assert len(names) == groups
        assert (counts == 2).all()


def test_no_more_rows_than_can_be_held(monkeypatch):
    monkeypatch.setattr(two_samples, "MOST_ROWS", 50)
    rng = np.random.default_rng(8)
    found = compare(sample(rng, 90, 3), sample(rng, 40, 3), 0, DRAWS)
    assert len(found.reference.label_N) == len(found.recent.label_N) == 50


def test_collapsed_embeddings_are_no_drift():
    rng = np.random.default_rng(9)
    flat = sample(rng)._replace(embedding_ND=np.ones((30, D), np.float32))
    embeddings, _ = compare(flat, flat, 0, DRAWS).shifts
    assert (embeddings.p_value, embeddings.size) == (1, 0)


def test_too_few_groups_say_nothing_however_many_rows():
    rng = np.random.default_rng(10)
    few, enough = sample(rng, LEAST_GROUPS - 1, 50), sample(rng, LEAST_GROUPS)
    assert too_few(enough, enough) is None
    assert too_few(few, enough).startswith("the reference has 9 ")
    assert too_few(enough, few).startswith("what was scored has 9 ")
    with pytest.raises(ValueError, match="10 are needed"):
        compare(enough, few, 0)


def test_embeddings_of_two_models_are_not_compared():
    rng = np.random.default_rng(11)
    one = sample(rng)
    with pytest.raises(ValueError, match="two models"):
        compare(one, one._replace(embedding_ND=one.embedding_ND[:, :8]), 0)


def test_the_lowest_level_can_be_reached():
    rng = np.random.default_rng(12)
    found = compare(sample(rng, 40), sample(rng, 40, shift=9, mix=(1, 0, 0)), 0)
    assert max(shift.adjusted_p for shift in found.shifts) <= LEAST_ALPHA


def drawn(found):
    return drifted_embeddings(found), drifted_classes(found, CLASSES)


def test_the_page_says_what_was_found():
    rng = np.random.default_rng(13)
    reference, recent = sample(rng, 60), sample(rng, 60, shift=9)
    found = compare(reference, recent, 0, DRAWS)
    page = drift_page("fer version 1", found, 0.05, (60, 60), drawn(found))
    assert "Drift in embeddings." in page
    assert f"{found.shifts[0].p_value:.6g}" in page
    assert page.count("data:image/png;base64,") == 2
    calm = compare(reference, reference, 0, DRAWS)
    assert "No drift can be seen." in drift_page("fer", calm, 0.05, (60, 60), drawn(calm))
