import numpy as np
import pytest
import torch

from fer_core.evaluation import average_precision, map_at_r
from fer_core.evaluation.average_precision import average_precisions


def slow_precisions(emb, labels):
    found = []
    for i, query in enumerate(emb.astype(np.float64)):
        ranked = sorted((float(np.sqrt(((query - other) ** 2).sum())), j) for j, other in enumerate(emb) if j != i)
        size = sum(labels[j] == labels[i] for _, j in ranked)
        total, hits = 0.0, 0
        for place, (_, j) in enumerate(ranked[:size], start=1):
            if labels[j] == labels[i]:
                hits += 1
                total += hits / place
        found.append(total / size if size else np.nan)
    return np.array(found)


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_it_is_the_slow_loop(spread):
    rng = np.random.default_rng(0)
    labels = np.array([7] * 60 + [-2] * 25 + [3] * 5 + [11])  # the last is alone
    emb = (np.searchsorted(np.unique(labels), labels)[:, None] + spread * rng.normal(size=(91, 3))).astype(np.float32)
    slow = slow_precisions(emb, labels)
    assert 0.1 < np.nanmean(slow) < 0.99
    np.testing.assert_allclose(average_precisions(emb, labels), slow, rtol=1e-12)
    assert map_at_r(torch.from_numpy(emb), torch.from_numpy(labels)) == pytest.approx(np.nanmean(slow), rel=1e-12)


@pytest.mark.parametrize(("hit", "expected"), [(0.1, 1 / 10), (1.0, 1 / 100)])
def test_one_of_ten_counts_by_its_place(hit, expected):
    emb = np.array([0.0, hit, *np.linspace(0.2, 0.9, 9), *[5.0] * 9])[:, None]
    labels = np.array([0, 0] + [1] * 9 + [0] * 9)
    assert average_precisions(emb, labels)[0] == pytest.approx(expected)


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_ties_go_by_the_lower_index(offset):
    rng = np.random.default_rng(1)
    emb = rng.integers(0, 2, (120, 3)).astype(np.float64) + offset  # eight points
    labels = rng.integers(0, 3, 120)
    np.testing.assert_allclose(average_precisions(emb, labels), slow_precisions(emb, labels), rtol=1e-12)


def test_a_collapsed_table_ranks_by_index_and_not_by_class():
    labels = np.array([1, 0, 0, 0])  # R = 2, and a miss comes first
    np.testing.assert_allclose(average_precisions(np.zeros((4, 2)), labels)[1:], [1 / 4, 1 / 4, 1 / 4])


def test_distinct_distances_are_not_compared_in_full(monkeypatch):
    monkeypatch.setattr(average_precision, "compared_in_full", None)
    rng = np.random.default_rng(2)
    emb, labels = rng.normal(size=(200, 8)), rng.integers(0, 2, 200)
    twice = np.concatenate([emb, emb])  # copies of one label: their order tells nothing
    assert np.isfinite(map_at_r(twice, np.concatenate([labels, labels])))


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(3)
    emb, labels = rng.normal(size=(150, 4)), rng.integers(0, 5, 150)
    whole = average_precisions(emb, labels)
    monkeypatch.setattr(average_precision, "_BLOCK_ELEMENTS", 1000)
    np.testing.assert_array_equal(average_precisions(emb, labels), whole)


def test_one_class_is_found_wholly():
    assert map_at_r(np.random.default_rng(4).normal(size=(30, 2)), np.zeros(30)) == 1.0


def test_refusals():
    with pytest.raises(ValueError, match="no class has two images"):
        map_at_r(np.ones((3, 2)), np.arange(3))
    with pytest.raises(ValueError, match="labels have shape"):
        map_at_r(np.ones((3, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="emb_ND holds a NaN"):
        map_at_r(np.full((3, 2), np.nan), np.zeros(3))
