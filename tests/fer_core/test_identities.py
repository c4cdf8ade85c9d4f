import cv2
import numpy as np
import pytest

from fer_core.estimates.clusters import NUM_PATTERNS, cluster_identities, describe_face, fit_whitening


def people(num_people, num_faces, spread, seed, num_dimensions=64):
    rng = np.random.default_rng(seed)
    identity_N = np.repeat(np.arange(num_people), num_faces)
    centre_PD = rng.normal(size=(num_people, num_dimensions))
    return centre_PD[identity_N] + spread * rng.normal(size=(len(identity_N), num_dimensions)), identity_N


def pattern_histograms(face, num_cells=8, radius=2):
    """The descriptor of a 112x112 face, pixel by pixel."""
    ring = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    uniform = [code for code in range(256) if sum(bit(code, i) != bit(code, (i + 1) % 8) for i in range(8)) <= 2]
    inner = len(face) - 2 * radius
    count = np.zeros((num_cells, num_cells, NUM_PATTERNS))
    for row in range(inner):
        for column in range(inner):
            y, x = row + radius, column + radius
            bits = [face[y + radius * down, x + radius * right] >= face[y, x] for down, right in ring]
            code = sum(int(value) << place for place, value in enumerate(bits))
            pattern = uniform.index(code) + 1 if code in uniform else 0
            count[row * num_cells // inner, column * num_cells // inner, pattern] += 1
    return np.sqrt(count / count.sum(axis=2, keepdims=True)).ravel() / num_cells


def bit(code, place):
    return code >> place & 1


def cluster_by_loops(emb_ND, min_similarity, min_shared, min_mean, num_neighbours):
    unit = emb_ND / np.linalg.norm(emb_ND, axis=1, keepdims=True)
    cosine = unit @ unit.T
    near = [set(np.argsort(-row)[: num_neighbours + 1].tolist()) for row in cosine]
    cluster = [{face} for face in range(len(unit))]
    links = []
    for one in range(len(unit)):
        for other in near[one] - {one}:
            shared = len(near[one] & near[other]) / len(near[one] | near[other])
            if cosine[one, other] >= min_similarity and shared >= min_shared:
                links.append((-cosine[one, other], one, other))
    for _, one, other in sorted(links):
        ours, theirs = cluster[one], cluster[other]
        if ours is not theirs and cosine[np.ix_(sorted(ours), sorted(theirs))].mean() >= min_mean:
            for face in ours | theirs:
                cluster[face] = ours | theirs
            for face in cluster[one]:
                cluster[face] = cluster[one]
    return {frozenset(members) for members in cluster}


def as_sets(cluster_N):
    return {frozenset(np.flatnonzero(cluster_N == name).tolist()) for name in set(cluster_N.tolist()) - {-1}}


def test_a_face_is_described_by_its_local_patterns():
    rng = np.random.default_rng(1)
    face = rng.integers(0, 256, (112, 112), dtype=np.uint8)
    found = describe_face(face)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, pattern_histograms(face), atol=1e-6)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_a_description_does_not_depend_on_brightness_or_channels_or_size():
    rng = np.random.default_rng(2)
    face = rng.integers(0, 120, (112, 112), dtype=np.uint8)
    np.testing.assert_array_equal(describe_face(face * 2 + 3), describe_face(face))
    np.testing.assert_array_equal(describe_face(np.repeat(face[:, :, None], 3, axis=2)), describe_face(face))
    doubled = cv2.resize(face, (224, 224), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(describe_face(doubled), describe_face(face))
    assert describe_face(face[:48, :48]).shape == (3776,)
    assert describe_face(face[:48, :48]) @ describe_face(face) < 0.99


@pytest.mark.parametrize("crop", [np.zeros((8, 8)), np.zeros((8, 9), np.uint8), np.zeros((0, 0), np.uint8)])
def test_a_crop_of_another_kind_is_an_error(crop):
    with pytest.raises(ValueError, match="is needed"):
        describe_face(crop)


def test_whitened_components_have_variance_one_and_no_covariance():
    rng = np.random.default_rng(3)
    table = rng.normal(size=(200, 12)) @ rng.normal(size=(12, 40)) * np.linspace(1, 100, 40)
    white = fit_whitening(table, 8).of(table)
    assert white.shape == (200, 8)
    assert white.dtype == np.float32
    np.testing.assert_allclose(white.T @ white / 199, np.eye(8), atol=1e-3)
    np.testing.assert_array_equal(white, fit_whitening(table, 8).of(table))
    assert fit_whitening(table).of(table[:7]).shape == (7, 12)
    assert fit_whitening(table[:12]).of(table).shape == (200, 3)  # a quarter of twelve
    for same in (np.ones((4, 3)), np.ones((1, 3))):
        with pytest.raises(ValueError, match="nothing to whiten"):
            fit_whitening(same)


@pytest.mark.parametrize(("spread", "limits"), [(1.0, (0.4, 0.2, 0.15)), (1.3, (0.3, 0.25, 0.3)), (1.6, (0.2, 0, 0.2))])
def test_clusters_are_those_of_the_loops(spread, limits):
    emb_ND, _ = people(12, 9, spread, seed=4, num_dimensions=24)
    found = cluster_identities(emb_ND, *limits, num_neighbours=6)
    assert as_sets(found) == cluster_by_loops(emb_ND, *limits, 6)
    assert 1 < len(set(found.tolist())) < 108


def test_people_who_are_well_apart_are_found_in_any_order():
    emb_ND, identity_N = people(40, [1] * 20 + [12] * 20, 0.5, seed=5)
    cluster_N = cluster_identities(emb_ND)
    assert cluster_N.dtype == np.int64
    np.testing.assert_array_equal(cluster_N, identity_N)
    order = np.random.default_rng(6).permutation(len(emb_ND))
    assert as_sets(cluster_identities(emb_ND[order] * 7)[np.argsort(order)]) == as_sets(identity_N)


def test_ids_follow_the_first_faces_and_small_clusters_are_none():
    emb_ND = np.eye(4)[[2, 0, 2, 1, 0, 2]]
    emb_ND[3] = 0
    assert cluster_identities(emb_ND, min_shared=0.0).tolist() == [0, 1, 0, -1, 1, 0]
    assert cluster_identities(emb_ND, min_shared=0.0, min_size=3).tolist() == [0, -1, 0, -1, -1, 0]
    assert cluster_identities(np.eye(3)).tolist() == [0, 1, 2]
    assert cluster_identities(np.eye(3), min_size=2).tolist() == [-1, -1, -1]
    assert cluster_identities(np.ones((1, 2))).tolist() == [0]
    assert cluster_identities(np.zeros((2, 2))).tolist() == [-1, -1]
    assert cluster_identities(np.zeros((0, 2))).tolist() == []


def test_a_chain_of_likenesses_is_not_one_person():
    angle = np.linspace(0, np.pi, 60)
    arc = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert len(set(cluster_identities(arc, min_shared=0.0, min_mean_similarity=-1.0).tolist())) == 1
    cluster_N = cluster_identities(arc, min_shared=0.0, min_mean_similarity=0.8)
    assert len(set(cluster_N.tolist())) > 1
    for name in set(cluster_N.tolist()):
        assert (arc[cluster_N == name] @ arc[cluster_N == name].T).mean() > 0.7


def test_bad_embeddings_are_errors():
    with pytest.raises(ValueError, match="a finite table"):
        cluster_identities(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="a finite table"):
        cluster_identities(np.ones(3))
    for wrong in ({"num_neighbours": 0}, {"min_size": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            cluster_identities(np.eye(3), **wrong)
