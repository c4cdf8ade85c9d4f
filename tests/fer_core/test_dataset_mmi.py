from collections import Counter

import pytest
from layouts import mmi
from layouts.drawing import write_picture
from pydantic import ValidationError

from fer_core.datasets.mmi import ADAPTER, MmiOptions
from fer_core.errors import InputError
from fer_core.pictures import decode


@pytest.fixture
def source(tmp_path):
    return mmi.write(tmp_path)


def frames_of(rows, sequence):
    return [row["source_path"].split("/")[-1] for row in rows if row["sequence_id"] == sequence]


def test_a_row_is_a_frame_of_a_labelled_sequence(source):
    rows = ADAPTER.scan(source).rows
    assert rows[0] == {
        "source_path": "1767/S001-101/0003.png",
        "expression": "anger",
        "subject_id": "S001",
        "sequence_id": "S001-101",
        "pose_yaw": 0.0,
        "pose_bin": 0,
    }
    assert {row["sequence_id"]: row["expression"] for row in rows} == {
        "S001-101": "anger",
        "S001-102": "disgust",
        "S002-101": "fear",
        "S002-102": "happiness",
        "S053-001": "sadness",
        "S053-002": "surprise",
    }
    assert {row["subject_id"] for row in rows} == {"S001", "S002", "S053"}


def test_three_frames_are_taken_from_the_middle(source):
    scan = ADAPTER.scan(source)
    assert frames_of(scan.rows, "S001-101") == ["0003.png", "0004.png", "0005.png"]  # of 7
    assert frames_of(scan.rows, "S001-102") == ["0003.png", "0004.png", "0005.png"]  # of 8
    assert frames_of(scan.rows, "S002-101") == ["0001.png", "0002.png", "0003.png"]
    assert frames_of(scan.rows, "S002-102") == ["0001.png", "0002.png"]
    assert Counter(record.reason for record in scan.rejected) == {"left out by an option": 4 + 5 + 2 + 2}
    assert {record.detail for record in scan.rejected if "1768" in record.source_path} == {
        "mmi.middle_frames is 3 of 8"
    }


@pytest.mark.parametrize(("middle", "frames"), [(1, ["0004.png"]), (0, [f"000{n}.png" for n in range(1, 8)])])
def test_how_many_frames_is_an_option(source, middle, frames):
    rows = ADAPTER.scan(source, MmiOptions(middle_frames=middle)).rows
    assert frames_of(rows, "S001-101") == frames


def test_fewer_than_no_frames_is_an_error():
    with pytest.raises(ValidationError, match="middle_frames"):
        MmiOptions(middle_frames=-1)


def test_frames_are_in_the_order_of_their_numbers(source):
    folder = source / "1900"
    mmi.write_session(source, "1900", "S100-001", 4, 0)
    for frame in (1, 2, 9, 10, 11):
        write_picture(folder / f"S100-001_{frame}.png", mmi.SIZE)
    assert frames_of(ADAPTER.scan(source).rows, "S100-001") == ["S100-001_2.png", "S100-001_9.png", "S100-001_10.png"]


def test_a_video_without_frames_is_set_aside_with_the_way_out(source):
    mmi.write_session(source, "1900", "S100-001", 4, 0)
    videos = [record for record in ADAPTER.scan(source).rejected if record.reason == "is a video"]
    assert [(record.source_path, record.detail) for record in videos] == [
        ("1900/S100-001.avi", "extract its frames: ffmpeg -i S100-001.avi S100-001/%04d.png")
    ]


@pytest.mark.parametrize(
    ("code", "view", "reason", "detail"),
    [
        (None, 0, "sequence has no expression label", "no Emotion in S100-001.xml"),
        (7, 0, "label is not an expression", "7"),
        (4, 1, "view is not frontal", "view 1"),
        (4, 2, "view is not frontal", "view 2"),
    ],
)
def test_other_sequences_are_set_aside(source, code, view, reason, detail):
    mmi.write_session(source, "1900", "S100-001", code, 2, view)
    odd = [record for record in ADAPTER.scan(source).rejected if record.source_path.startswith("1900/")]
    assert [record.source_path for record in odd] == ["1900/S100-001/0001.png", "1900/S100-001/0002.png"]
    assert {(record.reason, record.detail) for record in odd} == {(reason, detail)}


@pytest.mark.parametrize("text", ["", "<Video><Metatag", '<?xml version="1.0" encoding="klingon"?><Video/>'])
def test_a_broken_label_file_is_no_label(source, text):
    (source / "1767" / "S001-101.xml").write_text(text)
    odd = [record for record in ADAPTER.scan(source).rejected if record.source_path.startswith("1767/")]
    assert Counter(record.reason for record in odd) == {"sequence has no expression label": 7}


def test_the_view_may_be_unknown(source):
    (source / "1767" / "session.xml").unlink()
    row = ADAPTER.scan(source).rows[0]
    assert (row["sequence_id"], row.get("pose_yaw")) == ("S001-101", None)


def test_a_picture_of_no_sequence_is_set_aside(source):
    write_picture(source / "1767" / "thumbnail.png", mmi.SIZE)
    odd = [record for record in ADAPTER.scan(source).rejected if "thumbnail" in record.source_path]
    assert [record.reason for record in odd] == ["file name is not subject-sequence"]


def test_its_frames_can_be_read_and_parents_are_searched(tmp_path, source):
    rows = ADAPTER.scan(tmp_path).rows
    assert rows[0]["source_path"] == "Sessions/1767/S001-101/0003.png"
    for row in rows:
        assert decode(ADAPTER.picture(tmp_path, row).image).shape == (58, 72, 3)
    assert len(ADAPTER.scan(source / "1767").rows) == 3


def test_another_folder_is_an_error_before_any_row(tmp_path):
    write_picture(tmp_path / "1767" / "0001.png", (8, 8))
    with pytest.raises(InputError, match=r"expected a folder Sessions .*found 1767/"):
        next(ADAPTER.stream(tmp_path))
