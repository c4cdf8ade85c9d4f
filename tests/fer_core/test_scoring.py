import copy
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from model_fixtures import CLASSES, FACE, draw_face, faces_path, make_run, one_thread, silent  # noqa: F401

from fer_core import predictor
from fer_core.errors import InputError
from fer_core.predictor import Predictor
from fer_core.scoring import faces
from fer_core.scoring.asked_pictures import Picture
from fer_core.scoring.faces import (
    PREDICTIONS,
    SCHEMA,
    Listing,
    Scorer,
    score_pictures,
    shard_files,
    summary_of,
    write_score_shard,
)
from fer_core.scoring.sources import open_source
from fer_core.synthetic import Face, render


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


GOOD = ["a.png", "b/c.png", "b/deep/d.PNG", "b-1.png", "z.png"]
REASONS = {
    "cut.png": "damaged or truncated picture",
    "empty.bmp": "empty file",
    "gone.png": "file does not exist",
    "text.jpg": "not a PNG, JPEG, BMP, TIFF picture",
}


def pictures_in(source):
    return list(open_source(str(source)).pictures())


def scored(source, scorer, pictures=None, progress=silent):
    """The pictures of a folder, of which these are the first ones."""
    return score_pictures(open_source(str(source)), pictures or pictures_in(source), 0, scorer, progress)


def test_each_picture_is_scored_as_the_model_says_or_set_aside_with_the_reason(source, scorer):
    table, aside = scored(source, scorer)
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
    whole, _ = scored(source, scorer)
    monkeypatch.setattr(faces, "BATCH", 2)
    for name, most in [("MOST_AT_ONCE", 32), ("MOST_AT_ONCE", 2), ("PIXELS_AT_ONCE", 1)]:
        monkeypatch.setattr(predictor, name, most)
        progress = []
        table, aside = scored(source, scorer, progress=progress.append)
        assert table["source_path"].to_pylist() == GOOD
        assert len(aside) == 4
        assert progress == [2, 4, 9]  # after the second and the fourth face, and at the end
        np.testing.assert_allclose(table["embedding"].to_pylist(), whole["embedding"].to_pylist(), atol=1e-6)


def test_a_picture_that_a_table_names_twice_has_two_rows(source, scorer):
    (source / "list.csv").write_text("path\na.png\nz.png\na.png\n")
    opened = open_source(str(source / "list.csv"))
    table, _ = score_pictures(opened, list(opened.pictures()), 0, scorer, silent)
    assert table["source_path"].to_pylist() == ["a.png", "z.png", "a.png"]
    first, other, again = table["embedding"].to_pylist()
    assert first == again != other


def of_kind(scorer, **description):
    predictor = copy.copy(scorer.predictor)
    predictor.description = replace(predictor.description, **description)
    return scorer._replace(predictor=predictor)


def test_a_picture_without_a_face_is_set_aside_where_faces_are_looked_for(tmp_path, scorer):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((FACE, FACE, 3), 127, np.uint8))
    table, aside = scored(tmp_path, of_kind(scorer, frame_is_face=False))
    assert (len(table), table.schema) == (0, SCHEMA)
    assert [rejected.reason for rejected in aside] == ["no face found"]


def test_the_faces_of_a_picture_are_counted_and_the_largest_one_is_meant(tmp_path, scorer):
    small, large = (render(Face(at, "happiness", 0.8, 0.0), side)[0] for at, side in ((1, 96), (2, 128)))
    both = np.full((160, 300, 3), 127, np.uint8)
    both[20:116, 10:106], both[16:144, 150:278] = small, large
    cv2.imwrite(str(tmp_path / "both.png"), cv2.cvtColor(both, cv2.COLOR_RGB2BGR))
    table, aside = scored(tmp_path, of_kind(scorer, frame_is_face=False))
    assert (aside, table["faces"].to_pylist()) == ([], [2])
    left, top, right, bottom = table["face_box"][0].as_py()
    assert 150 < left < right < 278
    assert 16 < top < bottom < 144
    whole, _ = scored(tmp_path, scorer)
    assert (whole["faces"].null_count, whole["face_box"].null_count) == (1, 1)


def test_the_view_is_said_by_a_model_that_estimates_it(source, scorer, monkeypatch):
    predictor = copy.copy(scorer.predictor)
    decide = predictor.predicted
    views = np.array([-45, 0, 0, 45, 90])
    monkeypatch.setattr(predictor, "predicted", lambda given: replace(decide(given), yaw=views))
    table, _ = scored(source, scorer._replace(predictor=predictor))
    assert table["yaw"].to_pylist() == views.tolist()


