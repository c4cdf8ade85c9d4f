from collections import Counter

import numpy as np
import pytest
from layouts import affectnet as layout
from layouts.checks import by_path, check, reasons

from fer_core.datasets.affectnet import ADAPTER, AffectnetOptions
from fer_core.datasets.base import Form
from fer_core.errors import InputError

IMAGES = "Manually_Annotated/Manually_Annotated_Images"
CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
NOTHING = ["annotated as no face", "annotated as none", "annotated as none", "annotated as uncertain"]


@pytest.fixture
def lists(tmp_path):
    return layout.write(tmp_path)


@pytest.fixture
def folders(tmp_path):
    return layout.write_folders(tmp_path)


def test_the_lists_give_expression_box_landmarks_and_split(lists):
    scan = check(ADAPTER, lists)
    assert [row["expression"] for row in scan.rows] == [*CLASSES, "neutral", "happiness", "contempt"]
    assert Counter(row["split"] for row in scan.rows) == {"train": 8, "valid": 3}
    row = scan.rows[1]
    assert row["source_path"] == f"{IMAGES}/1/{layout.NAMES[1].split('/')[1]}.JPG"
    assert row["face_box"] == [5, 6, 35, 38]
    assert row["landmarks"][:6] == [10, 20, 0, 10.25, 20.12, 0]
    assert len(row["landmarks"]) == 68 * 3
    assert row.keys() == {"source_path", "expression", "split", "face_box", "landmarks"}
    assert sorted(reasons(scan).values()) == NOTHING
    assert ADAPTER.form(lists, AffectnetOptions()) == Form()


@pytest.mark.parametrize("form", [layout.write, layout.write_folders])
def test_seven_classes_are_all_but_contempt(tmp_path, form):
    source = form(tmp_path)
    eight, seven = check(ADAPTER, source), check(ADAPTER, source, AffectnetOptions(classes=7))
    assert [row for row in eight.rows if row["expression"] != "contempt"] == seven.rows
    left_out = [record.detail for record in seven.rejected if record.reason == "not one of the 7 classes"]
    assert left_out == ["contempt"] * (len(eight.rows) - len(seven.rows))


@pytest.mark.parametrize("classes", [6, 9, "all"])
def test_other_numbers_of_classes_are_errors(classes):
    with pytest.raises(ValueError, match="classes"):
        AffectnetOptions(classes=classes)


def test_odd_lines_of_the_lists_are_set_aside(lists):
    first = next((layout.images(lists) / "0").iterdir()).relative_to(layout.images(lists)).as_posix()
    for number in range(7):
        layout.write_picture(layout.images(lists) / "9" / f"{number}.jpg", (40, 40))
    layout.add_lines(
        lists,
        layout.line(first, 1),
        layout.line("1/gone.jpg", 1),
        layout.line("../../../etc/passwd.jpg", 1),
        layout.line("9/0.jpg", 11),
        layout.line("9/1.jpg", "-1"),
        layout.line("9/2.jpg", 3, points="1;2;3"),
        "9/3.jpg,1,2",
        layout.line("9/4.jpg", 2, box="NULL,NULL,NULL,NULL", points="NULL"),
        layout.line("9/6.jpg", 2, box="-1,-1,-1,-1"),
    )
    scan = check(ADAPTER, lists)
    found = {record.source_path.removeprefix(f"{IMAGES}/"): record.reason for record in scan.rejected}
    assert {path: reason for path, reason in found.items() if not reason.startswith("annotated as")} == {
        first: "labelled twice",
        "1/gone.jpg": "label matches no image",
        "../../../etc/passwd.jpg": "path leaves the source folder",
        "9/0.jpg": "label is not an expression",
        "9/1.jpg": "label is not an expression",
        "9/2.jpg": "landmarks are not 68 points",
        "9/3.jpg": "label line does not have nine cells",
        "9/5.jpg": "image without a label",
    }
    rows = by_path(scan)
    assert rows[f"{IMAGES}/{first}"]["expression"] == "neutral"  # the first of two lines counts
    unplaced = {"source_path": f"{IMAGES}/9/4.jpg", "expression": "sadness", "split": "train"}
    assert rows[f"{IMAGES}/9/4.jpg"] == unplaced
    assert "face_box" not in rows[f"{IMAGES}/9/6.jpg"]


def test_quoted_cells_spaces_and_windows_separators_are_read(lists):
    layout.write_picture(layout.images(lists) / "9" / "0.jpg", (40, 40))
    layout.add_lines(lists, '"9\\0.jpg" , 1,2,3,4 ,"", 3 ,0,0')
    assert by_path(check(ADAPTER, lists))[f"{IMAGES}/9/0.jpg"]["expression"] == "surprise"


