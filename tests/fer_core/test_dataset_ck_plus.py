import shutil
from collections import Counter

import pytest
from layouts import ck_plus as layout
from layouts.checks import by_path, check, reasons

from fer_core.datasets.base import SMALL, Form
from fer_core.datasets.ck_plus import ADAPTER, CkPlusOptions
from fer_core.errors import InputError

FRAME = "cohn-kanade-images/S005/001/S005_001_0000000{}.png"


@pytest.fixture
def archive(tmp_path):
    return layout.write(tmp_path)


def test_the_last_three_frames_of_each_labelled_sequence_are_taken(archive):
    scan = check(ADAPTER, archive)
    assert [row["source_path"] for row in scan.rows[:3]] == [FRAME.format(frame) for frame in (4, 5, 6)]
    assert scan.rows[0] == {
        "source_path": FRAME.format(4),
        "expression": "disgust",
        "subject_id": "S005",
        "sequence_id": "S005_001",
    }
    assert Counter(row["expression"] for row in scan.rows) == dict.fromkeys(
        ("disgust", "surprise", "anger", "sadness", "contempt", "fear", "happiness"), 3
    )
    assert len(scan.rows) == 21
    assert Counter(record.reason for record in scan.rejected) == {
        "frame is before the peak": 14,
        "sequence without an emotion label": 4,
    }


def test_more_frames_and_the_neutral_one_are_options(archive):
    one = check(ADAPTER, archive, CkPlusOptions(frames=1, neutral=True))
    assert [(row["source_path"], row["expression"]) for row in one.rows[:2]] == [
        (FRAME.format(1), "neutral"),
        (FRAME.format(6), "disgust"),
    ]
    assert Counter(row["expression"] for row in one.rows)["neutral"] == 7
    most = check(ADAPTER, archive, CkPlusOptions(frames=100)).rows
    assert FRAME.format(1) not in {row["source_path"] for row in most}  # neutral, however many are asked for
    assert FRAME.format(2) in {row["source_path"] for row in most}
    with pytest.raises(ValueError, match="frames"):
        CkPlusOptions(frames=0)


def test_every_frame_has_landmarks_and_the_peak_has_action_units(archive):
    rows = by_path(ADAPTER.scan(archive))
    peak = ADAPTER.picture(archive, rows[FRAME.format(6)]).known
    assert peak["landmarks"][:6] == [10, 26, 0, 11, 26, 0]
    assert len(peak["landmarks"]) == 68 * 3
    assert peak["action_units"] == [(9, 4.0), (17, 3.0)]
    assert ADAPTER.picture(archive, rows[FRAME.format(5)]).known.keys() == {"landmarks"}
    ungraded = rows["cohn-kanade-images/S010/002/S010_002_00000005.png"]
    assert ADAPTER.picture(archive, ungraded).known["action_units"] == [(1, 1.0), (2, 5.0), (25, 1.0)]


def test_landmarks_and_action_units_may_be_missing(archive):
    shutil.rmtree(archive / "Landmarks")
    shutil.rmtree(archive / "FACS")
    row = by_path(check(ADAPTER, archive))[FRAME.format(6)]
    assert ADAPTER.picture(archive, row).known == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Landmarks", ""),
        ("Landmarks", "1 2\n" * 67),
        ("Landmarks", "1 nan\n" * 68),
        ("Landmarks", "a b\n" * 68),
        ("FACS", "12\n"),
        ("FACS", "x 1\n"),
        ("FACS", "inf 1\n"),
        ("FACS", "12 nan\n"),
    ],
)
def test_a_malformed_landmark_or_facs_file_is_an_error_of_its_picture(archive, kind, text):
    row = by_path(ADAPTER.scan(archive))[FRAME.format(6)]
    next((archive / kind / "S005" / "001").glob("*6_*.txt")).write_text(text)
    with pytest.raises(OSError, match=r"S005_001_00000006_"):
        ADAPTER.picture(archive, row)


def test_odd_files_of_the_archive_are_set_aside(archive):
    pictures, emotions = archive / "cohn-kanade-images", archive / "Emotion"
    shutil.copy(pictures / "S005" / "001" / "S005_001_00000001.png", pictures / "S005" / "copy.png")
    (emotions / "S010" / "002" / "S010_002_00000005_emotion.txt").write_text("happy")
    (emotions / "S052" / "004" / "S052_004_00000005_emotion.txt").write_text("9.0e+00")
    layout.write_text(emotions / "S999" / "001" / "S999_001_00000010_emotion.txt", "1.0e+00")
    layout.write_text(emotions / "S005" / "001" / "S005_001_00000009_emotion.txt", "1.0e+00")
    scan = check(ADAPTER, archive)
    found = reasons(scan)
    assert found["cohn-kanade-images/S005/copy.png"] == "file name is not subject_sequence_frame"
    assert found["Emotion/S999/001/S999_001_00000010_emotion.txt"] == "label matches no image"
    assert found["Emotion/S005/001/S005_001_00000009_emotion.txt"] == "labelled twice"
    assert Counter(found.values())["emotion file holds no code of an expression"] == 10
    assert by_path(scan)[FRAME.format(6)]["expression"] == "disgust"  # the first of two labels


