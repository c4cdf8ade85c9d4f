from collections import Counter

import pytest
from layouts import celeba as layout
from layouts.checks import by_path, check, reasons

from fer_core.datasets.base import Form
from fer_core.datasets.celeba import ADAPTER, CelebaOptions
from fer_core.errors import InputError

WILD = CelebaOptions(pictures="wild")
ALIGNED = "Img/img_align_celeba/"


@pytest.fixture
def source(tmp_path):
    return layout.write(tmp_path)


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_aligned_pictures_have_identity_split_points_and_a_smile(source):
    scan = check(ADAPTER, source)
    assert [row["source_path"] for row in scan.rows] == [ALIGNED + name for name in layout.NAMES]
    assert scan.rows[1] == {
        "source_path": ALIGNED + "000002.jpg",
        "expression": "happiness",
        "subject_id": "2880",
        "split": "train",
        "landmarks": [1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 8, 0, 9, 10, 0],
    }
    assert scan.rows[0]["expression"] is None
    assert Counter(row["expression"] for row in scan.rows) == {"happiness": 6, None: 6}
    assert [row["split"] for row in scan.rows] == ["train"] * 4 + ["valid"] * 4 + ["test"] * 4
    assert Counter(row["subject_id"] for row in scan.rows) == dict.fromkeys(("2880", "2881", "2882", "2883"), 3)
    assert scan.rejected == []
    assert ADAPTER.form(source, CelebaOptions()) == Form(178, 168)


def test_a_smile_need_not_be_happiness(source):
    rows = ADAPTER.scan(source, CelebaOptions(smiling="unknown")).rows
    assert {row["expression"] for row in rows} == {None}


def test_pictures_in_the_wild_have_boxes(source):
    with pytest.raises(InputError, match="in the wild, Img/img_celeba/"):
        ADAPTER.scan(source, WILD)
    layout.add_wild(source)
    row = ADAPTER.scan(source, WILD).rows[0]
    assert row["source_path"] == "Img/img_celeba/000001.jpg"
    assert row["face_box"] == [95, 71, 321, 384]
    assert row["landmarks"][:4] == [100, 101, 0, 102]
    assert ADAPTER.form(source, WILD) == Form()


def test_a_box_of_no_size_is_unknown(source):
    layout.add_wild(source)
    change(source / "Anno/list_bbox_celeba.txt", "000001.jpg    95  71 226  313", "000001.jpg    0  0 0  0")
    assert ADAPTER.scan(source, WILD).rows[0]["face_box"] is None


def test_odd_labels_are_set_aside(source):
    attributes = source / "Anno" / "list_attr_celeba.txt"
    odd = "000002.jpg 1 1 1 1 1\n000099.jpg 1 1 1 1 1\n../x.jpg 1 1 1 1 1\n000003.jpg 1 1\n"
    attributes.write_text(attributes.read_text().replace("000003.jpg -1  1 -1 -1  1 \n", "") + odd)
    change(attributes, "000004.jpg -1  1 -1  1  1", "000004.jpg -1  1 -1  0  1")
    change(source / "Anno/list_landmarks_align_celeba.txt", "000005.jpg    4 5", "000005.jpg    4")
    change(source / "Anno/list_landmarks_align_celeba.txt", "000006.jpg    5 6", "000006.jpg    5 nan")
    layout.write_picture(source / ALIGNED / "000077.jpg", (44, 54))
    scan = check(ADAPTER, source)
    assert [(record.source_path.removeprefix(ALIGNED), record.reason) for record in scan.rejected] == [
        ("000004.jpg", "label line does not hold the attributes"),
        ("000005.jpg", "landmarks or box are malformed"),
        ("000006.jpg", "landmarks or box are malformed"),
        ("000002.jpg", "labelled twice"),
        ("000099.jpg", "label matches no image"),
        ("../x.jpg", "path leaves the source folder"),
        ("000003.jpg", "label line does not hold the attributes"),
        ("000077.jpg", "image without a label"),
    ]


def test_what_no_table_says_of_a_picture_is_unknown(source):
    change(source / "Anno" / "identity_CelebA.txt", "000001.jpg 2880\n", "")
    change(source / "Eval" / "list_eval_partition.txt", "000001.jpg 0\n", "")
    change(source / "Anno" / "list_landmarks_align_celeba.txt", "000001.jpg    ", "unnamed.jpg    ")
    row = check(ADAPTER, source).rows[0]
    assert row == {"source_path": ALIGNED + "000001.jpg", "expression": None, "subject_id": None, "split": None}


def test_the_parent_and_a_flat_folder_are_found(source):
    keys = list(by_path(ADAPTER.scan(source)))
    assert list(by_path(ADAPTER.scan(source.parent))) == [f"CelebA/{key}" for key in keys]
    for file in [*(source / "Anno").iterdir(), *(source / "Eval").iterdir()]:
        file.rename(source / file.name)
    (source / "Img" / "img_align_celeba").rename(source / "img_align_celeba")
    assert list(by_path(check(ADAPTER, source))) == [key.removeprefix("Img/") for key in keys]
    assert reasons(ADAPTER.scan(source)) == {}


@pytest.mark.parametrize("file", ["Anno/identity_CelebA.txt", "Eval/list_eval_partition.txt"])
def test_a_missing_table_is_an_error(source, file):
    (source / file).unlink()
    with pytest.raises(InputError, match=f"has no {file.split('/')[1]}; celeba expects"):
        ADAPTER.scan(source)


def test_attributes_without_the_smile_are_an_error(source):
    change(source / "Anno" / "list_attr_celeba.txt", "Smiling", "Grinning")
    with pytest.raises(InputError, match="does not name the attribute Smiling"):
        ADAPTER.scan(source)


def test_another_folder_is_an_error(tmp_path):
    (tmp_path / "Img").mkdir()
    with pytest.raises(InputError, match=r"expected Img/img_align_celeba/.*found Img/"):
        ADAPTER.scan(tmp_path)
