from collections import Counter

import pytest
from layouts import image_folder as layout
from layouts.checks import by_path, check, reasons

from fer_core.datasets.base import Form
from fer_core.datasets.image_folder import ADAPTER, EXPRESSION_OF
from fer_core.errors import InputError
from fer_core.vocabulary import EXPRESSIONS


@pytest.fixture
def source(tmp_path):
    return layout.write(tmp_path)


def with_table(source, text):
    (source / "labels.csv").write_text(text)
    return ADAPTER.scan(source)


def test_the_folder_is_the_expression_and_the_table_says_more(source):
    scan = check(ADAPTER, source)
    assert len(scan.rows) == 20
    assert scan.rejected == []
    assert {row["expression"] for row in scan.rows} == set(EXPRESSIONS)
    assert by_path(scan)["Happy/0.JPG"] == {
        "source_path": "Happy/0.JPG",
        "expression": "happiness",
        "subject_id": "anna",
        "sequence_id": "party",
        "split": "train",
        "pose_yaw": -45.0,
        "pose_bin": -45,
        "intensity": 0.5,
    }
    ben = by_path(scan)["sad/1.png"]
    assert (ben["subject_id"], ben["sequence_id"], ben["pose_yaw"], ben["pose_bin"]) == ("ben", None, 30.5, 45)
    assert (ben["split"], ben["intensity"]) == ("test", 1.0)
    assert by_path(scan)["ANGRY/0.jpg"]["expression"] == "surprise"  # the table goes before the folder
    assert by_path(scan)["ANGRY/1.png"] == {
        "source_path": "ANGRY/1.png",
        "expression": "anger",
        "subject_id": None,
        "sequence_id": None,
        "split": None,
    }
    assert ADAPTER.form(source, None) == Form()


def test_parts_are_splits_and_folders_below_the_expression_are_free(tmp_path):
    scan = check(ADAPTER, layout.write_parts(tmp_path))
    assert Counter((row["split"], row["expression"]) for row in scan.rows) == {
        (split, expression): 1 for split in ("train", "valid", "test") for expression in ("happiness", "neutral")
    }
    assert "Training/happy/anna/Training.bmp" in by_path(scan)


@pytest.mark.parametrize(
    ("folder", "expression"),
    [
        ("JOY", "happiness"),
        ("no_expression", "neutral"),
        ("Scared", "fear"),
        (" sad ", "sadness"),
        ("smiling", "happiness"),
    ],
)
def test_usual_synonyms_are_known(tmp_path, folder, expression):
    layout.write_picture(tmp_path / folder / "1.png", (40, 44))
    assert [row["expression"] for row in ADAPTER.scan(tmp_path).rows] == [expression]


def test_the_synonyms_are_of_the_vocabulary():
    assert set(EXPRESSION_OF.values()) == set(EXPRESSIONS)
    assert all(EXPRESSION_OF[name] == name for name in EXPRESSIONS)


def test_what_is_no_picture_of_an_expression_is_set_aside(source):
    layout.write_picture(source / "bored" / "happy" / "1.png", (40, 44))
    layout.write_picture(source / "train" / "1.png", (40, 44))
    layout.write_picture(source / "1.png", (40, 44))
    (source / "sad" / "notes.txt").write_text("")
    (source / "sad" / "2.webp").write_bytes(b"RIFF")
    (source / "sad" / ".DS_Store").write_text("")
    scan = check(ADAPTER, source)
    assert len(scan.rows) == 20
    assert reasons(scan) == {
        "bored/happy/1.png": "folder is not an expression",
        "train/1.png": "folder is not an expression",
        "1.png": "folder is not an expression",
        "sad/notes.txt": "file is not a picture",
        "sad/2.webp": "file is not a picture",
    }
    assert {record.detail for record in scan.rejected} == {"bored", "", ".txt", ".webp"}


def test_the_table_alone_may_name_the_expressions(tmp_path):
    layout.write_picture(tmp_path / "1.png", (40, 44))
    layout.write_picture(tmp_path / "anna" / "2.png", (40, 44))
    scan = with_table(tmp_path, "path,expression\n1.png,joy\n./anna/2.png, Angry \n")
    assert [row["expression"] for row in scan.rows] == ["happiness", "anger"]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("sad/1.png,bored,,,", "label is not an expression", "bored"),
        ("sad/1.png,,dev,,", "split is not train, valid or test", "dev"),
        ("sad/1.png,,,left,", "pose or intensity is not a number in its range", "left is not a number"),
        ("sad/1.png,,,nan,", "pose or intensity is not a number in its range", "nan is not within -180..180"),
        ("sad/1.png,,,,1.5", "pose or intensity is not a number in its range", "1.5 is not within 0..1"),
        ("sad/9.png,sad,,,", "label matches no image", "labels.csv"),
        (",sad,,,", "label line without a path", "labels.csv line 2"),
        ("../sad/1.png,sad,,,", "path leaves the source folder", "labels.csv line 2"),
        ("C:\\sad\\1.png,sad,,,", "path leaves the source folder", "labels.csv line 2"),
    ],
)
def test_odd_lines_of_the_table_are_set_aside(source, line, reason, detail):
    scan = with_table(source, f"path,expression,split,pose,intensity\n{line}\n")
    assert [(record.reason, record.detail) for record in scan.rejected] == [(reason, detail)]


def test_the_first_of_two_lines_counts(source):
    scan = with_table(source, "path,subject\nsad/1.png,anna\nsad/./1.png,ben\n")
    assert [(record.source_path, record.reason) for record in scan.rejected] == [("sad/1.png", "labelled twice")]
    assert by_path(scan)["sad/1.png"]["subject_id"] == "anna"


@pytest.mark.parametrize(("pose", "view"), [("20", 0), ("-22.5", -45), ("-80", -90), ("135", 90), ("-180", -90)])
def test_a_pose_is_in_the_nearest_of_the_five_views(source, pose, view):
    row = by_path(with_table(source, f"path,pose\nsad/1.png,{pose}\n"))["sad/1.png"]
    assert (row["pose_yaw"], row["pose_bin"]) == (float(pose), view)


def test_a_table_with_another_column_or_without_paths_is_an_error(source):
    with pytest.raises(InputError, match=r"labels\.csv has the column 'person'; known are path, expression"):
        with_table(source, "path,person\nsad/1.png,anna\n")
    with pytest.raises(InputError, match=r"labels\.csv has no column path"):
        with_table(source, "file,subject\nsad/1.png,anna\n")


def test_a_folder_without_expressions_is_an_error(tmp_path):
    layout.write_picture(tmp_path / "holiday" / "happy" / "1.png", (40, 44))
    with pytest.raises(InputError, match=r"expected folders named after expressions.*found holiday/"):
        ADAPTER.scan(tmp_path)
