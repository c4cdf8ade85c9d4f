from collections import Counter

import pyarrow as pa
import pytest
from layouts import bp4d
from layouts.drawing import write_picture
from pydantic import ValidationError

from fer_core.datasets.bp4d import ADAPTER, EMOTION_OF, Bp4dOptions
from fer_core.errors import InputError
from fer_core.pictures import decode
from fer_core.records import SAMPLE_SCHEMA
from fer_core.vocabulary import LABELS

OCCURRENCE, INTENSITY = "AUCoding/AU_OCC/F001_T1.csv", "AUCoding/AU_INT/AU12/F001_T1_AU12.csv"


@pytest.fixture
def source(tmp_path):
    return bp4d.write(tmp_path)


def rows_of(scan, sequence):
    return [row for row in scan.rows if row["sequence_id"] == sequence]


def test_a_row_is_a_frame_with_its_action_units(source):
    scan = ADAPTER.scan(source)
    assert scan.rejected == []
    assert len(scan.rows) == 2 * 2 * 5
    rows = rows_of(scan, "F001_T1")
    assert rows[1] == {
        "source_path": "2D+3D/F001/T1/009.jpg",
        "subject_id": "F001",
        "sequence_id": "F001_T1",
        "action_units": [(1, 1.0), (2, 0.0), (6, 0.0), (12, 3.0)],  # 4 is unknown, 12 is graded
    }
    assert [row["action_units"] for row in rows[2:]] == [
        [(1, 0.0), (2, 0.0), (4, 0.0), (6, 1.0), (12, 1.0)],  # the intensity of 12 is unknown
        [(1, 0.0), (2, 0.0), (4, 0.0), (6, 0.0), (12, 0.0)],
        None,
    ]
    assert {row["sequence_id"] for row in scan.rows} == {"F001_T1", "F001_T8", "M018_T1", "M018_T8"}


def test_the_schema_takes_its_action_units(source):
    table = pa.Table.from_pylist(ADAPTER.scan(source).rows, schema=SAMPLE_SCHEMA)
    assert table["action_units"][1].as_py() == [(1, 1.0), (2, 0.0), (6, 0.0), (12, 3.0)]


def labels_file(source, *lines):
    (source / "labels.csv").write_text("picture,positive,negative,neutral\n" + "".join(f"{line}\n" for line in lines))


def test_frames_are_labelled_by_what_most_of_five_people_said(source):
    frame = "2D+3D/F001/T1/0{:02d}.jpg".format
    labels_file(
        source,
        f"{frame(8)},3,1,1",
        f"{frame(9)},0,5,0",
        f"{frame(10)},2,1,2",
        f"{frame(9)},5,0,0",
        f"{frame(11)},5,0",
        f"{frame(11)},4,0,0",
        "../008.jpg,5,0,0",
        f"{frame(99)},5,0,0",
    )
    scan = ADAPTER.scan(source)
    found = {row["source_path"]: row["expression"] for row in scan.rows if "expression" in row}
    assert found == {frame(8): "positive", frame(9): "negative"}
    assert [(record.source_path, record.reason, record.detail) for record in scan.rejected] == [
        (frame(9), "labelled twice", "line 5"),
        ("labels.csv", "label line is not a picture and five answers", "line 6"),
        ("labels.csv", "label line is not a picture and five answers", "line 7"),
        ("../008.jpg", "path leaves the source folder", "line 8"),
        (frame(99), "label matches no image", "labels.csv"),
    ]
    left_out = ADAPTER.scan(source, Bp4dOptions(every=2)).rejected
    assert frame(9) not in [record.source_path for record in left_out if record.reason == "label matches no image"]


def test_frames_may_have_the_emotion_of_their_task(source):
    labels_file(source, "2D+3D/F001/T1/008.jpg,0,5,0")
    (source / "2D+3D" / "F001" / "T8").rename(source / "2D+3D" / "F001" / "T6")
    rows = ADAPTER.scan(source, Bp4dOptions(labels="task")).rows
    found = {row["sequence_id"]: row.get("expression") for row in rows}
    assert found == {"F001_T1": "happiness", "F001_T6": None, "M018_T1": "happiness", "M018_T8": "disgust"}
    assert set(EMOTION_OF.values()) <= set(LABELS)


def test_every_nth_frame_of_a_task_can_be_taken(source):
    scan = ADAPTER.scan(source, Bp4dOptions(every=2))
    assert [row["source_path"][-7:] for row in rows_of(scan, "M018_T8")] == ["008.jpg", "010.jpg", "012.jpg"]
    assert Counter((record.reason, record.detail) for record in scan.rejected) == {
        ("left out by an option", "bp4d.every is 2"): 8
    }
    with pytest.raises(ValidationError, match="every"):
        Bp4dOptions(every=0)


def test_frames_are_in_the_order_of_their_numbers(source):
    task = source / "2D+3D" / "F001" / "T1"
    for path in task.glob("*.jpg"):
        path.rename(path.with_name(f"{int(path.stem)}.jpg"))
    rows = rows_of(ADAPTER.scan(source), "F001_T1")
    assert [row["source_path"].split("/")[-1] for row in rows] == [f"{frame}.jpg" for frame in range(8, 13)]
    assert rows[1]["action_units"][0] == (1, 1.0)


