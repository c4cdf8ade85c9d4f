import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from fer_core.evaluation import acc_at_k, knn_predict, nearest, neighbours, recall_at_k
from fer_core.evaluation.shortlist import Shortlist


def slow_nearest(query, gallery, k, exclude_self):
    rows = []
    for i, q in enumerate(query.astype(np.float64)):
        pairs = [(np.sqrt(((q - g) ** 2).sum()), j) for j, g in enumerate(gallery.astype(np.float64))]
        rows.append(sorted(pair for pair in pairs if not (exclude_self and pair[1] == i))[:k])
    return np.array([[j for _, j in row] for row in rows]), np.array([[d for d, _ in row] for row in rows])


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("num_members", [7, 300])  # compared in full, and by shortlist
def test_nearest_is_the_slow_loop(num_members, exclude_self):
    rng = np.random.default_rng(0)
    gallery = rng.integers(0, 3, (num_members, 4)).astype(np.float32)  # a grid: most distances are tied
    query = gallery if exclude_self else rng.integers(0, 3, (5, 4)).astype(np.float32)
    index, distance = nearest(query, gallery, 6, exclude_self)
    slow_index, slow_distance = slow_nearest(query, gallery, 6, exclude_self)
    np.testing.assert_array_equal(index, slow_index)
    np.testing.assert_allclose(distance, slow_distance, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_nearest_agrees_with_scikit_learn_without_a_row_done_in_full(offset, monkeypatch):
    rng = np.random.default_rng(1)
    gallery = (rng.normal(size=(500, 16)) + offset).astype(np.float32)
    query = (rng.normal(size=(100, 16)) + offset).astype(np.float32)
    monkeypatch.setattr(neighbours, "compared_in_full", None)
    index, distance = nearest(torch.from_numpy(query), torch.from_numpy(gallery), 11)
    oracle = NearestNeighbors(n_neighbors=11, algorithm="kd_tree").fit(gallery.astype(np.float64))
    oracle_distance, oracle_index = oracle.kneighbors(query.astype(np.float64))
    np.testing.assert_array_equal(index, oracle_index)
    np.testing.assert_allclose(distance, oracle_distance, rtol=1e-9)


def test_blocks_do_not_change_the_answer(monkeypatch):
    table = np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32)
    whole = nearest(table, table, 5, exclude_self=True)
    monkeypatch.setattr(neighbours, "_BLOCK_ELEMENTS", 1000)
    blocks = nearest(table, table, 5, exclude_self=True)
    np.testing.assert_array_equal(whole[0], blocks[0])
    np.testing.assert_array_equal(whole[1], blocks[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["normal", "one cluster far away", "far queries", "tiny", "near ties"])
def test_no_member_off_a_shortlist_is_nearer_than_it_says(dtype, kind):
    rng = np.random.default_rng(5)
    gallery, query = rng.normal(size=(400, 24)), rng.normal(size=(60, 24))
    if kind == "one cluster far away":
        gallery[200:] = 50 + 1e-4 * gallery[200:]
        query = gallery[170:230].copy()
    elif kind == "far queries":
        query *= 1e5
    elif kind == "tiny":
        gallery, query = 1e-25 * gallery, 1e-25 * query
    elif kind == "near ties":  # on a sphere, but for what bfloat16 does not see
        gallery *= (1 + 1e-5 * rng.random((400, 1))) / np.linalg.norm(gallery, axis=1, keepdims=True)
        query *= 1e-3
    gallery, query = torch.from_numpy(gallery), torch.from_numpy(query)
    member, others = Shortlist(gallery, dtype).of(query, None, 20)
    exact = torch.cdist(query, gallery, compute_mode="donot_use_mm_for_euclid_dist").square()
    rest = exact.scatter(1, member, torch.inf).min(dim=1).values
    assert (others <= rest * (1 + 1e-12)).all()
    assert (member.diff(dim=1) > 0).all()
    if kind == "normal":
        assert (others > 0.9 * rest).all()  # nor is it so careful as to be of no use


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-7, 1e-4])
def test_near_ties_are_told_apart(gap, monkeypatch):
    # More members than a shortlist has are all but equally near: bfloat16, then float32 and float64, cannot tell.
    rng = np.random.default_rng(6)
    direction = rng.normal(size=(300, 32))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    gallery = direction * (1 + gap * rng.permutation(300)[:, None])
    query = 1e-9 * rng.normal(size=(20, 32))
    for fast in (True, False):
        monkeypatch.setattr(neighbours, "multiplies_bfloat16", lambda device, fast=fast: fast)
        index, distance = nearest(query, gallery, 5)
        slow_index, slow_distance = slow_nearest(query, gallery, 5, False)
        if gap:
            np.testing.assert_array_equal(index, slow_index)
        np.testing.assert_allclose(distance, slow_distance, rtol=1e-12)


