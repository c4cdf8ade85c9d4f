import copy
from dataclasses import replace

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from model_fixtures import CLASSES, FACE, draw_face, faces_path, make_run, one_thread, silent  # noqa: F401

from fer_core import scoring
from fer_core.errors import InputError
from fer_core.predictor import Predictor
from fer_core.scoring import (
    PREDICTIONS,
    SCHEMA,
    Picture,
    Scorer,
    digest_of_pictures,
    list_pictures,
    read_digests,
    score_pictures,
    shard_files,
    summary_of,
    write_score_shard,
)


@pytest.fixture(scope="module")
def scorer(make_run):  # noqa: F811
    return Scorer("fer", 3, Predictor(*make_run("mul_dml")))


@pytest.fixture
def source(tmp_path):
    """Five good pictures at several depths, one of each that is none, and files that nobody asked about."""
    rng, source = np.random.default_rng(0), tmp_path / "source"
    (source / "b" / "deep").mkdir(parents=True)
    for at, name in enumerate(["z.png", "a.png", "b/c.png", "b/deep/d.PNG", "b-1.png"]):
        picture = cv2.imencode(".png", draw_face(rng, at % 3, 100))[1].tobytes()
        (source / name).write_bytes(picture)
    (source / "cut.png").write_bytes(picture[: len(picture) // 2])
    (source / "empty.bmp").touch()
    (source / "text.jpg").write_text("not a picture")
    (source / "gone.png").symlink_to(source / "nowhere")
    (source / "notes.txt").write_text("x")
    (source / ".hidden.png").write_bytes(picture)
    return source


GOOD = ["a.png", "b-1.png", "b/c.png", "b/deep/d.PNG", "z.png"]
REASONS = {
    "cut.png": "damaged or truncated picture",
    "empty.bmp": "empty file",
    "gone.png": "file does not exist",
    "text.jpg": "not a PNG, JPEG, BMP, TIFF picture",
}


def pictures_in(source):
    return list(read_digests(source, list_pictures(source)))


def test_pictures_of_any_depth_are_listed_sorted(source):
    assert list_pictures(source) == sorted([*GOOD, *REASONS])


def test_a_folder_without_a_picture_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no picture"):
        list_pictures(tmp_path)


def test_each_picture_is_scored_as_the_model_says_or_set_aside_with_the_reason(source, scorer):
    table, aside = score_pictures(source, pictures_in(source), scorer, silent)
    assert table.schema == SCHEMA
    assert table["source_path"].to_pylist() == GOOD
    made = scorer.predictor.predict_pictures([(source / name).read_bytes() for name in GOOD])
    assert table["expression"].to_pylist() == [CLASSES_IN_ORDER[index] for index in made.expression]
    np.testing.assert_allclose(table["probabilities"].to_pylist(), made.probability, atol=1e-6)
    np.testing.assert_allclose(table["embedding"].to_pylist(), made.embedding, atol=1e-6)
    level = scorer.predictor.level
    assert table["sub_class"].to_pylist() == [level.name_of(int(group), CLASSES_IN_ORDER) for group in made.group]
    assert set(table["model_name"].to_pylist()) == {"fer"}
    assert set(table["model_version"].to_pylist()) == {3}
    assert table["yaw"].null_count == 5
    assert {rejected.source_path: rejected.reason for rejected in aside} == REASONS


CLASSES_IN_ORDER = tuple(sorted(CLASSES, key=("happiness", "surprise", "anger").index))


def test_pictures_come_to_the_model_in_batches_and_none_is_lost(source, scorer, monkeypatch):
    monkeypatch.setattr("fer_core.predictor.MOST_AT_ONCE", 2)
    progress = []
    table, aside = score_pictures(source, pictures_in(source), scorer, progress.append)
    assert table["source_path"].to_pylist() == GOOD
    assert len(aside) == 4
    assert progress == sorted(progress)
    assert progress[-1] == 9
    monkeypatch.setattr("fer_core.predictor.PIXELS_AT_ONCE", 1)
    again, _ = score_pictures(source, pictures_in(source), scorer, silent)
    assert again["source_path"].to_pylist() == GOOD
    np.testing.assert_allclose(again["embedding"].to_pylist(), table["embedding"].to_pylist(), atol=1e-6)


def of_kind(scorer, **description):
    predictor = copy.copy(scorer.predictor)
    predictor.description = replace(predictor.description, **description)
    return scorer._replace(predictor=predictor)


def test_a_picture_without_a_face_is_set_aside_where_faces_are_looked_for(tmp_path, scorer):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((FACE, FACE, 3), 127, np.uint8))
    table, aside = score_pictures(tmp_path, pictures_in(tmp_path), of_kind(scorer, frame_is_face=False), silent)
    assert (len(table), table.schema) == (0, SCHEMA)
    assert [rejected.reason for rejected in aside] == ["no face found"]


def test_the_view_is_said_by_a_model_that_estimates_it(source, scorer, monkeypatch):
    predictor = copy.copy(scorer.predictor)
    decide = predictor.predicted
    views = np.array([-45, 0, 0, 45, 90])
    monkeypatch.setattr(predictor, "predicted", lambda given: replace(decide(given), yaw=views))
    table, _ = score_pictures(source, pictures_in(source), scorer._replace(predictor=predictor), silent)
    assert table["yaw"].to_pylist() == views.tolist()


def test_of_a_model_that_decides_by_distance_the_embedding_is_all(source, scorer):
    predictor = copy.copy(scorer.predictor)
    predictor.decides_by = "distance"
    table, aside = score_pictures(source, pictures_in(source), scorer._replace(predictor=predictor), silent)
    whole, _ = score_pictures(source, pictures_in(source), scorer, silent)
    assert table["embedding"].equals(whole["embedding"])
    assert [table[name].null_count for name in ("expression", "probabilities", "sub_class", "yaw")] == [5] * 4
    assert len(aside) == 4
    with pytest.raises(InputError, match="tells people apart and says no expression"):
        predictor.predict_pictures([(source / "a.png").read_bytes()])


def test_a_file_that_changes_meanwhile_is_an_error(source, scorer):
    pictures = pictures_in(source)
    (source / "z.png").write_bytes((source / "a.png").read_bytes())
    with pytest.raises(InputError, match=r"z\.png has changed while it was scored"):
        score_pictures(source, pictures, scorer, silent)
    (source / "z.png").unlink()
    with pytest.raises(InputError, match=r"z\.png has changed"):
        score_pictures(source, pictures, scorer, silent)


def test_the_digest_goes_by_names_and_contents(source):
    before = pictures_in(source)
    assert digest_of_pictures(pictures_in(source)) == digest_of_pictures(before)
    renamed = [before[0]._replace(source_path="other.png"), *before[1:]]
    changed = [before[0]._replace(sha256="0" * 64), *before[1:]]
    unreadable = [Picture(before[0].source_path, None, "file cannot be read"), *before[1:]]
    variants = [before, renamed, changed, unreadable, before[1:]]
    assert len({digest_of_pictures(one) for one in variants}) == len(variants)


def test_a_shard_that_stands_is_left_and_half_of_one_is_made_again(source, scorer, tmp_path, monkeypatch):
    folder, pictures, progress = tmp_path / "scores", pictures_in(source), []
    folder.mkdir()
    write_score_shard(folder, 0, source, pictures[:4], scorer, silent)
    write_score_shard(folder, 1, source, pictures[4:], scorer, silent)
    files = [folder / name for number in (0, 1) for name in shard_files(number)]
    before = [file.read_bytes() for file in files]
    assert pq.read_table(folder / PREDICTIONS)["source_path"].to_pylist() == GOOD
    assert summary_of(folder, 2) == {
        "rows": 5,
        "set_aside": dict.fromkeys(sorted(REASONS.values()), 1),
        "expressions": summary_of(folder, 2)["expressions"],
    }
    assert sum(summary_of(folder, 2)["expressions"].values()) == 5
    files[3].unlink()
    write_score_shard(folder, 1, source, pictures[4:], scorer, silent)
    monkeypatch.setattr(scoring, "score_pictures", None)
    write_score_shard(folder, 0, source, pictures[:4], scorer, progress.append)
    assert progress == [4]
    assert [file.read_bytes() for file in files] == before


def test_a_shard_of_which_nothing_is_usable(source, scorer, tmp_path):
    (tmp_path / "scores").mkdir()
    (picture,) = (picture for picture in pictures_in(source) if picture.source_path == "empty.bmp")
    write_score_shard(tmp_path / "scores", 0, source, [picture], scorer, silent)
    assert summary_of(tmp_path / "scores", 1) == {"rows": 0, "set_aside": {"empty file": 1}, "expressions": {}}
