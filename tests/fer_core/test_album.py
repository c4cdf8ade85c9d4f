import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from fer_core.errors import InputError
from fer_core.galleries import album
from fer_core.galleries.album import ALBUM, PAGE, SCHEMA, groups_of, write_album
from fer_core.galleries.gallery import Gallery, no_crops

SIZES = {"anger 1": 5, "happiness 2": 9, "happiness 1": 7}


@pytest.fixture
def gallery():
    """Three clusters of faces with pictures of their own tone, in a mixed order; two faces are gone."""
    rng = np.random.default_rng(0)
    sub_class = [name for name, size in SIZES.items() for _ in range(size)]
    sub_class = [sub_class[at] for at in rng.permutation(len(sub_class))]
    centre = {name: 10.0 * np.eye(6)[at] for at, name in enumerate(SIZES)}
    embedding_ND = np.stack([centre[name] + rng.normal(size=6) for name in sub_class]).astype(np.float32)
    names = [f"<{at}>.png" for at in range(len(sub_class))]

    def crops(asked):
        kept = [name for name in asked if name not in names[:2]]
        return {name: np.full((32, 32, 3), 5 * names.index(name), np.uint8) for name in kept}

    expression = [name.split()[0] for name in sub_class]
    return Gallery("scored pictures", names, expression, sub_class, embedding_ND, crops)


def test_the_groups_are_the_models_sub_classes_the_largest_first(gallery):
    groups = groups_of(gallery, "auto")
    assert {group.name: len(group.row_M) for group in groups} == SIZES
    assert [len(group.row_M) for group in groups] == [9, 7, 5]
    for group in groups:
        emb_MD = gallery.embedding_ND[group.row_M].astype(float)
        from_mean = np.linalg.norm(emb_MD - emb_MD.mean(axis=0), axis=1)
        assert from_mean.argmin() == 0
        np.testing.assert_allclose(group.distance_M, np.linalg.norm(emb_MD - emb_MD[0], axis=1))
        assert (np.diff(group.distance_M) >= 0).all()
        assert {gallery.sub_class[row] for row in group.row_M} == {group.name}


def test_so_many_groups_are_found_by_k_means(gallery):
    groups = groups_of(gallery, 3)
    found = [{gallery.sub_class[row] for row in group.row_M} for group in groups]
    assert found == [{"happiness 2"}, {"happiness 1"}, {"anger 1"}]
    assert sorted(group.name for group in groups) == ["group 1", "group 2", "group 3"]
    assert [group.row_M.tolist() for group in groups_of(gallery, 3)] == [group.row_M.tolist() for group in groups]
    assert len(groups_of(gallery, 1)[0].row_M) == 21


def test_what_cannot_be_grouped_is_said_with_the_way_out(gallery):
    with pytest.raises(InputError, match="--groups 22 are more than there are faces"):
        groups_of(gallery, 22)
    people = Gallery("scored pictures", gallery.name, [None] * 21, [None] * 21, gallery.embedding_ND, no_crops)
    with pytest.raises(InputError, match="say --groups NUMBER"):
        groups_of(people, "auto")
    assert len(groups_of(people, 2)) == 2


def test_the_table_holds_every_face_once_in_the_order_of_its_group(gallery, tmp_path):
    told = write_album(tmp_path, "Faces", gallery, "auto", 4)
    assert (told["rows"], told["gallery"]) == (21, "scored pictures")
    assert list(told["groups"].items()) == [("happiness 2", 9), ("happiness 1", 7), ("anger 1", 5)]
    table = pq.read_table(tmp_path / ALBUM)
    assert table.schema == SCHEMA
    rows = table.to_pylist()
    assert sorted(row["source_path"] for row in rows) == sorted(gallery.name)
    assert [row["rank"] for row in rows] == [*range(9), *range(7), *range(5)]
    assert [row["rank"] == 0 for row in rows] == [row["is_medoid"] for row in rows]
    assert all(row["distance"] == 0 for row in rows if row["is_medoid"])


def test_the_page_shows_the_faces_nearest_each_medoid_and_asks_nothing_of_the_network(gallery, tmp_path):
    told = write_album(tmp_path, "Faces <of> mine", gallery, "auto", 4)
    page = (tmp_path / PAGE).read_text()
    assert page.count('<li class="medoid">') == 3
    assert page.count("<figure>") == 12
    assert page.count('src="data:image/jpeg;base64,') == told["shown"] == 12 - page.count("the picture is gone")
    assert "<script" not in page
    assert not re.findall(r"https?://", page)
    assert "Faces &lt;of&gt; mine" in page
    assert "&lt;20&gt;.png" in page or "&lt;19&gt;.png" in page
    assert "<0>.png" not in page
    assert all(f'href="#group-{at}"' in page and f'id="group-{at}"' in page for at in (1, 2, 3))


def test_a_page_of_too_many_groups_shows_the_largest(gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(album, "MOST_SHOWN", 8)
    write_album(tmp_path, "Faces", gallery, "auto", 4)
    page = (tmp_path / PAGE).read_text()
    assert "The 2 largest groups are shown" in page
    assert ("happiness 1" in page, "anger 1" in page) == (True, False)
    assert len(pq.read_table(tmp_path / ALBUM)) == 21


def test_a_group_of_several_expressions_says_their_shares(gallery, tmp_path):
    write_album(tmp_path, "Faces", gallery, 1, 4)
    assert "happiness 76&nbsp;%, anger 24&nbsp;%" in (tmp_path / PAGE).read_text()