@pytest.mark.parametrize("labels", [("Emotion_labels", "FACS_labels", "Landmarks"), ("Emotion", "FACS", "Landmarks")])
def test_the_zip_files_may_unpack_to_folders_of_their_own_below_the_source(archive, labels):
    whole = [row["source_path"] for row in ADAPTER.scan(archive).rows]
    for name, outer in zip(("Emotion", "FACS", "Landmarks"), labels, strict=True):
        (archive / name).rename(archive / "moving")
        (archive / outer).mkdir()
        (archive / "moving").rename(archive / outer / name)
    if labels[0] == "Emotion":  # an archive unpacked beside itself: the folders are looked for one by one
        for name in labels[:2]:
            (archive / name / name).rename(archive / "moving")
            (archive / name).rmdir()
            (archive / "moving").rename(archive / name)
    outer = archive.with_name("outer")
    outer.mkdir()
    archive.rename(outer / "CK+")
    scan = check(ADAPTER, outer)
    assert [row["source_path"] for row in scan.rows] == [f"CK+/{path}" for path in whole]
    assert ADAPTER.picture(outer, scan.rows[2]).known.keys() == {"landmarks", "action_units"}


def test_the_form_is_that_of_what_the_folder_holds(archive, tiny_ck_plus):
    assert ADAPTER.form(archive, CkPlusOptions()) == Form()
    assert ADAPTER.form(tiny_ck_plus, CkPlusOptions()) == SMALL


def test_images_without_labels_are_a_wrong_folder(archive):
    shutil.rmtree(archive / "Emotion")
    with pytest.raises(InputError, match=r"Emotion/, FACS/ and Landmarks/ beside it.*found FACS/"):
        ADAPTER.scan(archive)


def test_the_small_form_takes_subject_sequence_and_expression_from_the_name(tiny_ck_plus):
    scan = check(ADAPTER, tiny_ck_plus)
    assert len(scan.rows) == 48
    assert scan.rejected == []
    assert by_path(scan)["CK+48/happy/S014_002_00000011.png"] == {
        "source_path": "CK+48/happy/S014_002_00000011.png",
        "expression": "happiness",
        "subject_id": "S014",
        "sequence_id": "S014_002",
        "is_face_crop": True,
    }


def test_the_small_form_is_found_in_its_own_folder_too(tiny_ck_plus):
    inside = ADAPTER.scan(tiny_ck_plus / "CK+48")
    assert [f"CK+48/{row['source_path']}" for row in inside.rows] == list(by_path(ADAPTER.scan(tiny_ck_plus)))


def test_the_small_form_sets_aside_what_it_does_not_know(tiny_ck_plus):
    root = tiny_ck_plus / "CK+48"
    picture = root / "anger" / "S010_001_00000010.png"
    (root / "bored").mkdir()
    shutil.copy(picture, root / "bored" / picture.name)
    shutil.copy(picture, root / picture.name)
    (root / "readme.txt").write_text("")
    for name in ("S010_001_10.png", "Thumbs.db", "S010_001_00000010.png.part", "S010_001_00000012.gif"):
        shutil.copy(picture, root / "anger" / name)
    scan = check(ADAPTER, tiny_ck_plus)
    assert len(scan.rows) == 48
    assert reasons(scan) == {
        "CK+48/S010_001_00000010.png": "folder is not an expression",
        "CK+48/bored/S010_001_00000010.png": "folder is not an expression",
        **{
            f"CK+48/anger/{name}": "file name is not subject_sequence_frame"
            for name in ("S010_001_10.png", "S010_001_00000010.png.part", "S010_001_00000012.gif")
        },
    }


def test_the_small_form_lists_a_link_that_leads_nowhere(tiny_ck_plus):
    (tiny_ck_plus / "CK+48" / "anger" / "S999_001_00000010.png").symlink_to(tiny_ck_plus / "not-fetched")
    assert "CK+48/anger/S999_001_00000010.png" in by_path(ADAPTER.scan(tiny_ck_plus))


def test_the_small_form_has_no_other_frames(tiny_ck_plus):
    with pytest.raises(InputError, match=r"ck_plus\.frames and ck_plus\.neutral are for the full archive"):
        ADAPTER.scan(tiny_ck_plus, CkPlusOptions(neutral=True))


def test_another_folder_is_an_error_that_says_what_was_found(tmp_path):
    (tmp_path / "holiday" / "pictures").mkdir(parents=True)
    with pytest.raises(InputError, match=r"expected cohn-kanade-images.*found pictures/"):
        ADAPTER.scan(tmp_path / "holiday")


def test_the_small_form_is_what_is_published(real_ck_plus):
    scan = ADAPTER.scan(real_ck_plus)
    assert (len(scan.rows), len(scan.rejected)) == (981, 0)
    assert len({row["subject_id"] for row in scan.rows}) == 118
    assert len({row["sequence_id"] for row in scan.rows}) == 327
    assert Counter(row["expression"] for row in scan.rows) == {
        "anger": 135,
        "contempt": 54,
        "disgust": 177,
        "fear": 75,
        "happiness": 207,
        "sadness": 84,
        "surprise": 249,
    }
