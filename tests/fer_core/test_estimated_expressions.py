import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_core.directories import Directory
from fer_core.divided import read_divided, read_undivided
from fer_core.estimates import expressions
from fer_core.estimates.expressions import EXPRESSIONS, SCHEMA, count_unknown, read_expressions, write_expressions
from fer_core.faces.warp import encode
from fer_core.folds import Part
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard
from fer_core.streaming import write_class_sorted

SIDE = 16
KNOWN, SURE, UNSURE = "anger", 200, 90
SPLITS = ("train", "valid", "test")


def label(faces_BHWC):
    """Bright faces are surely happy, dark ones perhaps sad: the middle pixel is the probability, in 255ths."""
    assert faces_BHWC.shape[1:] == (SIDE, SIDE, 3)
    middle = faces_BHWC[:, SIDE // 2, SIDE // 2, 0]
    return np.where(middle > 127, "happiness", "sadness"), middle / 255


def row(name, expression, tone, split, rotation=0.0, margin=0):
    face = np.pad(np.full((SIDE, SIDE), tone, np.uint8), margin, constant_values=255 - tone)
    known = {"split": split, "subject_id": name, "expression": expression}
    return {**known, "sample_id": name, "rotation": rotation, "image": encode(face)}


def rows_of(margin=0):
    """Of each split one annotated face, one the model is sure of and one it is not; training rows turned too."""
    kinds = {"known": (KNOWN, SURE), "sure": (None, SURE), "unsure": (None, UNSURE)}
    return [
        row(f"{split}-{kind}", expression, tone, split, rotation, margin)
        for split in SPLITS
        for kind, (expression, tone) in kinds.items()
        for rotation in ((0.0, 5.0) if split == "train" else (0.0,))
    ]


def faces_of(folder, margin=0, finish=True):
    faces = Directory(folder, "faces", kind="faces", config={}, inputs={}, code="test")
    faces.start()
    for number, split in enumerate(SPLITS):
        own = [row for row in rows_of(margin) if row["split"] == split]
        write_picture_shard(faces.path, f"part-{number:05d}.parquet", pa.Table.from_pylist(own, schema=SAMPLE_SCHEMA))
    return faces


def finished(faces):
    faces.finish([file.name for file in faces.path.glob("*.parquet")], {})
    return faces.path


def test_faces_without_an_expression_are_labelled_and_marked(tmp_path):
    faces = faces_of(tmp_path)
    progress = []
    assert count_unknown(faces.path) == 6
    assert write_expressions(faces.path, label, "model fer version 2", 0.5, progress=progress.append) == {
        "happiness": 3
    }
    table = pq.read_table(faces.path / EXPRESSIONS)
    assert table.schema == SCHEMA
    assert table["sample_id"].to_pylist() == [f"{split}-{kind}" for split in SPLITS for kind in ("sure", "unsure")]
    assert table["expression"].to_pylist() == ["happiness", None] * 3
    np.testing.assert_allclose(table["probability"].to_numpy(), [SURE / 255, UNSURE / 255] * 3, rtol=1e-6)
    assert set(table["expression_by"].to_pylist()) == {"model fer version 2"}
    assert progress == [2, 4, 6]
    assert read_expressions(finished(faces)) == {f"{split}-sure": "happiness" for split in SPLITS}


@pytest.mark.parametrize(
    ("least", "found"),
    [(0.0, {"happiness": 3, "sadness": 3}), (UNSURE / 255, {"happiness": 3, "sadness": 3}), (1.0, {})],
)
def test_what_is_less_probable_than_asked_stays_unknown(tmp_path, least, found):
    assert write_expressions(faces_of(tmp_path).path, label, "model", least) == found


def test_the_margin_of_a_virtual_form_is_not_shown_to_the_model(tmp_path):
    plain, wide = faces_of(tmp_path / "plain"), faces_of(tmp_path / "wide", margin=3)
    assert write_expressions(plain.path, label, "model", 0.5) == write_expressions(wide.path, label, "model", 0.5, 3)
    assert (plain.path / EXPRESSIONS).read_bytes() == (wide.path / EXPRESSIONS).read_bytes()


def test_many_faces_are_shown_a_few_at_a_time(tmp_path, monkeypatch):
    whole, parts = faces_of(tmp_path / "whole"), faces_of(tmp_path / "parts")
    write_expressions(whole.path, label, "model", 0.5)
    monkeypatch.setattr(expressions, "AT_ONCE", 1)
    seen = []
    write_expressions(parts.path, label, "model", 0.5, progress=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert (whole.path / EXPRESSIONS).read_bytes() == (parts.path / EXPRESSIONS).read_bytes()


def test_labels_that_stand_are_not_made_again(tmp_path):
    faces = faces_of(tmp_path)
    found = write_expressions(faces.path, label, "model", 0.5)
    assert write_expressions(faces.path, None, "model", 0.5) == found


def test_the_annotated_label_goes_first_and_a_guess_is_never_tested_against(tmp_path):
    faces = faces_of(tmp_path)
    write_expressions(faces.path, label, "model", 0.5)
    path = finished(faces)
    rows = read_divided(path, Part(), 0, ["expression", "rotation"])
    assert dict(zip(rows.sample_id.tolist(), rows.table["expression"].to_pylist(), strict=True)) == {
        "train-known": KNOWN,
        "train-sure": "happiness",
        "train-unsure": None,
        "valid-known": KNOWN,
        "valid-sure": "happiness",
        "valid-unsure": None,
        "test-known": KNOWN,
        "test-sure": None,
        "test-unsure": None,
    }
    assert rows.table.column_names[-2:] == ["expression", "rotation"]
    assert rows.table["expression"].to_pylist()[:6] == [KNOWN, KNOWN, "happiness", "happiness", None, None]
    assert set(read_undivided(path, ["expression"]).table["expression"].to_pylist()) == {KNOWN, None}
    assert "expression" not in read_divided(path, Part(), 0, ["rotation"]).table.column_names


def test_nothing_is_filled_in_where_nothing_was_estimated(tmp_path):
    path = finished(faces_of(tmp_path))
    assert read_expressions(path) == {}
    assert set(read_divided(path, Part(), 0, ["expression"]).table["expression"].to_pylist()) == {KNOWN, None}


def test_where_all_is_annotated_the_file_is_empty(tmp_path):
    faces = Directory(tmp_path, "faces", kind="faces", config={}, inputs={}, code="test")
    faces.start()
    known = [row for row in rows_of() if row["expression"]]
    write_picture_shard(faces.path, "part-00000.parquet", pa.Table.from_pylist(known, schema=SAMPLE_SCHEMA))
    assert write_expressions(faces.path, None, "model", 0.5) == {}
    assert read_expressions(finished(faces)) == {}


def test_estimates_go_along_with_a_class_sorted_copy(tmp_path):
    faces = faces_of(tmp_path)
    write_expressions(faces.path, label, "model", 0.5)
    path = finished(faces)
    copied = Directory(tmp_path, "stream", kind="faces", config={}, inputs={}, code="test")
    copied.start()
    assert sum(write_class_sorted(path, copied.path)) == 12
    assert read_expressions(finished(copied)) == read_expressions(path)
