"""Figures of embeddings and of faces: slices, maps side by side, people, principal axes, pairs."""

import numpy as np
import pytest
from test_figures import decoded, faces, shows

from fer_core import figures
from fer_core.figures import slices
from fer_core.figures.embedding_map import drawn_rows
from fer_core.figures.latent import principal_axes
from fer_core.vocabulary import EIGHT

BLUE, HAPPINESS, ANGER = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0xD5, 0x5E, 0x00)


@pytest.fixture
def grids(monkeypatch):
    """The squares that are drawn, and their scale."""
    seen = []
    drawn = slices._draw_grid

    def spy(axes, squares, left, top, scale):
        seen.append((squares, scale))
        drawn(axes, squares, left, top, scale)

    monkeypatch.setattr(slices, "_draw_grid", spy)
    return seen


def test_slice_grids_show_values_at_equal_steps(grids):
    values = np.arange(2 * 3 * 256, dtype=np.float32).reshape(2, 3, 256)
    decoded(figures.slice_grids(faces(2), ["fear", "anger"], values, ["a", "b", "c"]))
    expected = [values[f, n, ::4].reshape(8, 8) for f in range(2) for n in range(3)]
    np.testing.assert_array_equal([squares for squares, _ in grids], expected)
    scales = {(scale.vmin, scale.vmax) for _, scale in grids}
    assert scales == {tuple(np.percentile(values[:, :, ::4], [1, 99]))}


@pytest.mark.parametrize(("num_values", "side"), [(1, 1), (10, 3), (64, 8), (100, 8)])
def test_slice_grids_of_any_size(grids, num_values, side):
    values = np.random.default_rng(0).normal(size=(1, 1, num_values))
    decoded(figures.slice_grids(faces(1, channels=()), ["a"], values, ["a rather long name of a slice"]))
    assert grids[0][0].shape == (side, side)
    assert len(np.unique(grids[0][0])) == side**2, "no value twice"


def test_slice_grids_refuse():
    values = np.ones((2, 3, 64))
    decoded(figures.slice_grids(faces(2), ["a", "b"], values, list("abc")))
    for images, titles, names in ((1, "ab", "abc"), (2, "a", "abc"), (2, "ab", "ab")):
        with pytest.raises(ValueError, match="do not fit"):
            figures.slice_grids(faces(images), list(titles), values, list(names))
    for wrong in (np.ones((2, 192)), np.zeros((2, 0, 64)), np.full((2, 3, 64), np.nan)):
        with pytest.raises(ValueError, match="finite values"):
            figures.slice_grids(faces(2), ["a", "b"], wrong, list("abc"))


def test_tsne_panels_share_images_and_legend():
    rng = np.random.default_rng(0)
    label = np.arange(30) % 2
    embeddings = {"none": rng.normal(size=(30, 3)), "both": rng.normal(size=(30, 5))}
    png = figures.tsne_panels(embeddings, label, EIGHT, seed=0, max_points=20)
    picture = decoded(png)
    assert shows(picture, HAPPINESS)
    assert not shows(picture, ANGER)
    assert png == figures.tsne_panels(embeddings, label, EIGHT, seed=0, max_points=20)
    four = decoded(figures.tsne_panels({str(i): np.ones((30, 3)) for i in range(4)}, label, EIGHT, seed=0))
    assert four.shape[0] == pytest.approx(2 * picture.shape[0], abs=2)
    assert four.shape[1] == picture.shape[1]


def test_no_more_points_are_drawn_than_asked_for():
    few, all_rows = drawn_rows(50, 0, 20), drawn_rows(50, 0, 2000)
    assert len(set(few.tolist())) == 20
    assert sorted(all_rows.tolist()) == list(range(50))
    assert (drawn_rows(50, 1, 20) != few).any()


def test_tsne_panels_refuse():
    with pytest.raises(ValueError, match="No embedding"):
        figures.tsne_panels({}, np.zeros(9, int), EIGHT, seed=0)
    with pytest.raises(ValueError, match="a label for each"):
        figures.tsne_panels({"a": np.ones((9, 2)), "b": np.ones((8, 2))}, np.zeros(9, int), EIGHT, seed=0)


def test_largest_clusters_are_by_size_then_number():
    cluster = np.array([4, 9, 4, 2, 9, 2, 4, 5])
    emb = np.arange(8.0)[:, None]
    found = figures.largest_clusters(emb, cluster, num_clusters=3, k=2)
    assert list(found) == [4, 2, 9]
    assert found[4].tolist() == [2, 0]  # mean 2.67: row 2 is the medoid, row 0 nearer to it than row 6
    assert list(figures.largest_clusters(emb, cluster, num_clusters=9)) == [4, 2, 9, 5]
    with pytest.raises(ValueError, match="0 clusters"):
        figures.largest_clusters(emb, cluster, num_clusters=0)


