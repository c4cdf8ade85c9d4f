"""Landmark rows of a faces directory: which are kept, and beside which neutral face."""

import numpy as np
import pytest
from landmark_fixtures import PEOPLE, landmark_row, landmark_rows, write_faces

from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.landmarks.points import input_vectors
from fer_core.landmarks.table import with_points
from fer_core.reading import read_faces, read_tested

NEUTRAL_UNITS = [(1, 0.0), (12, 0.0)]


def vector_of(row):
    return input_vectors(np.reshape(row["landmarks_3d"], (1, 83, 3)), None, y_down=False)[0]


def points_of(tmp_path, rows):
    return with_points(read_faces(write_faces(tmp_path, rows), Part(), 0, validation=True))


def assert_points(table, rows, neutral_of):
    by_name = {row["sample_id"]: row for row in rows}
    assert (table.points.dtype, table.points.shape) == (np.float32, (len(table.sample_id), 2 * 249))
    for at, name in enumerate(table.sample_id.tolist()):
        expected = np.concatenate([vector_of(by_name[name]), vector_of(by_name[neutral_of(by_name[name])])])
        np.testing.assert_allclose(table.points[at], expected, atol=1e-6)


def test_each_row_stands_beside_its_persons_neutral_face(tmp_path):
    rows = landmark_rows()
    table = points_of(tmp_path, rows)
    assert table.sample_id.tolist() == [row["sample_id"] for row in rows]
    assert_points(table, rows, lambda row: f"{row['subject_id']}-neutral-0.0")
    assert table.classes == ("neutral", "happiness", "surprise", "anger")
    neutral = table.label == 0
    np.testing.assert_array_equal(*np.split(table.points[neutral], 2, axis=1))


def test_a_frame_of_no_expression_whose_units_are_absent_is_neutral(tmp_path):
    """As in sets of spontaneous expressions: such a frame is no row to train on, but the neutral face of the others."""
    rows = [row for row in landmark_rows() if row["expression"] != "neutral"]
    for person in PEOPLE:
        still = landmark_row(person, "neutral", 0.0)
        rows.append({**still, "sample_id": f"{person}-still", "expression": None, "action_units": NEUTRAL_UNITS})
        moved = {**landmark_row(person, "anger", 0.9), "sample_id": f"{person}-moved", "expression": None}
        rows.append({**moved, "action_units": [(1, 0.0), (12, 2.0)]})
    table = points_of(tmp_path, rows)
    assert len(table.sample_id) == 6 * len(PEOPLE)
    assert_points(table, rows, lambda row: f"{row['subject_id']}-still")


def test_people_without_a_neutral_face_and_rows_without_landmarks_are_left_out(tmp_path):
    rows = landmark_rows()
    rows = [row for row in rows if (row["subject_id"], row["expression"]) != ("S01", "neutral")]
    rows = [{**row, "landmarks_3d": None} if row["sample_id"] == "S02-anger-0.9" else row for row in rows]
    table = points_of(tmp_path, rows)
    kept = [row for row in rows if row["subject_id"] != "S01" and row["landmarks_3d"] is not None]
    assert table.sample_id.tolist() == [row["sample_id"] for row in kept]
    assert_points(table, kept, lambda row: f"{row['subject_id']}-neutral-0.0")


def test_turned_rows_are_no_rows_and_no_neutral_faces(tmp_path):
    rows = landmark_rows()
    wider = np.tile([1.5, 1.0, 1.0], 83)
    turned = [{**row, "rotation": 10.0, "landmarks_3d": (wider * row["landmarks_3d"]).tolist()} for row in rows]
    table = points_of(tmp_path, [one for pair in zip(turned, rows, strict=True) for one in pair])
    assert set(table.rotation.tolist()) == {0.0}
    assert table.sample_id.tolist() == [row["sample_id"] for row in rows]
    assert_points(table, rows, lambda row: f"{row['subject_id']}-neutral-0.0")


def test_pictures_stay_with_their_rows(tmp_path):
    rows = [row for row in landmark_rows() if row["subject_id"] != "S01" or row["expression"] != "neutral"]
    table = points_of(tmp_path, rows)
    assert [rows[at]["sample_id"] for at in table.picture] == table.sample_id.tolist()


def test_another_data_set_is_tested_beside_its_own_neutral_faces(tmp_path):
    rows = [row for row in landmark_rows(people=("S31", "S32")) if row["expression"] != "happiness"]
    other = write_faces(tmp_path, rows)
    table = with_points(read_tested(other, ("happiness", "anger"), ()))
    assert set(table.sample_id.tolist()) == {row["sample_id"] for row in rows if row["expression"] == "anger"}
    assert_points(table, rows, lambda row: f"{row['subject_id']}-neutral-0.0")


def test_people_of_one_class_left_to_train_on_are_an_error(tmp_path):
    rows = [
        row
        for row in landmark_rows()
        if row["subject_id"] in ("S04", "S05", "S14", "S22") or row["expression"] == "neutral"
    ]
    rows += [row for row in landmark_rows(people=("S10",)) if row["expression"] != "neutral"]
    with pytest.raises(InputError, match="in one class only; label one face of each person neutral"):
        points_of(tmp_path, rows)
