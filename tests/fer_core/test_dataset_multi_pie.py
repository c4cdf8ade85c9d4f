from collections import Counter

import pytest
from layouts import multi_pie
from pydantic import ValidationError

from fer_core.datasets.multi_pie import ADAPTER, YAW_OF_CAMERA, MultiPieOptions
from fer_core.errors import InputError
from fer_core.pictures import decode


@pytest.fixture
def source(tmp_path):
    return multi_pie.write(tmp_path)


def test_everything_is_in_the_name(source):
    scan = ADAPTER.scan(source)
    assert scan.rejected == []
    assert len(scan.rows) == 14 * 7 * 2  # recordings, cameras, flashes
    key = multi_pie.picture("001", 2, 3, "04_1", 7)
    assert next(row for row in scan.rows if row["source_path"] == key) == {
        "source_path": key,
        "expression": "squint",
        "subject_id": "001",
        "sequence_id": "001_02_03",
        "pose_yaw": 30.0,
        "pose_bin": 30,
        "is_face_crop": False,
    }


def test_the_expression_is_that_of_the_recording_of_the_session(source):
    rows = [row for row in ADAPTER.scan(source).rows if row["subject_id"] == "001"]
    assert {row["sequence_id"]: row["expression"] for row in rows} == {
        "001_01_01": "neutral",
        "001_01_02": "happiness",
        "001_02_01": "neutral",
        "001_02_02": "surprise",
        "001_02_03": "squint",
        "001_03_01": "neutral",
        "001_03_02": "happiness",
        "001_03_03": "disgust",
        "001_04_01": "neutral",
        "001_04_02": "neutral",
        "001_04_03": "scream",
    }


def test_cameras_stand_every_15_degrees_and_two_hang_above(source):
    yaws = [yaw for yaw in YAW_OF_CAMERA.values() if yaw is not None]
    assert sorted(yaws) == list(range(-90, 91, 15))
    rows = ADAPTER.scan(source).rows
    above = [row for row in rows if "_081_" in row["source_path"]]
    assert {(row["pose_yaw"], row["pose_bin"]) for row in above} == {(None, None)}
    bins = Counter(row["pose_bin"] for row in rows)
    assert bins == dict.fromkeys((-90, -45, -30, 0, 30, 90, None), 28)


def test_flashes_can_be_chosen(source):
    scan = ADAPTER.scan(source, MultiPieOptions(illuminations=(7, 9)))
    assert {row["source_path"][-6:] for row in scan.rows} == {"07.png"}
    reasons = {(record.reason, record.detail) for record in scan.rejected}
    assert reasons == {("left out by an option", "flash 00 is not in multi_pie.illuminations")}
    assert len(scan.rows) == len(scan.rejected) == 98


@pytest.mark.parametrize("illuminations", [(20,), (-1,)])
def test_there_are_19_flashes(illuminations):
    with pytest.raises(ValidationError, match="illuminations"):
        MultiPieOptions(illuminations=illuminations)


def test_odd_pictures_are_set_aside_and_crops_are_faces(source):
    multi_pie.add_odd(source)
    scan = ADAPTER.scan(source)
    assert {record.source_path.split("/")[-1]: (record.reason, record.detail) for record in scan.rejected} == {
        "001_01_01.jpg": ("file name is not person_session_recording_camera_flash", "001_01_01.jpg"),
        "001_01_03_051_07.png": ("session has no such recording", "session 01, recording 03"),
        "001_01_01_059_07.png": ("camera is unknown", "059"),
    }
    crops = [row for row in scan.rows if row["is_face_crop"]]
    assert [row["source_path"] for row in crops] == ["crops/002_01_02_041_07_crop_128.png"]
    assert (crops[0]["expression"], crops[0]["pose_yaw"]) == ("happiness", 30.0)


def test_its_pictures_can_be_read(source):
    for row in ADAPTER.scan(source / "session02").rows:
        assert decode(ADAPTER.picture(source / "session02", row).image).shape == (48, 64, 3)


def test_parents_are_searched(tmp_path, source):
    assert len(ADAPTER.scan(tmp_path).rows) == len(ADAPTER.scan(source).rows)


def test_another_folder_is_an_error_before_any_row(tmp_path):
    (tmp_path / "session01").mkdir()
    with pytest.raises(InputError, match=r"expected folders session01 to session04 .*found session01/"):
        next(ADAPTER.stream(tmp_path))