@pytest.mark.parametrize("lists_in", ["", "Manually_Annotated", "Manually_Annotated/Manually_Annotated_file_lists"])
def test_the_lists_may_lie_elsewhere(lists, lists_in):
    whole = ADAPTER.scan(lists)
    (lists / lists_in).mkdir(exist_ok=True)
    for file in list((lists / "Manually_Annotated_file_lists").iterdir()):
        file.rename(lists / lists_in / file.name)
    assert check(ADAPTER, lists) == whole
    assert [f"AffectNet/{row['source_path']}" for row in whole.rows] == list(by_path(ADAPTER.scan(lists.parent)))


def test_other_columns_are_an_error(lists):
    file = lists / "Manually_Annotated_file_lists" / "training.csv"
    file.write_text(file.read_text().replace("valence,arousal", "arousal,valence"))
    with pytest.raises(InputError, match=r"training\.csv has the columns .*arousal, valence; affectnet expects"):
        ADAPTER.scan(lists)


def test_the_folders_give_expression_and_split_and_landmarks_with_the_picture(folders):
    scan = check(ADAPTER, folders)
    assert Counter((row["split"], row["expression"]) for row in scan.rows) == {
        (split, expression): number for split, number in (("train", 2), ("valid", 1)) for expression in CLASSES
    }
    row = by_path(scan)["train_set/images/10.jpg"]
    assert row == {
        "source_path": "train_set/images/10.jpg",
        "expression": "sadness",
        "split": "train",
        "is_face_crop": True,
    }
    assert ADAPTER.picture(folders, row).known["landmarks"][:6] == [0, 0.25, 0, 0.5, 0.75, 0]
    assert scan.rejected == []
    assert ADAPTER.form(folders, AffectnetOptions()) == Form(is_face_crop=True)
    assert [f"AffectNet_8/{key}" for key in by_path(scan)] == list(by_path(ADAPTER.scan(folders.parent)))


def test_odd_annotations_are_set_aside(folders):
    annotations = folders / "train_set" / "annotations"
    np.save(annotations / "0_exp.npy", np.array(["1", "2"]))
    np.save(annotations / "1_exp.npy", np.array({"expression": 1}, dtype=object))
    np.save(annotations / "2_exp.npy", np.array(8))
    np.save(annotations / "3_exp.npy", np.array("happy"))
    np.save(annotations / "99_exp.npy", np.array("1"))
    np.save(annotations / "8_exp.npy", np.array(5))  # a number in place of its text
    (annotations / "4_exp.npy").write_bytes(b"")
    (annotations / "5_exp.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr'")
    (annotations / "6_exp.npy").unlink()
    scan = check(ADAPTER, folders)
    assert [(record.source_path.removeprefix("train_set/"), record.reason) for record in scan.rejected] == [
        ("images/0.jpg", "label is not an expression"),
        ("images/1.jpg", "label is not an expression"),
        ("images/2.jpg", "annotated as none"),
        ("images/3.jpg", "label is not an expression"),
        ("images/4.jpg", "label is not an expression"),
        ("images/5.jpg", "label is not an expression"),
        ("images/6.jpg", "image without a label"),
        ("annotations/99_exp.npy", "label matches no image"),
    ]
    assert by_path(scan)["train_set/images/8.jpg"]["expression"] == "disgust"
    assert scan.rejected[1].detail == "1_exp.npy cannot be read"


def test_pickled_annotations_are_never_run(folders):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    np.save(folders / "train_set" / "annotations" / "0_exp.npy", np.array(Trap(), dtype=object), allow_pickle=True)
    assert reasons(ADAPTER.scan(folders)) == {"train_set/images/0.jpg": "label is not an expression"}


@pytest.mark.parametrize("points", [np.arange(10), np.full(136, np.nan), np.array(["x"] * 136), np.array({})])
def test_malformed_landmarks_are_an_error_of_their_picture(folders, points):
    np.save(folders / "train_set" / "annotations" / "0_lnd.npy", points)
    with pytest.raises(OSError, match=r"0_lnd\.npy does not hold 68 points"):
        ADAPTER.picture(folders, by_path(ADAPTER.scan(folders))["train_set/images/0.jpg"])


def test_landmarks_may_be_missing(folders):
    (folders / "train_set" / "annotations" / "0_lnd.npy").unlink()
    assert ADAPTER.picture(folders, by_path(ADAPTER.scan(folders))["train_set/images/0.jpg"]).known == {}


def test_a_set_without_annotations_is_an_error(folders):
    (folders / "val_set" / "annotations").rename(folders / "elsewhere")
    with pytest.raises(InputError, match="val_set has no folder annotations"):
        ADAPTER.scan(folders)


def test_lists_without_pictures_are_a_wrong_folder(lists):
    (lists / "Manually_Annotated").rename(lists / "elsewhere")
    with pytest.raises(
        InputError, match=r"expected Manually_Annotated/.*found Manually_Annotated_file_lists/, elsewhere/"
    ):
        ADAPTER.scan(lists)