def test_of_a_model_that_decides_by_distance_the_embedding_is_all(source, scorer):
    predictor = copy.copy(scorer.predictor)
    predictor.decides_by = "distance"
    table, aside = scored(source, scorer._replace(predictor=predictor))
    whole, _ = scored(source, scorer)
    assert table["embedding"].equals(whole["embedding"])
    assert [table[name].null_count for name in ("expression", "probabilities", "sub_class", "yaw")] == [5] * 4
    assert len(aside) == 4
    with pytest.raises(InputError, match="tells people apart and says no expression"):
        predictor.predict_pictures([(source / "a.png").read_bytes()])


def test_a_file_that_changes_meanwhile_is_an_error(source, scorer):
    pictures = pictures_in(source)
    (source / "z.png").write_bytes((source / "a.png").read_bytes())
    with pytest.raises(InputError, match=r"z\.png has changed while it was scored"):
        scored(source, scorer, pictures)
    (source / "z.png").unlink()
    with pytest.raises(InputError, match=r"z\.png has changed"):
        scored(source, scorer, pictures)


def digest_of(pictures):
    return Listing(pictures, 2, silent).digest


def test_the_digest_goes_by_names_and_contents(source):
    before = pictures_in(source)
    assert digest_of(pictures_in(source)) == digest_of(before)
    renamed = [before[0]._replace(source_path="other.png"), *before[1:]]
    changed = [before[0]._replace(sha256="0" * 64), *before[1:]]
    unreadable = [Picture(before[0].source_path, None, "file cannot be read"), *before[1:]]
    variants = [before, renamed, changed, unreadable, before[1:]]
    assert len({digest_of(one) for one in variants}) == len(variants)


def test_a_listing_gives_the_pictures_of_each_shard_back():
    pictures = [Picture(f"{at}.png", str(at)) for at in range(4)] + [Picture("b\udcff", None, "why", "so")]
    progress = []
    listing = Listing(iter(pictures), 2, progress.append)
    assert (len(listing), progress) == (5, [2, 4, 5])
    assert [listing.pictures_of(shard) for shard in range(3)] == [pictures[:2], pictures[2:4], pictures[4:]]
    assert list(listing) == pictures
    assert [listing.first_of(shard) for shard in range(3)] == [0, 2, 4]
    nothing = Listing([], 2, silent)
    assert (len(nothing), list(nothing), nothing.pictures_of(0)) == (0, [], [])


def test_a_shard_that_stands_is_left_and_half_of_one_is_made_again(source, scorer, tmp_path, monkeypatch):
    folder, pictures, progress = tmp_path / "scores", pictures_in(source), []
    folder.mkdir()
    listing = Listing(pictures, 4, silent)
    write = partial(write_score_shard, folder, source=open_source(str(source)), listing=listing, scorer=scorer)
    for number in range(3):
        write(number, progress=silent)
    files = [folder / name for number in range(3) for name in shard_files(number)]
    before = [file.read_bytes() for file in files]
    assert pq.read_table(folder / PREDICTIONS)["source_path"].to_pylist() == GOOD
    assert summary_of(folder, 3) == {
        "rows": 5,
        "set_aside": dict.fromkeys(sorted(REASONS.values()), 1),
        "set_aside_examples": {reason: [name] for name, reason in REASONS.items()},
        "expressions": summary_of(folder, 3)["expressions"],
    }
    assert sum(summary_of(folder, 3)["expressions"].values()) == 5
    files[3].unlink()
    write(1, progress=silent)
    monkeypatch.setattr(faces, "score_pictures", None)
    write(0, progress=progress.append)
    assert progress == [4]
    assert [file.read_bytes() for file in files] == before


def test_a_shard_of_which_nothing_is_usable(source, scorer, tmp_path):
    (tmp_path / "scores").mkdir()
    listing = Listing((picture for picture in pictures_in(source) if picture.source_path == "empty.bmp"), 4, silent)
    write_score_shard(tmp_path / "scores", 0, open_source(str(source)), listing, scorer, silent)
    assert summary_of(tmp_path / "scores", 1) == {
        "rows": 0,
        "set_aside": {"empty file": 1},
        "set_aside_examples": {"empty file": ["empty.bmp"]},
        "expressions": {},
    }
