from collections import Counter

import pytest
from layouts import kdef

from fer_core.datasets.kdef import ADAPTER
from fer_core.errors import InputError
from fer_core.faces.crop import face_partition
from fer_core.faces.finding import Cropping
from fer_core.ingest.scanning import catalog_partition

UNKNOWN = "file name is not session_person_expression_view"


def test_everything_is_in_the_name(tmp_path):
    scan = ADAPTER.scan(kdef.write(tmp_path))
    assert scan.rejected == []
    assert len(scan.rows) == 3 * 7 * 5 - 1
    rows = {row["source_path"]: row for row in scan.rows}
    assert rows["BF01/BF01AFHL.JPG"] == {
        "source_path": "BF01/BF01AFHL.JPG",
        "expression": "fear",
        "subject_id": "F01",
        "sequence_id": "BF01",
        "pose_yaw": -45.0,
        "pose_bin": -45,
    }
    assert {row["source_path"][9:11]: row["expression"] for row in scan.rows} == {
        "AF": "fear",
        "AN": "anger",
        "DI": "disgust",
        "HA": "happiness",
        "NE": "neutral",
        "SA": "sadness",
        "SU": "surprise",
    }
    views = {row["source_path"][11:].removesuffix(".JPG"): row["pose_yaw"] for row in scan.rows}
    assert views == {"FL": -90, "HL": -45, "S": 0, "HR": 45, "FR": 90}


def test_both_sessions_are_one_subject_and_two_sequences(tmp_path):
    rows = ADAPTER.scan(kdef.write(tmp_path)).rows
    assert Counter(row["subject_id"] for row in rows) == {"F01": 70, "M31": 34}
    assert {row["sequence_id"] for row in rows if row["subject_id"] == "F01"} == {"AF01", "BF01"}


def test_misnamed_and_averaged_pictures_are_set_aside(tmp_path):
    source = kdef.write(tmp_path)
    kdef.add_odd(source)
    kdef.add_averaged(source.parent)
    scan = ADAPTER.scan(tmp_path)
    assert len(scan.rows) == 104
    assert {record.source_path: (record.reason, record.detail) for record in scan.rejected} == {
        "AKDEF/FAFFL.JPG": ("averaged face, nobody's", "FAFFL.JPG"),
        "AKDEF/MNES.JPG": ("averaged face, nobody's", "MNES.JPG"),
        "AKDEF/FAHR.JPG": ("averaged face, nobody's", "FAHR.JPG"),
        "KDEF/AM31/AM31H.JPG": (UNKNOWN, "misnamed in the published set; its folder lacks AM31SUHR"),
        "KDEF/AF31/AF31V.JPG": (UNKNOWN, "misnamed in the published set; its folder lacks AF31SAHL"),
        "KDEF/AF01/AF01NESS.JPG": (UNKNOWN, "AF01NESS.JPG"),
    }


@pytest.mark.parametrize("depth", ["", "KDEF_and_AKDEF/"])
def test_it_is_found_at_every_depth(tmp_path, depth):
    kdef.write(tmp_path / depth)
    assert ADAPTER.scan(tmp_path).rows[0]["source_path"] == f"{depth}KDEF/AF01/AF01AFFL.JPG"
    assert len(ADAPTER.scan(tmp_path / depth / "KDEF" / "AF01").rows) == 35


def test_another_folder_is_an_error_before_any_row(tmp_path):
    kdef.add_averaged(tmp_path)
    with pytest.raises(InputError, match=r"expected a folder KDEF .*found AKDEF/"):
        next(ADAPTER.stream(tmp_path))


def test_kdef_is_what_is_published(real_kdef):
    scan = ADAPTER.scan(real_kdef)
    assert (len(scan.rows), len(scan.rejected)) == (4897, 0)
    assert Counter(row["subject_id"][0] for row in scan.rows) == {"F": 35 * 70 - 2, "M": 35 * 70 - 1}
    assert len({row["subject_id"] for row in scan.rows}) == 70
    assert len({row["sequence_id"] for row in scan.rows}) == 140
    assert Counter(row["pose_bin"] for row in scan.rows) == {-90: 980, -45: 979, 0: 980, 45: 979, 90: 979}
    assert Counter(row["expression"] for row in scan.rows) == {
        "fear": 700,
        "anger": 700,
        "disgust": 700,
        "happiness": 700,
        "neutral": 700,
        "sadness": 699,
        "surprise": 698,
    }


@pytest.mark.slow
def test_a_face_is_found_in_all_pictures_of_a_person_but_the_black_one(real_kdef):
    rows = [row for row in ADAPTER.scan(real_kdef).rows if row["sequence_id"] == "AF10"]
    catalog, _ = catalog_partition("kdef", real_kdef, rows)
    faces, rejected = face_partition(catalog, Cropping(64, rotations=(0.0,)))
    assert [(record.source_path, record.reason) for record in rejected] == [("AF10/AF10AFFR.JPG", "no face found")]
    assert len(faces) == 34
