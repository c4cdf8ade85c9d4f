from collections import Counter

import pytest
from layouts import raf_db as layout
from layouts.checks import by_path, check, reasons

from fer_core.datasets.base import Form
from fer_core.datasets.raf_db import ADAPTER, EXPRESSIONS, RafDbOptions
from fer_core.errors import InputError

ORIGINAL = RafDbOptions(pictures="original")


@pytest.fixture
def source(tmp_path):
    return layout.write(tmp_path)


def test_aligned_faces_have_their_expression_and_split(source):
    scan = check(ADAPTER, source)
    assert Counter((row["split"], row["expression"]) for row in scan.rows) == {
        (split, name): number for split, number in (("train", 2), ("test", 1)) for name in EXPRESSIONS
    }
    assert scan.rows[4] == {
        "source_path": "Image/aligned/train_00005_aligned.jpg",
        "expression": "sadness",
        "split": "train",
        "is_face_crop": True,
    }
    assert scan.rejected == []
    assert ADAPTER.picture(source, scan.rows[0]).known == {}  # the points are the original's
    assert ADAPTER.form(source, RafDbOptions()) == Form(100, 95, is_face_crop=True)


def test_the_codes_are_those_of_the_set():
    assert EXPRESSIONS == ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


def test_originals_have_points_and_boxes(source):
    with pytest.raises(InputError, match=r"the folder basic with EmoLabel/list_patition_label\.txt"):
        ADAPTER.scan(source, ORIGINAL)
    layout.add_originals(source)
    scan = ADAPTER.scan(source, ORIGINAL)
    assert len(scan.rows) == 21
    row = scan.rows[0]
    assert row == {"source_path": "Image/original/train_00001.jpg", "expression": "surprise", "split": "train"}
    known = ADAPTER.picture(source, row).known
    assert known["landmarks"] == [20.5, 21, 0, 40, 22, 0, 30, 32, 0, 24, 44, 0, 37, 45.5, 0]
    assert known["face_box"] == [12.5, 8, 51.25, 60]
    assert ADAPTER.form(source, ORIGINAL) == Form()
    for file in (source / "Annotation").rglob("train_00001_*"):
        file.unlink()
    assert ADAPTER.picture(source, row).known == {}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("manual/train_00001_manu_attri.txt", "1\t2\n"),
        ("manual/train_00001_manu_attri.txt", "1\t2\n" * 4 + "1\n"),
        ("manual/train_00001_manu_attri.txt", "1\tx\n" * 5),
        ("boundingbox/train_00001_boundingbox.txt", ""),
        ("boundingbox/train_00001_boundingbox.txt", "1 2 3 inf"),
    ],
)
def test_malformed_points_and_boxes_are_errors_of_their_picture(source, file, text):
    layout.add_originals(source)
    (source / "Annotation" / file).write_text(text)
    with pytest.raises(OSError, match=r"train_00001_\w+\.txt does not hold"):
        ADAPTER.picture(source, ADAPTER.scan(source, ORIGINAL).rows[0])


def test_odd_labels_are_set_aside(source):
    for name in ("train_00090", "train_00091", "other"):
        layout.write_picture(source / "Image" / "aligned" / f"{name}_aligned.jpg", (50, 50))
    layout.add_labels(
        source,
        "train_00001.jpg 7",
        "train_00099.jpg 1",
        "train_00090.jpg 8",
        "train_00098.jpg",
        "valid_00001.jpg 3",
        "",
        "train_/../../../x.jpg 1",
    )
    scan = check(ADAPTER, source)
    assert [(record.source_path.split("/")[-1], record.reason) for record in scan.rejected] == [
        ("train_00001_aligned.jpg", "labelled twice"),
        ("train_00099_aligned.jpg", "label matches no image"),
        ("train_00090_aligned.jpg", "label is not an expression"),
        ("train_00098_aligned.jpg", "label line is not a name of train or test and a code"),
        ("valid_00001_aligned.jpg", "label line is not a name of train or test and a code"),
        ("x_aligned.jpg", "path leaves the source folder"),
        ("other_aligned.jpg", "image without a label"),
        ("train_00091_aligned.jpg", "image without a label"),
    ]
    assert by_path(scan)["Image/aligned/train_00001_aligned.jpg"]["expression"] == "surprise"


def test_the_parent_an_inner_folder_and_the_right_spelling_are_found(source):
    keys = list(by_path(ADAPTER.scan(source)))
    (source / "Image" / "aligned").rename(source / "moving")
    (source / "Image" / "aligned").mkdir()
    (source / "moving").rename(source / "Image" / "aligned" / "aligned")
    labels = source / "EmoLabel" / "list_patition_label.txt"
    labels.rename(labels.with_name("list_partition_label.txt"))
    labels.with_name("list_partition_label.txt").write_text(
        "\ufeff" + "".join(f"{name}.jpg {code}\n" for name, code in layout.NAMES.items()), newline="\r\n"
    )
    inner = [key.replace("aligned/", "aligned/aligned/") for key in keys]
    assert list(by_path(check(ADAPTER, source))) == inner
    assert list(by_path(ADAPTER.scan(source.parent))) == [f"basic/{key}" for key in inner]
    assert reasons(ADAPTER.scan(source)) == {}


def test_another_folder_is_an_error(tmp_path):
    (tmp_path / "compound").mkdir()
    with pytest.raises(InputError, match=r"expected the folder basic.*found compound/"):
        ADAPTER.scan(tmp_path)