def test_a_collapsed_table_is_ordered_by_index_and_never_retrieves_itself():
    index, distance = nearest(np.zeros((200, 2)), np.zeros((200, 2)), 3, exclude_self=True)
    assert index[:4].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert not distance.any()


def test_nearest_is_cut_to_what_there_is_and_takes_no_query():
    assert nearest(np.zeros((2, 2)), np.ones((3, 2)), 9)[0].shape == (2, 3)
    assert nearest(np.ones((3, 2)), np.ones((3, 2)), 9, exclude_self=True)[0].shape == (3, 2)
    assert nearest(np.zeros((0, 2)), np.ones((3, 2)), 2)[0].shape == (0, 2)


@pytest.mark.parametrize(
    ("query", "gallery", "k", "exclude_self", "message"),
    [
        (np.full((1, 2), np.nan), np.ones((3, 2)), 1, False, "query holds a NaN"),
        (np.ones((1, 2)), np.full((3, 2), np.inf), 1, False, "gallery holds a NaN or an infinity"),
        (np.ones((1, 2)), np.ones((3, 4)), 1, False, "same embedding size"),
        (np.ones((1, 2)), np.ones((3, 2)), 0, False, "at least 1"),
        (np.ones((1, 2)), np.ones((1, 2)), 1, True, "at least 1"),
        (np.ones((1, 2)), np.ones((3, 2)), 1, True, "must be the same"),
        (np.ones(2), np.ones((3, 2)), 1, False, "rows of embeddings"),
    ],
)
def test_nearest_refuses(query, gallery, k, exclude_self, message):
    with pytest.raises(ValueError, match=message):
        nearest(query, gallery, k, exclude_self)


def test_knn_takes_the_majority_and_gives_ties_to_the_class_with_the_nearest_member():
    gallery = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    labels = np.array([40, 7, 7, 40, 7])
    query = np.zeros((1, 1))
    assert [knn_predict(query, gallery, labels, k)[0] for k in (1, 2, 3, 4, 5, 99)] == [40, 40, 7, 40, 7, 7]
    # class 9 is nearest of all, but has one vote; 3 and 2 tie with two
    assert knn_predict(query, gallery, np.array([9, 3, 2, 2, 3]), 5)[0] == 3


def test_knn_agrees_with_scikit_learn_where_no_classes_tie():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 150)
    gallery, query = rng.normal(size=(150, 4)) + labels[:, None], rng.normal(size=(80, 4)) + 1
    oracle = KNeighborsClassifier(11).fit(gallery, labels)
    shares = np.sort(oracle.predict_proba(query), axis=1)
    clear = shares[:, -1] > shares[:, -2]
    assert 40 < clear.sum() < 80
    np.testing.assert_array_equal(knn_predict(query, gallery, labels)[clear], oracle.predict(query)[clear])


def test_every_gallery_member_needs_a_label():
    gallery, labels = np.array([[1.0], [2.0], [3.0]]), torch.tensor([2, 0, 2])
    with pytest.raises(ValueError, match="labels have shape"):
        knn_predict(np.zeros((1, 1)), gallery, labels[:2])


def test_recall_and_acc_are_the_slow_loop():
    rng = np.random.default_rng(3)
    emb, labels = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 4, 40)
    ks = (1, 2, 4, 8, 16, 32, 1000)
    index, _ = slow_nearest(emb, emb, 39, exclude_self=True)
    recall, acc = recall_at_k(emb, labels, ks), acc_at_k(torch.from_numpy(emb), torch.from_numpy(labels), ks)
    for k in ks:
        same = [labels[index[i, :k]] == labels[i] for i in range(40)]
        assert recall[k] == pytest.approx(np.mean([s.any() for s in same]))
        assert acc[k] == pytest.approx(np.mean([s.mean() for s in same]))


def test_a_copy_may_be_retrieved_but_not_the_query_itself():
    emb = np.array([[0.0], [0.0], [5.0]])
    assert recall_at_k(emb, np.array([0, 0, 1]), (1,)) == {1: pytest.approx(2 / 3)}
    assert acc_at_k(emb, np.array([0, 0, 1]), (2,)) == {2: pytest.approx(1 / 3)}


@pytest.mark.parametrize("ks", [(), (0, 1)])
def test_recall_refuses_no_k(ks):
    with pytest.raises(ValueError, match="from 1 on"):
        recall_at_k(np.ones((3, 1)), np.zeros(3), ks)
