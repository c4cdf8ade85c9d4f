"""Scored rows as samples, and which of them somebody has looked at."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fer_core.directories import Directory
from fer_core.drift.scored_rows import (
    LOOKED_AT,
    finished,
    marks_of,
    not_among,
    read_scores,
    sample_of_scores,
    sample_of_test_part,
)
from fer_core.errors import InputError
from fer_core.files import write_table
from fer_core.levels import embedding_column

RNG = np.random.default_rng(0)


def rows(paths, emb_ND=None):
    emb_ND = RNG.normal(size=(len(paths), 8)).astype(np.float32) if emb_ND is None else emb_ND
    columns = {"source_path": paths, "expression": ["anger"] * len(paths), "embedding": list(emb_ND)}
    return pa.table({**columns, "embedding": pa.array(columns["embedding"], pa.list_(pa.float32()))})


def looked(folder: Path, seen: pa.Table) -> Path:
    folder.mkdir()
    write_table(folder / LOOKED_AT, marks_of(seen))
    return folder


def test_what_was_looked_at_is_not_new_again(tmp_path):
    first = rows(["a.png", "b.png"])
    look = looked(tmp_path / "one", first)
    other_picture_of_the_name = rows(["a.png"])
    again = pa.concat_tables([first, rows(["c.png"]), other_picture_of_the_name])
    assert not_among(again, [look])["source_path"].to_pylist() == ["c.png", "a.png"]
    assert len(not_among(again, [])) == 4


def test_rounding_does_not_make_a_row_new(tmp_path):
    emb_ND = RNG.normal(size=(200, 8)).astype(np.float32)
    emb_ND[:, 0] -= emb_ND.sum(axis=1)  # means near 0, where nothing may be divided by them
    paths = [f"{at}.png" for at in range(200)]
    look = looked(tmp_path / "one", rows(paths, emb_ND))
    assert not len(not_among(rows(paths, emb_ND * np.float32(1 + 1e-6)), [look]))


@pytest.mark.parametrize(("group_by", "groups"), [("picture", ["a/1.png", "a/2.png", "a/film.mp4"]), ("folder", ["a"])])
def test_frames_of_a_video_are_one_group_and_on_wish_pictures_of_a_folder(group_by, groups):
    paths = ["a/1.png", "a/2.png", "a/film.mp4#0.00s", "a/film.mp4#12.40s"]
    sample = sample_of_scores(rows(paths), group_by)
    assert sorted(set(sample.group_N.tolist())) == groups
    assert sample.embedding_ND.shape == (4, 8)


def evaluation(folder: Path, ids: list[str], tested: list[str]) -> Path:
    folder.mkdir()
    told = {"sample_id": tested, "subject": ["x"] * len(tested), "decision": [f"says {one}" for one in tested]}
    write_table(folder / "predictions.parquet", pa.table(told))
    emb_ND = np.arange(2 * len(ids), dtype=np.float32).reshape(-1, 2)
    write_table(folder / "embeddings.parquet", pa.table({"sample_id": ids, "embedding": embedding_column(emb_ND)}))
    directory = Directory(folder.parent, folder.name, kind="evaluation", config={}, inputs={}, code="")
    directory.path = folder
    directory.finish(["predictions.parquet", "embeddings.parquet"], {})
    return folder


def test_a_test_part_is_put_together_by_the_pictures(tmp_path):
    sample = sample_of_test_part(evaluation(tmp_path / "one", ["b", "a"], ["a", "b"]))
    assert sample.label_N.tolist() == ["says a", "says b"]
    assert sample.embedding_ND.tolist() == [[2, 3], [0, 1]]


def test_a_test_of_pairs_is_none_of_pictures(tmp_path):
    assert sample_of_test_part(evaluation(tmp_path / "one", ["a", "b"], ["a|b"])) is None


def test_scores_of_one_version_are_found_and_read(tmp_path):
    made = {}
    for version in (1, 2):
        config = {"model_name": "fer", "model_version": version}
        directory = Directory(tmp_path, "fer", kind="scores", config=config, inputs={}, code="")
        (directory.path / "predictions.parquet").mkdir(parents=True)
        write_table(directory.path / "predictions.parquet" / "part-00000.parquet", rows([f"{version}.png"]))
        directory.finish(["predictions.parquet/part-00000.parquet"], {"rows": 1})
        made[version] = directory.path
    assert [path for path, _ in finished(tmp_path, "scores", "fer", 2)] == [made[2]]
    assert not list(finished(tmp_path, "drift", "fer", 2))
    assert read_scores([made[2]])["source_path"].to_pylist() == ["2.png"]
    (made[2] / "predictions.parquet" / "part-00000.parquet").unlink()
    with pytest.raises(InputError, match="missing or damaged"):
        read_scores([made[2]])
