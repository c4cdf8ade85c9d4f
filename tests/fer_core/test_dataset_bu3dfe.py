from collections import Counter

import pytest
from layouts import bu3dfe
from layouts.drawing import write_picture
from pydantic import ValidationError

from fer_core.datasets.bu3dfe import ADAPTER, Bu3dfeOptions
from fer_core.errors import InputError
from fer_core.pictures import decode


@pytest.fixture
def source(tmp_path):
    return bu3dfe.write(tmp_path)


def test_person_expression_and_degree_are_in_the_name(source):
    scan = ADAPTER.scan(source)
    assert len(scan.rows) == 3 * 25
    rows = {row["source_path"]: row for row in scan.rows}
    assert rows["F0056/F0056_FE03AM_F2D.bmp"] == {
        "source_path": "F0056/F0056_FE03AM_F2D.bmp",
        "expression": "fear",
        "subject_id": "F0056",
        "intensity": 0.75,
        "pose_yaw": 0.0,
        "pose_bin": 0,
    }
    assert rows["M0044/M0044_NE00IN_F2D.bmp"]["expression"] == "neutral"
    assert rows["M0044/M0044_NE00IN_F2D.bmp"]["intensity"] == 0.0
    assert Counter(row["expression"] for row in scan.rows) == {
        "neutral": 3,
        **dict.fromkeys(("anger", "disgust", "fear", "happiness", "sadness", "surprise"), 12),
    }
    assert Counter(row["intensity"] for row in scan.rows) == {0.0: 3, 0.25: 18, 0.5: 18, 0.75: 18, 1.0: 18}


def test_the_texture_sheets_are_left_out_unless_asked_for(source):
    rejected = ADAPTER.scan(source).rejected
    assert {(record.reason, record.detail) for record in rejected} == {("left out by an option", "bu3dfe.views is F2D")}
    assert len(rejected) == 75
    scan = ADAPTER.scan(source, Bu3dfeOptions(views=("F2D", "F3D")))
    assert (len(scan.rows), len(scan.rejected)) == (150, 0)
    sheet = next(row for row in scan.rows if row["source_path"].endswith("F0001_SU04WH_F3D.bmp"))
    assert (sheet["pose_yaw"], sheet["pose_bin"], sheet["intensity"]) == (None, None, 1.0)


@pytest.mark.parametrize("views", [(), ("F4D",)])
def test_views_are_those_there_are(views):
    with pytest.raises(ValidationError, match="views"):
        Bu3dfeOptions(views=views)


def test_the_landmarks_of_the_scan_come_with_either_picture(source):
    scans = [scan for _, scan in bu3dfe.scans()]
    for row in ADAPTER.scan(source, Bu3dfeOptions(views=("F2D", "F3D"))).rows:
        image, known = ADAPTER.picture(source, row)
        seed = scans.index(row["source_path"].split("/")[1][:12])
        assert known == {"landmarks_3d": [value for point in bu3dfe.points(seed) for value in point]}
        assert decode(image).shape in {(64, 64, 3), (63, 91, 3)}


@pytest.mark.parametrize("name", ["F0001_AN01WH.bnd", "F0001_AN01WH_F3D.BND"])
def test_landmark_files_have_other_names_too(source, name):
    (source / "F0001" / "F0001_AN01WH_F3D.bnd").rename(source / "F0001" / name)
    assert len(ADAPTER.picture(source, {"source_path": "F0001/F0001_AN01WH_F2D.bmp"}).known["landmarks_3d"]) == 249


def test_a_scan_without_landmarks_has_none(source):
    (source / "F0001" / "F0001_AN01WH_F3D.bnd").unlink()
    assert ADAPTER.picture(source, {"source_path": "F0001/F0001_AN01WH_F2D.bmp"}).known == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "holds 82 points, 83 expected"),
        (lambda lines: [], "holds 0 points, 83 expected"),
        (lambda lines: [*lines, lines[0]], "holds 84 points, 83 expected"),
        (lambda lines: [*lines[:4], "x y z\n", *lines[5:]], "line 5 is not a point of 3 numbers"),
        (lambda lines: [*lines[:4], "1 2\n", *lines[5:]], "line 5 is not a point of 3 numbers"),
        (lambda lines: [*lines[:4], "1 2 nan 3\n", *lines[5:]], "line 5 is not a point of 3 numbers"),
        (lambda lines: [*lines[:4], "1 2 3 4 5\n", *lines[5:]], "line 5 is not a point of 3 numbers"),
    ],
)
def test_a_malformed_landmark_file_sets_the_picture_aside(source, change, message):
    file = source / "F0001" / "F0001_AN01WH_F3D.bnd"
    file.write_text("".join(change(file.read_text().splitlines(keepends=True))))
    with pytest.raises(OSError, match=message):
        ADAPTER.picture(source, {"source_path": "F0001/F0001_AN01WH_F2D.bmp"})


def test_odd_names_are_set_aside(source):
    for name in ("F0001_AN00WH_F2D", "F0001_NE01WH_F2D", "F0001_AN05WH_F2D", "F0001_AN01WH_RAW", "F001_AN01WH_F2D"):
        write_picture(source / "odd" / f"{name}.bmp", (8, 8))
    odd = [record for record in ADAPTER.scan(source).rejected if record.source_path.startswith("odd/")]
    degree, name = "degree is not 1 to 4, or 0 of neutral", "file name is not person_expression_view"
    assert {record.source_path[4:-4]: (record.reason, record.detail) for record in odd} == {
        "F0001_AN00WH_F2D": (degree, "AN00"),
        "F0001_NE01WH_F2D": (degree, "NE01"),
        "F0001_AN05WH_F2D": (degree, "AN05"),
        "F0001_AN01WH_RAW": (name, "F0001_AN01WH_RAW.bmp"),
        "F001_AN01WH_F2D": (name, "F001_AN01WH_F2D.bmp"),
    }


def test_it_may_lie_in_several_folders(tmp_path, source):
    (tmp_path / "BU_3DFE - 2").mkdir()
    (source / "M0044").rename(tmp_path / "BU_3DFE - 2" / "M0044")
    rows = ADAPTER.scan(tmp_path).rows
    assert len(rows) == 75
    assert rows[0]["source_path"] == "BU_3DFE/F0001/F0001_AN01WH_F2D.bmp"
    assert rows[-1]["source_path"] == "BU_3DFE - 2/M0044/M0044_SU04IN_F2D.bmp"


def test_another_folder_is_an_error_before_any_row(tmp_path):
    write_picture(tmp_path / "F0001" / "face.bmp", (8, 8))
    with pytest.raises(InputError, match=r"expected folders such as F0001 .*found F0001/"):
        next(ADAPTER.stream(tmp_path))
