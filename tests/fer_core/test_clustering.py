from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from fer_core.evaluation import kmeans_labels, nmi, pair_f1
from fer_core.evaluation.clustering import contingency, nmi_of_table, pair_f1_of_table


def slow_pair_f1(a, b, image):
    """Over pairs of different images; `image` tells copies apart."""
    pairs = [(i, j) for i, j in combinations(range(len(a)), 2) if image[i] != image[j]]
    in_a, in_b = {p for p in pairs if a[p[0]] == a[p[1]]}, {p for p in pairs if b[p[0]] == b[p[1]]}
    return 2 * len(in_a & in_b) / (len(in_a) + len(in_b))


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_scikit_learn_and_of_the_slow_loop(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(10, 14, 60), rng.integers(0, 1 + seed, 60)
    assert nmi(a, b) == pytest.approx(normalized_mutual_info_score(a, b), abs=1e-12)
    assert nmi(b, a) == pytest.approx(nmi(a, b), abs=1e-12)
    assert pair_f1(a, b) == pytest.approx(slow_pair_f1(a, b, range(60)), abs=1e-12)


def test_corner_cases():
    one, two, own = np.zeros(4, int), np.array([0, 0, 1, 1]), np.arange(4)
    assert nmi(one, one) == 1.0
    assert nmi(one, two) == nmi(two, one) == 0.0
    assert nmi(two, 5 - two) == pytest.approx(1.0)
    assert nmi(own, own) <= 1.0
    assert pair_f1(own, own) == 1.0
    assert pair_f1(one, own) == 0.0
    with pytest.raises(ValueError, match="same images"):
        nmi(one, two[:3])
    with pytest.raises(ValueError, match="same images"):
        pair_f1(one[:0], one[:0])


def test_many_tables_at_once():
    rng = np.random.default_rng(0)
    labellings = [(rng.integers(0, 3, 30), rng.integers(0, 4, 30)) for _ in range(5)]
    tables = np.stack([contingency(a, b) for a, b in labellings])
    np.testing.assert_allclose(nmi_of_table(tables), [nmi(a, b) for a, b in labellings])
    np.testing.assert_allclose(pair_f1_of_table(tables, tables), [pair_f1(a, b) for a, b in labellings])


def test_an_image_and_its_copy_are_no_pair():
    a, b, times = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 0, 1, 1]), np.array([3, 1, 0, 2, 1])
    image = np.repeat(np.arange(5), times)
    table, squared = np.zeros((2, 2)), np.zeros((2, 2))
    np.add.at(table, (a, b), times)
    np.add.at(squared, (a, b), times**2)
    assert pair_f1_of_table(table, squared) == pytest.approx(slow_pair_f1(a[image], b[image], image))
    assert pair_f1_of_table(table, table) != pytest.approx(slow_pair_f1(a[image], b[image], image))


def test_kmeans_finds_separate_groups_and_repeats_itself():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    emb = (rng.normal(size=(60, 2)) + 50 * labels[:, None]).astype(np.float32)
    found = kmeans_labels(emb, 3, seed=1)
    assert nmi(found, labels) == pytest.approx(1.0)
    np.testing.assert_array_equal(found, kmeans_labels(emb, 3, seed=1))


def test_kmeans_of_a_collapsed_table_has_one_cluster():
    assert set(kmeans_labels(np.ones((10, 4), np.float32), 8, seed=0)) == {0}
    with pytest.raises(ValueError, match="at least 1"):
        kmeans_labels(np.ones((0, 4), np.float32), 8, seed=0)