def test_landmarks_come_with_the_frame(source):
    for row in ADAPTER.scan(source).rows:
        image, known = ADAPTER.picture(source, row)
        frame = int(row["source_path"][-7:-4])
        assert known["landmarks"] == [frame, 20.5, 0.0, 21.0, 22.0, 0.0]
        assert len(known["landmarks_3d"]) == 249
        assert known["landmarks_3d"][3:6] == [frame + 0.5, 1.0, -1.25]
        assert decode(image).shape == (70, 52, 3)


@pytest.mark.parametrize("place", ["2D+3D/F001/T1/008.bnd", "3DFeatures/F001_T1_0008.bndplus"])
def test_landmarks_may_lie_elsewhere(source, place):
    row = {"source_path": "2D+3D/F001/T1/008.jpg"}
    old = source / "3DFeatures" / "F001" / "T1" / "008.bnd"
    expected = ADAPTER.picture(source, row).known
    (source / place).write_text(old.read_text().replace(" ", ","))
    old.unlink()
    assert ADAPTER.picture(source, row).known == expected


def test_landmarks_may_be_missing_but_not_malformed(source):
    row = {"source_path": "2D+3D/F001/T1/008.jpg"}
    (source / "2DFeatures" / "F001" / "T1" / "008.pts").unlink()
    assert set(ADAPTER.picture(source, row).known) == {"landmarks_3d"}
    (source / "3DFeatures" / "F001" / "T1" / "008.bnd").write_text("1 2 3\n")
    with pytest.raises(OSError, match=r"008\.bnd holds 1 points, 83 expected"):
        ADAPTER.picture(source, row)


def test_bad_lines_of_codes_are_set_aside(source):
    with (source / OCCURRENCE).open("a") as file:
        file.write("9,0,0,0,0,0\n77,0,0,0,0,0\n10,0,0\nframe,0,0,0,0,0\n11,0,0,2,0,0\n12,-1,0,0,0,0\n")
    with (source / INTENSITY).open("a") as file:
        file.write("12,6\n11,5\n")
    scan = ADAPTER.scan(source)
    malformed = "label line is not a frame and codes"
    assert [(record.source_path, record.reason, record.detail) for record in scan.rejected] == [
        (OCCURRENCE, "labelled twice", "frame 9"),
        (OCCURRENCE, malformed, "line 9"),
        (OCCURRENCE, malformed, "line 10"),
        (OCCURRENCE, malformed, "line 11"),
        (OCCURRENCE, malformed, "line 12"),
        (INTENSITY, malformed, "line 4"),
        (OCCURRENCE, "label matches no image", "frame 77"),
    ]
    assert rows_of(scan, "F001_T1")[1]["action_units"][0] == (1, 1.0)  # the first line of a frame counts
    assert rows_of(scan, "F001_T1")[3]["action_units"][-1] == (12, 5.0)


def test_codes_of_a_task_that_is_not_there(source):
    bp4d.write_codes(source / "AUCoding" / "F023_T2.csv", ["0,1", "1,0"])
    rejected = ADAPTER.scan(source).rejected
    assert [(record.source_path, record.reason, record.detail) for record in rejected] == [
        ("AUCoding/F023_T2.csv", "label matches no image", "no such task")
    ]


def test_what_is_no_frame_is_set_aside(source):
    write_picture(source / "2D+3D" / "F001" / "T1" / "cover.jpg", bp4d.SIZE)
    write_picture(source / "2D+3D" / "F001" / "001.jpg", bp4d.SIZE)
    (source / "human_triplets.csv").write_text("reference,first,second,votes\n")
    rejected = ADAPTER.scan(source).rejected
    assert {record.source_path: record.reason for record in rejected} == {
        "human_triplets.csv": "not a picture",
        "2D+3D/F001/001.jpg": "picture is no frame of a task",
        "2D+3D/F001/T1/cover.jpg": "picture is no frame of a task",
    }


def test_without_codes_the_units_are_unknown_and_the_challenges_form_is_read(tmp_path, source):
    (source / "2D+3D").rename(tmp_path / "BP4D-training")
    scan = ADAPTER.scan(tmp_path / "BP4D-training")
    assert (len(scan.rows), scan.rejected) == (20, [])
    assert {row["action_units"] for row in scan.rows} == {None}
    assert scan.rows[0]["source_path"] == "F001/T1/008.jpg"
    assert len(ADAPTER.scan(tmp_path / "BP4D-training" / "M018").rows) == 10


def test_links_in_a_circle_end(source):
    (source / "2D+3D" / "again").symlink_to(source)
    assert len(ADAPTER.scan(source).rows) == 20


def test_another_folder_is_an_error_before_any_row(tmp_path):
    write_picture(tmp_path / "F001" / "T1" / "face.jpg", (8, 8))
    with pytest.raises(InputError, match=r"expected folders such as F001 .*found F001/"):
        next(ADAPTER.stream(tmp_path))
