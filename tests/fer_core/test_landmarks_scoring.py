"""A model of landmarks on a file of faces: what it says of each, and of which it can say nothing."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landmark_fixtures import landmark_plan, landmark_rows, landmark_run, write_faces
from model_fixtures import MemoryStore, one_thread, silent  # noqa: F401

from fer_core.errors import InputError
from fer_core.landmarks.prediction import embed_landmarks
from fer_core.landmarks.scoring import CANNOT_BE_USED, read_asked_faces, score_landmarks, write_landmark_shard
from fer_core.predictor import Predictor
from fer_core.scoring.faces import SCHEMA, Scorer, shard_files, summary_of


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    root = tmp_path_factory.mktemp("scored")
    plan = landmark_plan(write_faces(root, landmark_rows()), "m1")
    return Scorer("faces", 2, Predictor(*landmark_run(root, plan, MemoryStore())))


def lines_of(*names):
    """As in pictures, y downwards, beside the person's own neutral face."""
    points = {
        row["sample_id"]: (np.reshape(row["landmarks_3d"], (83, 3)) * (50, -50, 50)).ravel().tolist()
        for row in landmark_rows()
    }
    return [
        {"name": name, "landmarks": points[name], "neutral_landmarks": points[f"{name[:3]}-neutral-0.0"]}
        for name in names
    ]


GOOD = lines_of("S14-anger-0.9", "S22-neutral-0.0", "S14-happiness-0.4")
BAD = [{**GOOD[0], "name": "few", "landmarks": [1.0, 2.0, 0.0]}, {**GOOD[0], "name": "none", "landmarks": None}]


def write_csv(file, lines):
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(lines[0]))
        writer.writeheader()
        for line in lines:
            cells = {name: json.dumps(value) for name, value in line.items() if value is not None and name != "name"}
            writer.writerow(cells if "name" not in line else {**cells, "name": line["name"]})
    return file


def write_parquet(file, lines):
    pq.write_table(pa.Table.from_pylist(lines), file)
    return file


@pytest.mark.parametrize(("write", "name"), [(write_csv, "faces.csv"), (write_parquet, "faces.parquet")])
def test_each_face_is_said_and_each_that_cannot_be_is_set_aside(scorer, tmp_path, write, name):
    lines = [GOOD[0], *BAD, *GOOD[1:]]
    counts = []
    table, aside = score_landmarks(read_asked_faces(write(tmp_path / name, lines)), scorer, counts.append)
    assert table.schema == SCHEMA
    assert table["source_path"].to_pylist() == [line["name"] for line in GOOD]
    assert (set(table["model_name"].to_pylist()), set(table["model_version"].to_pylist())) == ({"faces"}, {2})
    points, neutral = ([line[column] for line in GOOD] for column in ("landmarks", "neutral_landmarks"))
    given = embed_landmarks(scorer.predictor, points, [None] * 3, neutral, [None] * 3)
    expected = scorer.predictor.predicted(given)
    np.testing.assert_allclose(table["embedding"].to_pylist(), given.embedding_ND, atol=1e-5)
    classes = scorer.predictor.classes
    assert table["expression"].to_pylist() == [classes[index] for index in expected.expression]
    assert [(one.source_path, one.reason) for one in aside] == [("few", CANNOT_BE_USED), ("none", CANNOT_BE_USED)]
    assert "3 numbers; x, y, z of 83 points are needed" in aside[0].detail
    assert counts == [1, 2, 3, 4, 5]


def test_without_a_name_a_face_is_its_number_and_without_a_neutral_face_the_mean_stands_in(scorer, tmp_path):
    bare = [{"landmarks": line["landmarks"]} for line in GOOD]
    table, _ = score_landmarks(read_asked_faces(write_csv(tmp_path / "faces.csv", bare)), scorer, silent)
    assert table["source_path"].to_pylist() == ["0", "1", "2"]
    unknown = [None] * 3
    alone = embed_landmarks(scorer.predictor, [line["landmarks"] for line in GOOD], unknown, unknown, unknown)
    np.testing.assert_allclose(table["embedding"].to_pylist(), alone.embedding_ND, atol=1e-5)


def test_degrees_of_a_face_are_read(tmp_path):
    (face,) = read_asked_faces(write_csv(tmp_path / "faces.csv", [{**GOOD[0], "pose_yaw": 30.5}]))
    assert (face.yaw, face.neutral_yaw) == (30.5, None)


def test_a_shard_that_stands_is_not_made_again(scorer, tmp_path):
    faces = read_asked_faces(write_csv(tmp_path / "faces.csv", [*GOOD, BAD[0]]))
    write_landmark_shard(tmp_path, 0, faces, scorer, silent)
    assert summary_of(tmp_path, 1)["rows"] == 3
    assert summary_of(tmp_path, 1)["set_aside"] == {CANNOT_BE_USED: 1}
    before = [(tmp_path / name).stat().st_mtime_ns for name in shard_files(0)]
    counts = []
    write_landmark_shard(tmp_path, 0, faces, None, counts.append)
    assert counts == [4]
    assert [(tmp_path / name).stat().st_mtime_ns for name in shard_files(0)] == before


def test_a_file_of_no_usable_face_gives_no_row(scorer, tmp_path):
    table, aside = score_landmarks(read_asked_faces(write_csv(tmp_path / "faces.csv", BAD)), scorer, silent)
    assert (table.schema, len(table), len(aside)) == (SCHEMA, 0, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("faces.txt", "landmarks\n", r"faces\.txt is not a \.csv or \.parquet file"),
        ("faces.csv", "landmarks\n", "holds no face"),
        ("faces.csv", "points\n1\n", "has no column landmarks; its first line holds points"),
        ("faces.csv", 'landmarks\n"[1, 2"\n', "line 2 has a cell that is no number and no list"),
        ("faces.csv", "landmarks\n5\n", "face 0 has landmarks that are no list of numbers"),
        ("faces.csv", 'landmarks,pose_yaw\n"[1, 2]",\n"[1]","[3]"\n', "face 1 has .* degrees that are no number"),
        ("faces.csv", 'landmarks\n"[1, ""a""]"\n', "face 0 has landmarks that are no list of numbers"),
        ("faces.parquet", "landmarks\n5\n", "is no Parquet file"),
    ],
)
def test_what_is_no_file_of_faces_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_asked_faces(tmp_path / name)


def test_a_table_without_landmarks_is_named(tmp_path):
    with pytest.raises(InputError, match="has no column landmarks; it has points, name"):
        read_asked_faces(write_parquet(tmp_path / "faces.parquet", [{"points": [1.0], "name": "a"}]))
