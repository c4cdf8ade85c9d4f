import numpy as np
import pyarrow as pa
import pytest

from fer_core.label_audit.doubts import audit_labels, audit_table, audit_unseen


def slow_audit(emb, label, k):
    """The definition, a pair at a time: (row, proposed, share, neighbour), worst first."""
    found = []
    for row in range(len(emb)):
        distance = np.linalg.norm(emb.astype(np.float64) - emb[row].astype(np.float64), axis=1)
        others = [i for i in np.argsort(distance, kind="stable") if i != row][:k]
        for proposed in set(label.tolist()) - {int(label[row])}:
            carriers = [i for i in others if label[i] == proposed]
            if len(carriers) > len(others) / 2:
                found.append((-len(carriers) / len(others), distance[carriers[0]], row, proposed, carriers[0]))
    return [(row, proposed, -share, neighbour) for share, _, row, proposed, neighbour in sorted(found)]


@pytest.mark.parametrize("k", [1, 2, 4, 11, 500])
@pytest.mark.parametrize("num_classes", [2, 8])
def test_the_audit_is_the_slow_loop(num_classes, k):
    rng = np.random.default_rng(k)
    label = np.where(rng.random(200) < 0.6, num_classes // 2, rng.integers(num_classes, size=200))
    emb = (rng.normal(size=(num_classes, 3))[label] + rng.normal(size=(200, 3))).astype(np.float32)
    audit = audit_labels(emb, label, num_classes, k)
    expected = slow_audit(emb, label, k)
    assert len(expected) > 3
    assert len(audit) == len(expected)
    row, proposed, share, neighbour = map(np.array, zip(*expected, strict=True))
    np.testing.assert_array_equal(audit.index, row)
    np.testing.assert_array_equal(audit.proposed, proposed)
    np.testing.assert_allclose(audit.share, share, rtol=1e-12)
    np.testing.assert_array_equal(audit.neighbour, neighbour)
    np.testing.assert_array_equal(audit.label, label[row])


def planted(num_wrong=12):
    """Three clear classes of 100; the first `num_wrong` images carry the next class's label."""
    rng = np.random.default_rng(0)
    true = np.arange(300) % 3
    emb = 10 * np.eye(3)[true] + rng.normal(size=(300, 3))
    label = true.copy()
    label[:num_wrong] = (label[:num_wrong] + 1) % 3
    return emb.astype(np.float32), label, true


def test_wrong_labels_are_found_and_nothing_else():
    emb, label, true = planted()
    audit = audit_labels(emb, label, 3)
    assert sorted(audit.index.tolist()) == list(range(12))
    np.testing.assert_array_equal(audit.proposed, true[audit.index])
    assert (np.diff(audit.share) <= 0).all(), "worst first"
    assert (label[audit.neighbour] == audit.proposed).all()


def test_of_unseen_images_the_others_alone_are_searched():
    rng = np.random.default_rng(1)
    label = rng.integers(3, size=240)
    emb = (3 * np.eye(3)[label] + rng.normal(size=(240, 3))).astype(np.float32)
    audit = audit_unseen(emb[:40], label[:40], emb[40:], label[40:], 3)
    # one image at a time among the searched ones
    expected = [
        (row, *found[1:4])
        for row in range(40)
        for found in slow_audit(np.vstack([emb[[row]], emb[40:]]), np.append(label[row], label[40:]), 11)
        if found[0] == 0
    ]
    found = zip(audit.index, audit.proposed, audit.share, audit.neighbour + 1, strict=True)
    assert sorted(found) == sorted(expected)
    assert len(expected) > 1
    assert (np.diff(audit.share) <= 0).all()


def test_what_was_learnt_by_heart_is_doubted_by_who_has_not_seen_it():
    emb, label, true = planted()
    by_heart = (10 * np.eye(3)[label] + np.random.default_rng(2).normal(size=(300, 3))).astype(np.float32)
    assert len(audit_labels(by_heart, label, 3)) == 0
    audit = audit_unseen(emb[:100], label[:100], emb[100:], label[100:], 3)
    assert sorted(audit.index.tolist()) == list(range(12))
    np.testing.assert_array_equal(audit.proposed, true[audit.index])


def test_half_of_the_neighbours_is_no_majority():
    emb = np.array([[0.0], [1.0], [-1.1], [50.0], [51.0]])
    label = np.array([0, 1, 0, 1, 1])
    assert 0 not in audit_labels(emb, label, 2, k=2).index
    assert 0 in audit_labels(emb, label, 2, k=1).index


def test_copies_and_one_class():
    copies = audit_labels(np.zeros((5, 2), np.float32), np.array([0, 1, 1, 1, 1]), 2)
    assert copies.index.tolist() == [0]
    assert copies.neighbour.tolist() == [1]
    assert copies.share.tolist() == [1.0]
    assert len(audit_labels(np.ones((5, 2)), np.zeros(5, int), 4)) == 0


def test_the_audit_refuses():
    emb = np.zeros((4, 2), np.float32)
    for wrong in (np.zeros(3, int), np.zeros(4), np.zeros((4, 1), int)):
        with pytest.raises(ValueError, match="an integer for each"):
            audit_labels(emb, wrong, 2)
    for wrong in ([0, 1, 2, 0], [0, -1, 1, 0]):
        with pytest.raises(ValueError, match="0 to 1 is needed"):
            audit_labels(emb, np.array(wrong), 2)
    with pytest.raises(ValueError, match="0 to 1 is needed"):
        audit_unseen(emb, np.zeros(4, int), emb, np.array([0, 1, 2, 0]), 2)
    with pytest.raises(ValueError, match="NaN"):
        audit_labels(np.full((4, 2), np.nan), np.zeros(4, int), 2)
    with pytest.raises(ValueError, match="neighbours"):
        audit_labels(emb[:1], np.zeros(1, int), 2)


def test_the_table_names_what_was_found():
    emb, label, _ = planted(num_wrong=2)
    sample_id = np.array([f"s{i}" for i in range(300)])
    audit = audit_labels(emb, label, 3)
    table = audit_table(audit, sample_id, ("fear", "anger", "disgust"), [f"a/{i}.png" for i in range(299)] + [None])
    first = table.to_pylist()[0]
    row = int(audit.index[0])
    assert first == {
        "sample_id": f"s{row}",
        "source_path": f"a/{row}.png",
        "label": ("fear", "anger", "disgust")[label[row]],
        "trained": ("fear", "anger", "disgust")[label[row]],
        "proposed": ("fear", "anger", "disgust")[row % 3],
        "share": pytest.approx(audit.share[0]),
        "neighbour_id": f"s{audit.neighbour[0]}",
        "corrected": None,
        "note": None,
    }
    assert table.num_rows == 2
    with pytest.raises(ValueError, match="1 paths of 300"):
        audit_table(audit, sample_id, ("fear", "anger", "disgust"), ["a"])
    with pytest.raises(ValueError, match="2 labels of 300"):
        audit_table(audit, sample_id, ("fear", "anger", "disgust"), said=["fear", "anger"])


def test_an_empty_table_and_unknown_paths_keep_their_types():
    sample_id = np.array(["a", "b"])
    empty = audit_table(audit_labels(np.ones((2, 2)), np.zeros(2, int), 1), sample_id, ("fear",))
    emb, label, _ = planted(1)
    full = audit_table(audit_labels(emb, label, 3), np.array([str(i) for i in range(300)]), list("abc"))
    assert empty.num_rows == 0
    assert empty.schema == full.schema
    assert full.schema.field("source_path").type == pa.string()
    assert full["source_path"].to_pylist() == [None]
