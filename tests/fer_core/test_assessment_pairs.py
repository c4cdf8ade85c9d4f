from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from fer_core.assessment.pairs import IndexPairs, LeftOut, assess_pairs, make_pairs, protocol_pairs
from fer_core.datasets.base import Pair
from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import SubjectBootstrap
from fer_core.evaluation.verification import verification

SIZES = [1, 7, 2, 3, 1, 2, 12, 2, 5, 2, 4, 1, 3, 2]
"""Pictures of each person."""


def people(sizes=SIZES, seed=0):
    """(N,) who is on each picture, in a random order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


def unordered(pairs):
    return [frozenset(pair) for pair in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)]


# -- pairs that are made


@pytest.mark.parametrize(("num_pairs", "num_folds"), [(40, 2), (60, 3), (10_000, 4)])
def test_made_pairs_are_what_they_are_said_to_be(num_pairs, num_folds):
    identity_N = people()
    pairs = make_pairs(identity_N, num_pairs, num_folds, seed=1)
    assert np.array_equal(pairs.same, identity_N[pairs.first] == identity_N[pairs.second])
    assert len(set(unordered(pairs))) == len(pairs) <= num_pairs
    assert (pairs.first != pairs.second).all()
    for fold in range(num_folds):
        own = pairs.fold == fold
        assert pairs.same[own].sum() == (~pairs.same[own]).sum() > 0
        inside = set(identity_N[np.concatenate([pairs.first[own], pairs.second[own]])])
        outside = set(identity_N[np.concatenate([pairs.first[~own], pairs.second[~own]])])
        assert not inside & outside


def test_as_many_pairs_are_made_as_are_asked_for():
    identity_N = people([6] * 20)
    pairs = make_pairs(identity_N, 400, 10, seed=0)
    assert Counter(pairs.fold.tolist()) == dict.fromkeys(range(10), 40)


def test_all_pairs_of_one_person_are_taken_where_fewer_are_there():
    identity_N = people()
    pairs = make_pairs(identity_N, 10_000, 2, seed=1)
    couples = combinations(range(len(identity_N)), 2)
    wanted = {frozenset(couple) for couple in couples if len(set(identity_N[list(couple)])) == 1}
    assert {pair for pair, same in zip(unordered(pairs), pairs.same, strict=True) if same} == wanted


def test_pairs_are_spread_evenly_over_people():
    identity_N = people([200, *[4] * 39])
    pairs = make_pairs(identity_N, 400, 2, seed=3)
    of_one = Counter(identity_N[pairs.first[pairs.same]].tolist())
    assert set(of_one.values()) == {5}
    of_two = Counter(identity_N[np.concatenate([side[~pairs.same] for side in (pairs.first, pairs.second)])].tolist())
    assert set(of_two.values()) == {10}
    couples = {frozenset(identity_N[list(pair)].tolist()) for pair in unordered(pairs)}
    assert sum(len(couple) == 2 for couple in couples) == 200


def test_pairs_go_by_the_seed():
    first, again, other = (make_pairs(people(), 60, 3, seed) for seed in (0, 0, 1))
    assert unordered(first) == unordered(again)
    assert unordered(first) != unordered(other)


def test_pictures_of_unknown_people_are_in_no_pair():
    identity_N = np.concatenate([people(), [-1] * 5])
    pairs = make_pairs(identity_N, 200, 2, seed=0)
    assert (identity_N[np.concatenate([pairs.first, pairs.second])] >= 0).all()


@pytest.mark.parametrize(
    ("sizes", "num_folds"), [([2, 2, 1], 2), ([3, 1, 1, 1], 2), ([2] * 10, 6), ([2] * 10, 1), ([], 2)]
)
def test_too_few_people_are_refused(sizes, num_folds):
    with pytest.raises(InputError, match=f"too few for {num_folds} folds"):
        make_pairs(people(sizes), 40, num_folds, seed=0)


# -- pairs of a protocol


def test_pairs_of_a_protocol_are_those_with_both_pictures_tested():
    paths_N = np.array(["a/1", "b/1", "a/2", "c/1", "b/2"])
    protocol = [
        Pair("a/1", "a/2", True, 3),
        Pair("b/1", "b/2", True, 3),
        Pair("b/2", "a/2", False, 4),
        Pair("c/1", "b/1", False, 4),
        Pair("d/9", "c/1", False, 5),
    ]
    pairs, left_out = protocol_pairs(protocol, paths_N, np.array([4, 2, 1]))
    assert unordered(pairs) == [{2, 0}, {0, 1}]
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([2, 0], [0, 1])
    assert (pairs.same.tolist(), pairs.fold.tolist()) == ([True, False], [3, 4])
    assert left_out == LeftOut(same=1, different=2)
    whole, none = protocol_pairs(protocol[:4], paths_N, np.arange(5))
    assert (len(whole), none) == (4, LeftOut(0, 0))


def test_a_protocol_that_tests_nobody_is_refused():
    paths_N = np.array(["a/1", "a/2"])
    with pytest.raises(InputError, match="none of the protocol's 1 pairs has both pictures among the test rows"):
        protocol_pairs([Pair("a/1", "a/2", True, 0)], paths_N, np.array([0]))
    with pytest.raises(ValueError, match="3 test rows are of 2 source paths"):
        protocol_pairs([Pair("a/1", "a/2", True, 0)], paths_N, np.array([0, 1, 1]))


# -- what is measured


def embedded(noise, seed=0, sizes=SIZES):
    """Embeddings (N, 3) round one point a person, names of pictures and of people, and pairs."""
    identity_N = people(sizes)
    rng = np.random.default_rng(seed)
    emb_ND = rng.normal(size=(len(sizes), 3))[identity_N] + noise * rng.normal(size=(len(identity_N), 3))
    names_N = np.array([f"picture{at}" for at in range(len(identity_N))])
    return emb_ND.astype(np.float32), names_N, identity_N.astype(str), make_pairs(identity_N, 200, 3, seed=0)


def test_values_are_those_of_verification_and_lie_in_their_intervals():
    emb_ND, names_N, subjects_N, pairs = embedded(0.6)
    assessed = assess_pairs(emb_ND, names_N, subjects_N, pairs, seed=0, resamples=200)
    distance_P = ((emb_ND[pairs.first].astype(float) - emb_ND[pairs.second]) ** 2).sum(axis=1)
    expected = verification(distance_P, pairs.same, pairs.fold)
    values = {name: interval.value for name, interval in assessed.metrics.items()}
    assert values == {"pair_accuracy": expected.accuracy, "auc": expected.auc, "eer": expected.eer}
    assert 0.5 < values["pair_accuracy"] < 1
    for interval in assessed.metrics.values():
        assert 0 <= interval.low < interval.value < interval.high <= 1


def test_a_rate_is_measured_where_the_pairs_can_tell_it():
    emb_ND, names_N, subjects_N, _ = embedded(0.6, sizes=[6] * 40)
    for num_pairs, rates in ((400, ["tar_at_far_0.01"]), (198, [])):
        pairs = make_pairs(subjects_N.astype(int), num_pairs, 2, seed=0)
        metrics = assess_pairs(emb_ND, names_N, subjects_N, pairs, seed=0, resamples=50).metrics
        assert list(metrics) == ["pair_accuracy", "auc", "eer", *rates]


def test_the_table_tells_each_pair_and_its_decision():
    emb_ND, names_N, subjects_N, pairs = embedded(0.6)
    assessed = assess_pairs(emb_ND, names_N, subjects_N, pairs, seed=0, resamples=20)
    rows = assessed.table.to_pylist()
    assert list(rows[0]) == ["sample_id", "subject", "truth", "decision", "distance", "fold"]
    threshold_of = dict(zip(assessed.measured.folds.tolist(), assessed.measured.thresholds.tolist(), strict=True))
    right = {fold: [] for fold in threshold_of}
    for at, row in enumerate(rows):
        first, second = int(pairs.first[at]), int(pairs.second[at])
        assert row["sample_id"] == f"picture{first}|picture{second}"
        assert row["subject"] == subjects_N[first]
        assert row["truth"] == ("same" if subjects_N[first] == subjects_N[second] else "different")
        assert row["distance"] == pytest.approx(((emb_ND[first] - emb_ND[second]) ** 2).sum(), rel=1e-5)
        assert row["decision"] == ("same" if row["distance"] <= threshold_of[row["fold"]] else "different")
        right[row["fold"]].append(row["truth"] == row["decision"])
    accuracies = [np.mean(own) for own in right.values()]
    assert np.mean(accuracies) == pytest.approx(assessed.metrics["pair_accuracy"].value)


def test_resamples_are_the_measures_of_pairs_that_are_repeated():
    """Each resample by hand: the pairs as often as their people were drawn, then `verification` of that."""
    emb_ND, names_N, subjects_N, _ = embedded(0.8, sizes=[6] * 40)
    emb_ND = emb_ND.round(0)  # with ties
    pairs = make_pairs(subjects_N.astype(int), 800, 2, seed=0)
    assessed = assess_pairs(emb_ND, names_N, subjects_N, pairs, seed=4, resamples=30)
    distance_P, decision_P, truth_P = (assessed.table[name].to_numpy() for name in ("distance", "decision", "truth"))
    assert len(np.unique(distance_P)) < len(pairs) / 10
    first_P, second_P = subjects_N[pairs.first], subjects_N[pairs.second]
    people, at = np.unique(np.concatenate([first_P, second_P]), return_inverse=True)
    weights = np.concatenate(list(SubjectBootstrap(people, seed=4, resamples=30).weights())).astype(int)
    draws = {name: [] for name in assessed.metrics}
    for count_S in weights:
        first, second = np.split(count_S[at], 2)
        times = np.where(pairs.same, first, first * second)
        drawn = verification(distance_P.repeat(times), pairs.same.repeat(times), np.arange(times.sum()) % 2)
        draws["pair_accuracy"].append((decision_P == truth_P).repeat(times).mean())
        draws["auc"].append(drawn.auc)
        draws["eer"].append(drawn.eer)
        draws["tar_at_far_0.01"].append(drawn.tar_at_far[0.01])
    for name, draws_R in draws.items():
        low, high = np.quantile(draws_R, (0.025, 0.975))
        interval = assessed.metrics[name]
        assert interval.low == pytest.approx(min(low, interval.value), abs=1e-9), name
        assert interval.high == pytest.approx(max(high, interval.value), abs=1e-9), name
        assert interval.low < interval.high


def test_resamples_without_one_kind_of_pair_are_left_out():
    """Of three people often the one with pairs of his own, or all that he is compared with, is not drawn."""
    emb_ND = np.array([[0.0], [0.1], [0.2], [3.0], [7.0]])
    pairs = IndexPairs(
        np.array([0, 1, 0, 1]), np.array([1, 2, 3, 4]), np.array([True, True, False, False]), np.array([0, 1, 0, 1])
    )
    names = np.array(list("vwxyz"))
    metrics = assess_pairs(emb_ND, names, np.array(list("aaabc")), pairs, seed=0, resamples=100).metrics
    assert (metrics["auc"].low, metrics["auc"].high, metrics["eer"].high) == (1, 1, 0)


def test_a_better_embedding_measures_better():
    good, bad = (assess_pairs(*embedded(noise), seed=0, resamples=50).metrics for noise in (0.01, 3.0))
    assert (good["auc"].value, good["eer"].value) == (1, 0)
    assert good["pair_accuracy"].value > 0.95
    assert bad["auc"].value < 0.7
    assert bad["eer"].value > 0.3
    assert bad["pair_accuracy"].value < 0.7
