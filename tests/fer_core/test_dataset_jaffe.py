from collections import Counter

import pytest
from layouts import jaffe

from fer_core.datasets.jaffe import ADAPTER
from fer_core.errors import InputError
from fer_core.pictures import decode


def test_model_and_expression_are_in_the_name(tmp_path):
    scan = ADAPTER.scan(jaffe.write(tmp_path))
    assert scan.rejected == []
    assert [row["source_path"] for row in scan.rows] == sorted(f"{name}.tiff" for name in jaffe.NAMES)
    rows = {row["source_path"]: row for row in scan.rows}
    frontal = {"pose_yaw": 0.0, "pose_bin": 0}
    assert rows["KM.SA5.13.tiff"] == {
        "source_path": "KM.SA5.13.tiff",
        "expression": "sadness",
        "subject_id": "KM",
        **frontal,
    }
    assert {row["source_path"][3:5]: row["expression"] for row in scan.rows} == {
        "NE": "neutral",
        "HA": "happiness",
        "SU": "surprise",
        "SA": "sadness",
        "AN": "anger",
        "DI": "disgust",
        "FE": "fear",
    }
    assert Counter(row["subject_id"] for row in scan.rows) == {"KA": 7, "KM": 8, "NA": 2, "YM": 2}


def test_its_tiff_pictures_can_be_read(tmp_path):
    source = jaffe.write(tmp_path)
    for row in ADAPTER.scan(source).rows:
        assert decode(ADAPTER.picture(source, row).image).shape == (64, 64)


def test_odd_pictures_are_set_aside(tmp_path):
    source = jaffe.write(tmp_path)
    jaffe.add_odd(source)
    scan = ADAPTER.scan(source)
    assert len(scan.rows) == len(jaffe.NAMES)
    unknown = "file name is not model_expression_number"
    assert {record.source_path: (record.reason, record.detail) for record in scan.rejected} == {
        "KA.AN1.39.tiff": ("picture occurs twice", "number 39"),  # the jpg is the first by name
        "KM.XX1.8.tiff": (unknown, "KM.XX1.8.tiff"),
        "ZZ.NE1.300.tiff": (unknown, "ZZ.NE1.300.tiff"),
        "KM.DI2.tiff": (unknown, "KM.DI2.tiff"),
        "KA.NE1.26.tiff.png": (unknown, "KA.NE1.26.tiff.png"),
    }


def test_the_folder_may_lie_deeper(tmp_path):
    jaffe.write(tmp_path / "download")
    rows = ADAPTER.scan(tmp_path / "download").rows
    assert rows[0]["source_path"] == "jaffe/KA.AN1.39.tiff"
    assert len(rows) == len(jaffe.NAMES)


def test_another_folder_is_an_error_before_any_row(tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected a folder jaffe .*found holiday/"):
        next(ADAPTER.stream(tmp_path))
