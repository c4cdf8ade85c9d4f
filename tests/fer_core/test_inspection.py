import shutil

import numpy as np
import tiny

from fer_core.datasets import REGISTRY
from fer_core.directories import read_manifest
from fer_core.ingest.inspection import inspect


def inspected(dataset, source, seen=None):
    return inspect(dataset, source, REGISTRY[dataset].stream(source), (seen if seen is not None else []).append)


def test_a_dry_run_counts_what_an_ingest_would_take(tmp_path, tiny_ferplus):
    (tiny_ferplus / "data" / "FER2013Train" / "fer0000003.png").write_bytes(b"cut")
    seen = []
    found = inspected("ferplus", tiny_ferplus, seen)
    catalog = tiny.write_catalog(tmp_path / "home", "ferplus", tiny_ferplus)
    taken = read_manifest(catalog).summary
    assert {name: found[name] for name in ("rows", "set_aside", "classes", "subjects")} == {
        name: taken[name] for name in ("rows", "set_aside", "classes", "subjects")
    }
    assert found["splits"] == {"test": 6, "train": 23, "valid": 6}
    assert found["set_aside_examples"]["image without a label"] == ["data/FER2013Train/unlabelled.png: "]
    assert seen == list(range(1, 36))


def test_counts_are_by_class_subject_and_pose(tiny_ck_plus):
    found = inspected("ck_plus", tiny_ck_plus)
    assert found["subjects"] == 8
    assert len(found["counts"]) == 24
    assert found["counts"][0] == {"expression": "anger", "subject": "S010", "pose": None, "rows": 2}
    assert sum(cell["rows"] for cell in found["counts"]) == found["rows"] == 48


def test_a_copy_of_a_training_picture_in_the_test_part_is_found(tiny_ferplus):
    data = tiny_ferplus / "data"
    picture = np.random.default_rng(5).integers(0, 255, (6, 6), dtype=np.uint8)
    large = np.kron(picture, np.ones((8, 8), np.uint8))
    tiny.write_png(data / "FER2013Train" / "fer0000001.png", large)
    shutil.copy(data / "FER2013Train" / "fer0000001.png", data / "FER2013Test" / "fer0000030.png")
    found = inspected("ferplus", tiny_ferplus)["near_duplicates"]
    pair = ("data/FER2013Train/fer0000001.png", "data/FER2013Test/fer0000030.png")
    overlap = next(one for one in found["overlaps"] if (one["first"], one["second"]) == ("train", "test"))
    assert pair in overlap["examples"]
    assert list(pair) in found["conflicts"]  # happiness in one, neutral in the other


def test_nothing_is_written(tiny_ck_plus):
    before = sorted(tiny_ck_plus.rglob("*"))
    inspected("ck_plus", tiny_ck_plus)
    assert sorted(tiny_ck_plus.rglob("*")) == before
