from collections import Counter

import pytest
from layouts import sfew as layout
from layouts.checks import by_path, check, reasons

from fer_core.datasets.base import Form
from fer_core.datasets.sfew import ADAPTER, SfewOptions
from fer_core.errors import InputError

FRAMES = SfewOptions(pictures="frames")
CLASSES = {"anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"}


@pytest.fixture
def source(tmp_path):
    return layout.write(tmp_path)


def test_aligned_faces_have_their_expression_split_and_shot(source):
    scan = check(ADAPTER, source)
    assert Counter((row["split"], row["expression"]) for row in scan.rows) == {
        (split, name): 1 for split in ("train", "valid") for name in CLASSES
    }
    key = "Train/Train_Aligned_Faces/Happy/Airheads_000519240_00000003.png"
    assert by_path(scan)[key] == {
        "source_path": key,
        "expression": "happiness",
        "split": "train",
        "sequence_id": "Airheads_000519240",
        "is_face_crop": True,
    }
    assert ADAPTER.form(source, SfewOptions()) == Form(143, 136, is_face_crop=True)


def test_the_test_part_has_no_labels(source):
    found = reasons(ADAPTER.scan(source))
    assert Counter(found.values()) == {"image without a label": 7}
    assert all(key.startswith("Test/Test_Aligned_Faces/") for key in found)


def test_whole_frames_are_an_option(source):
    with pytest.raises(InputError, match="Train/Train/"):
        ADAPTER.scan(source, FRAMES)
    layout.add_frames(source)
    scan = ADAPTER.scan(source, FRAMES)
    assert [row["source_path"] for row in scan.rows][:1] == ["Train/Train/Angry/Airheads_000519240_00000000.png"]
    assert not any("is_face_crop" in row for row in scan.rows)
    assert len(scan.rows) == 14
    assert ADAPTER.form(source, FRAMES) == Form()
    assert len(ADAPTER.scan(source).rows) == 14


def test_odd_folders_and_names_are_said(source):
    part = source / "Train" / "Train_Aligned_Faces"
    layout.write_picture(part / "Bored" / "1.png", (36, 46))
    layout.write_picture(part / "stray.png", (36, 46))
    layout.write_picture(part / "Sad" / "photo.png", (36, 46))
    scan = check(ADAPTER, source)
    found = reasons(scan)
    assert found["Train/Train_Aligned_Faces/Bored/1.png"] == "folder is not an expression"
    assert found["Train/Train_Aligned_Faces/stray.png"] == "image without a label"
    assert by_path(scan)["Train/Train_Aligned_Faces/Sad/photo.png"]["sequence_id"] is None


def test_other_depths_and_the_older_name_are_found(source):
    whole = ADAPTER.scan(source).rows
    (source / "Val" / "Val_Aligned_Faces_new").rename(source / "Val_Aligned_Faces")
    (source / "Train" / "Train_Aligned_Faces").rename(source / "Train_Aligned_Faces")
    flat = check(ADAPTER, source).rows
    assert [row["split"] for row in flat] == [row["split"] for row in whole]
    outer = ADAPTER.scan(source.parent).rows
    assert [row["source_path"] for row in outer] == [f"SFEW_2/{row['source_path']}" for row in flat]


def test_another_folder_is_an_error(tmp_path):
    (tmp_path / "Train" / "pictures").mkdir(parents=True)
    with pytest.raises(InputError, match=r"expected Train/Train_Aligned_Faces/.*found Train/"):
        ADAPTER.scan(tmp_path)