@pytest.mark.parametrize("num_people", [1, 5, 40])
def test_identity_clusters(num_people):
    rng = np.random.default_rng(0)
    identity = np.array([f"S{i % num_people:03}" for i in range(80)])
    cluster = np.arange(80) % 3
    emb = rng.normal(size=(80, 4)) + cluster[:, None]
    rows = figures.largest_clusters(emb, cluster, k=6)
    black = np.zeros((8, 8), np.uint8)
    shown = {number: [black] * len(members) for number, members in rows.items()}
    picture = decoded(figures.identity_clusters(shown, emb, identity, cluster, seed=0))
    assert shows(picture, BLUE)
    num_grey = (picture == (0xE4, 0xE7, 0xEC)).all(axis=2).sum()
    assert (num_grey > 1000) == (num_people > 12), "the others are grey"


def test_identity_clusters_with_few_points_on_the_map():
    """A cluster none of whose members is drawn has no number on the map."""
    emb, cluster = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40)
    picture = figures.identity_clusters({0: faces(1), 39: faces(1)}, emb, cluster, cluster, seed=0, max_points=5)
    decoded(picture)


def test_identity_clusters_refuse():
    emb, four = np.ones((4, 2)), np.zeros(4, int)
    for wrong in ({}, {0: []}, {7: faces(1)}):
        with pytest.raises(ValueError, match="At least one cluster"):
            figures.identity_clusters(wrong, emb, four, four, seed=0)
    for identity, cluster, num in ((four[:3], four, 4), (four, four[:3], 4), (four[:3], four[:3], 3)):
        with pytest.raises(ValueError, match="at least 4"):
            figures.identity_clusters({0: faces(1)}, emb[:num], identity, cluster, seed=0)


def test_principal_axes_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    values = (rng.normal(size=(50, 6)) * [5, 1, 3, 0.1, 2, 0.2] + 100).astype(np.float32)
    place, share = principal_axes(values)
    expected = PCA(3).fit(values.astype(np.float64))
    np.testing.assert_allclose(np.abs(place), np.abs(expected.transform(values.astype(np.float64))), rtol=1e-6)
    assert share == pytest.approx(expected.explained_variance_ratio_.sum(), rel=1e-9)
    assert place[values[:, 0].argmax(), 0] > 0, "the axis points to where its largest coefficient is positive"


def test_principal_axes_of_a_point():
    place, share = principal_axes(np.full((5, 4), 7.0))
    assert not place.any()
    assert np.isnan(share)


@pytest.mark.parametrize("num_panels", [1, 4, 5])
def test_latent_pca(num_panels):
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    representations = {f"M{i}": rng.normal(size=(60, 3 + i)) for i in range(num_panels)}
    picture = decoded(figures.latent_pca(representations, label, EIGHT, seed=0, max_points=40))
    assert shows(picture, HAPPINESS)
    assert not shows(picture, ANGER)


def test_latent_pca_corner_cases():
    decoded(figures.latent_pca({"one": np.ones((1, 3))}, np.array([0]), EIGHT, seed=0))
    label = np.zeros(5, int)
    with pytest.raises(ValueError, match="No representation"):
        figures.latent_pca({}, label, EIGHT, seed=0)
    for wrong in (np.ones((5, 2)), np.ones((4, 3)), np.ones(5)):
        with pytest.raises(ValueError, match="M1: "):
            figures.latent_pca({"M1": wrong}, label, EIGHT, seed=0)
    with pytest.raises(ValueError, match="M1 holds a NaN"):
        figures.latent_pca({"M1": np.full((5, 3), np.nan)}, label, EIGHT, seed=0)


def test_pairs_fill_lines():
    many = [tuple(faces(2, seed=i)) for i in range(10)]
    long, short = (decoded(figures.pairs(many[:n], ["fear -> anger"] * n)) for n in (10, 4))
    assert long.shape[0] > 2 * short.shape[0]
    assert long.shape[1] == short.shape[1]
    wide = decoded(figures.pairs(many[:4], ["happiness -> surprise, 11 of 11: a/long/path.png"] * 4))
    assert wide.shape[1] > 1.3 * short.shape[1]


def test_both_pictures_of_a_pair_are_shown():
    pair = np.full((9, 5, 3), (200, 30, 90), np.uint8), np.full((5, 9), 90, np.uint8)
    sheet = decoded(figures.pairs([pair], ["fear -> anger"]))
    for colour in ((200, 30, 90), (90, 90, 90)):
        assert shows(sheet, colour)
    for images, titles, columns in (([], [], 4), ([pair], [], 4), ([pair], ["a"], 0)):
        with pytest.raises(ValueError, match="one or more"):
            figures.pairs(images, titles, columns)
