"""The real sets, every picture read and cropped: what is taken, what is set aside, and why."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tiny

from fer_core.datasets import REGISTRY
from fer_core.directories import read_columns, read_manifest, read_tables
from fer_core.folds import Part
from fer_core.reading import read_faces

pytestmark = pytest.mark.slow


def catalog_of(home: Path, dataset: str, source: Path) -> Path:
    return tiny.write_catalog(home, dataset, source, rows_a_shard=512)


def test_ck_plus_is_taken_whole(tmp_path, real_ck_plus):
    catalog = catalog_of(tmp_path, "ck_plus", real_ck_plus)
    summary = read_manifest(catalog).summary
    assert (summary["rows"], summary["set_aside"], summary["subjects"]) == (981, {}, 118)
    sequences = read_columns(catalog, "part-", ["sequence_id"])["sequence_id"].to_pylist()
    assert len(set(sequences)) == 327
    assert set(Counter(sequences).values()) == {3}
    faces = read_faces(tiny.write_faces(tmp_path, catalog, 48, (-10.0, -5.0, 0.0, 5.0, 10.0)), Part(0, 10), 0)
    assert len(faces.sample_id) == 5 * 981
    assert faces.images(np.arange(0, 5 * 981, 50)).shape == (99, 48, 48, 3)


def test_ferplus_is_taken_but_for_ties_and_pictures_of_nothing(tmp_path, real_ferplus):
    catalog = catalog_of(tmp_path, "ferplus", real_ferplus)
    summary = read_manifest(catalog).summary
    aside = {"most votes for unknown or not a face": 225, "two labels share the most votes": 1778}
    assert (summary["rows"], summary["set_aside"]) == (33_707, aside)
    folder = Counter(path.split("/")[-2] for name in ("part-", "aside-") for path in paths_of(catalog, name))
    assert folder == {"FER2013Train": 28_558, "FER2013Valid": 3_579, "FER2013Test": 3_573}


def test_lfw_is_taken_whole_and_labels_of_other_pictures_are_set_aside(tmp_path, real_lfw):
    catalog = catalog_of(tmp_path, "lfw", real_lfw)
    summary = read_manifest(catalog).summary
    assert (summary["rows"], summary["set_aside"]) == (12_794, {"label matches no image": 924})
    pairs = REGISTRY["lfw"].pairs(real_lfw)
    assert len(pairs) == 5_605
    assert {path for pair in pairs for path in (pair.first, pair.second)} <= set(paths_of(catalog, "part-"))


@pytest.mark.timeout(600)
def test_kdef_is_taken_whole_and_a_face_is_found_in_all_but_the_nine_black_pictures(tmp_path, real_kdef):
    catalog = catalog_of(tmp_path, "kdef", real_kdef)
    summary = read_manifest(catalog).summary
    assert (summary["rows"], summary["set_aside"], summary["subjects"]) == (4_897, {}, 70)
    faces = tiny.write_faces(tmp_path, catalog, 64, (0.0,))
    made = read_manifest(faces).summary
    assert made["rows"] == 4_888
    assert made["set_aside"] == {"no face found": 9}
    contents = read_tables(catalog, "part-", ["source_path", "source_sha256"]).to_pylist()
    content_of = {row["source_path"]: row["source_sha256"] for row in contents}
    assert len({content_of[path] for path in paths_of(faces, "aside-")}) == 1  # they are one and the same file


def paths_of(directory: Path, prefix: str) -> list[str]:
    return read_tables(directory, prefix, ["source_path"])["source_path"].to_pylist()
