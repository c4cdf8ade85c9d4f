from collections import Counter

import pytest
from layouts import lfw
from layouts.drawing import write_picture

from fer_core.datasets.base import Form, Pair
from fer_core.datasets.lfw import ADAPTER, LfwOptions, form, pairs
from fer_core.errors import InputError
from fer_core.folds import fold_by_pairs, folds_of_pairs
from fer_core.pictures import decode


@pytest.fixture
def source(tmp_path):
    return lfw.write(tmp_path)


def test_a_row_is_a_picture_of_a_person(source):
    scan = ADAPTER.scan(source)
    assert scan.rows[0] == {
        "source_path": "AJ_Cook/AJ_Cook_0001.jpg",
        "expression": "happiness",
        "subject_id": "AJ_Cook",
        "is_face_crop": True,
    }
    assert Counter(row["subject_id"] for row in scan.rows) == lfw.PEOPLE
    for row in scan.rows:
        assert decode(ADAPTER.picture(source, row).image).shape == (32, 32, 3)


def test_the_label_is_what_annotators_agree_on(source):
    rows = ADAPTER.scan(source).rows
    assert {row["source_path"].split("/")[-1]: row["expression"] for row in rows} == {
        "AJ_Cook_0001.jpg": "happiness",  # twice, in other cases
        "AJ_Cook_0002.jpg": None,  # surprise, and sadness
        "Aaron_Eckhart_0001.jpg": "neutral",
        "Abel_Pacheco_0001.jpg": "disgust",
        "Abel_Pacheco_0002.jpg": None,  # a label that is none
        "Abel_Pacheco_0003.jpg": None,  # nobody labelled it
        "Zurab_Tsereteli_0001.jpg": "fear",
        "Zurab_Tsereteli_0002.jpg": None,
    }


def test_a_third_opinion_does_not_settle_it(source):
    with (source / "expressions.csv").open("a") as file:
        file.write("a,AJ_Cook_0002.jpg,surprise\nb,AJ_Cook_0002.jpg,surprise\n")
    assert ADAPTER.scan(source).rows[1]["expression"] is None


def test_labels_that_cannot_be_taken(source):
    rejected = ADAPTER.scan(source).rejected
    assert [(record.source_path, record.reason, record.detail) for record in rejected] == [
        ("Abel_Pacheco_0002.jpg", "label is not an expression", "line 9: bored"),
        ("../../Zurab_Tsereteli_0002.jpg", "path leaves the source folder", "line 10"),
        ("facial-expressions_2868588k.jpg", "label matches no image", "expressions.csv"),
    ]


def test_without_labels_every_expression_is_unknown(source):
    (source / "expressions.csv").unlink()
    scan = ADAPTER.scan(source)
    assert {row["expression"] for row in scan.rows} == {None}
    assert scan.rejected == []


def test_pictures_that_are_nobodys(source):
    write_picture(source / "AJ_Cook" / "AJ_Cook_0001.png", (32, 32))
    write_picture(source / "AJ_Cook" / "Aaron_Eckhart_0002.jpg", (32, 32))
    write_picture(source / "AJ_Cook_0007.jpg", (32, 32))
    scan = ADAPTER.scan(source)
    assert len(scan.rows) == 8
    pictures = {record.source_path: record.reason for record in scan.rejected if "Cook" in record.source_path}
    assert pictures == {
        "AJ_Cook/AJ_Cook_0001.png": "picture occurs twice",
        "AJ_Cook/Aaron_Eckhart_0002.jpg": "file name is not person_number",
        "AJ_Cook_0007.jpg": "picture is in no person's folder",
    }


def test_official_pictures_have_background_and_small_ones_are_crops(tmp_path):
    official = lfw.write(tmp_path / "official", side=250)
    assert form(official) == Form(236, 224, is_face_crop=False)
    assert {row["is_face_crop"] for row in ADAPTER.scan(official).rows} == {False}
    assert form(lfw.write(tmp_path / "small", side=112)) == Form(112, 106, is_face_crop=True)


def test_a_damaged_first_picture_says_nothing_about_the_form(source):
    (source / "AJ_Cook" / "AJ_Cook_0001.jpg").write_bytes(b"")
    assert form(source) == Form()


def test_pairs_are_those_whose_pictures_are_there(source):
    assert pairs(source) == [
        Pair("AJ_Cook/AJ_Cook_0001.jpg", "AJ_Cook/AJ_Cook_0002.jpg", True, 0),
        Pair("Abel_Pacheco/Abel_Pacheco_0001.jpg", "Abel_Pacheco/Abel_Pacheco_0003.jpg", True, 0),
        Pair("Aaron_Eckhart/Aaron_Eckhart_0001.jpg", "AJ_Cook/AJ_Cook_0002.jpg", False, 0),
        Pair("Zurab_Tsereteli/Zurab_Tsereteli_0001.jpg", "Zurab_Tsereteli/Zurab_Tsereteli_0002.jpg", True, 1),
        Pair("Aaron_Eckhart/Aaron_Eckhart_0001.jpg", "Zurab_Tsereteli/Zurab_Tsereteli_0002.jpg", False, 1),
        Pair("Abel_Pacheco/Abel_Pacheco_0002.jpg", "AJ_Cook/AJ_Cook_0001.jpg", False, 1),
    ]
    assert ADAPTER.pairs is pairs


def test_pairs_name_rows(tmp_path, source):
    write_picture(source / "AJ_Cook" / "AJ_Cook_0001.png", (32, 32))  # set aside, so no pair may name it
    taken = {row["source_path"] for row in ADAPTER.scan(tmp_path).rows}
    assert all(pair.first in taken and pair.second in taken for pair in pairs(tmp_path))


def test_development_pairs_are_one_fold(source):
    lines = ["1", "AJ_Cook\t1\t2", "Aaron_Eckhart\t1\tAJ_Cook\t2"]
    (source / "pairs.txt").unlink()
    (source / "pairsDevTrain.txt").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    assert [(pair.same, pair.fold) for pair in pairs(source)] == [(False, 0), (True, 0)]
    (source / "pairsDevTest.txt").write_text("\r\n".join(lines) + "\r\n")
    assert [pair.same for pair in pairs(source)] == [True, False]


def test_people_of_the_later_folds_are_tested_on_where_that_is_asked_for(source):
    assert {row.get("split") for row in ADAPTER.scan(source).rows} == {None}
    (source / "pairs.txt").write_text("2\t1\nAJ_Cook\t1\t2\nAJ_Cook\t1\tX\t2\nAbel_Pacheco\t1\t3\nY\t2\tZ\t1\n")
    rows = ADAPTER.scan(source, LfwOptions(split="pairs")).rows
    split_of = {"AJ_Cook": "train", "Aaron_Eckhart": "train", "Abel_Pacheco": "test", "Zurab_Tsereteli": "train"}
    assert {row["subject_id"]: row["split"] for row in rows} == split_of
    assert len(rows) == 8
    (source / "pairs.txt").unlink()
    with pytest.raises(InputError, match=r"has no pairs\.txt"):
        ADAPTER.scan(source, LfwOptions(split="pairs"))


def test_of_a_single_fold_everybody_is_tested_on(source):
    (source / "pairs.txt").rename(source / "pairs.old")
    (source / "pairsDevTest.txt").write_text("1\nAJ_Cook\t1\t2\nAaron_Eckhart\t1\tAJ_Cook\t2\n")
    rows = ADAPTER.scan(source, LfwOptions(split="pairs")).rows
    assert {row["subject_id"] for row in rows if row["split"] == "test"} == {"AJ_Cook", "Aaron_Eckhart"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (lambda lines: lines[:-1], r"holds 7 pairs, and its first line promises 8"),
        (lambda lines: [*lines, lines[1]], r"holds 9 pairs, and its first line promises 8"),
        (lambda lines: lines[1:], "line 1 is not the numbers of folds and pairs"),
        (lambda lines: [], "line 1 is not the numbers of folds and pairs"),
        (lambda lines: [*lines[:2], "AJ_Cook\t1", *lines[3:]], "line 3 is not name, number, number"),
        (lambda lines: [*lines[:2], "AJ_Cook\tone\ttwo", *lines[3:]], "line 3 is not name, number, number"),
        (lambda lines: [*lines[:2], "A\t1\tB\t2\t3", *lines[3:]], "line 3 is not name, number, number"),
    ],
)
def test_a_malformed_file_of_pairs_is_an_error(source, lines, message):
    (source / "pairs.txt").write_text("\n".join(lines(list(lfw.PAIRS))))
    with pytest.raises(InputError, match=message):
        pairs(source)


def test_pairs_without_a_file_of_pairs_is_an_error(source):
    (source / "pairs.txt").unlink()
    with pytest.raises(InputError, match=r"has no pairs\.txt"):
        pairs(source)


def test_it_is_found_in_outer_folders_with_its_files_beside_it(tmp_path):
    source = lfw.write(tmp_path / "download")
    source.rename(source.with_name("lfw-deepfunneled"))
    for name in ("pairs.txt", "expressions.csv"):
        (tmp_path / "download" / "lfw-deepfunneled" / name).rename(tmp_path / name)
    scan = ADAPTER.scan(tmp_path)
    assert scan.rows[0]["source_path"] == "download/lfw-deepfunneled/AJ_Cook/AJ_Cook_0001.jpg"
    assert scan.rows[0]["expression"] == "happiness"
    assert len(pairs(tmp_path)) == 6


def test_another_folder_is_an_error_before_any_row(tmp_path):
    write_picture(tmp_path / "Aaron_Eckhart" / "0001.jpg", (8, 8))
    with pytest.raises(InputError, match=r"expected a folder lfw .*found Aaron_Eckhart/"):
        next(ADAPTER.stream(tmp_path))
    with pytest.raises(InputError, match="expected a folder lfw"):
        form(tmp_path)


def test_the_mirror_is_what_it_is_said_to_be(real_lfw):
    scan = ADAPTER.scan(real_lfw)
    assert len(scan.rows) == 12_794
    assert Counter(record.reason for record in scan.rejected) == {"label matches no image": 924}
    assert len({row["subject_id"] for row in scan.rows}) == 5_616
    assert Counter(row["expression"] for row in scan.rows) == {
        "neutral": 6_713,
        "happiness": 5_306,
        "surprise": 355,
        "anger": 227,
        "sadness": 124,
        "disgust": 12,
        "fear": 12,
        "contempt": 9,
        None: 36,
    }
    assert form(real_lfw) == Form(112, 106, is_face_crop=True)


def test_the_mirror_has_most_of_the_official_pairs(real_lfw):
    found = pairs(real_lfw)
    assert len(found) == 5_605
    assert {pair.fold for pair in found} == set(range(10))
    assert sum(pair.same for pair in found) == 2_803
    assert found[0] == Pair("Abel_Pacheco/Abel_Pacheco_0001.jpg", "Abel_Pacheco/Abel_Pacheco_0004.jpg", True, 0)


def test_the_pairs_of_the_mirrors_later_folds_are_of_people_who_are_not_trained_on(real_lfw):
    rows = ADAPTER.scan(real_lfw, LfwOptions(split="pairs")).rows
    people = {split: {row["subject_id"] for row in rows if row["split"] == split} for split in ("train", "test")}
    assert not people["train"] & people["test"]
    assert Counter(row["split"] for row in rows) == {"train": 6_688, "test": 6_106}
    assert (len(people["train"]), len(people["test"])) == (3_469, 2_147)
    tested = {row["source_path"] for row in rows if row["split"] == "test"}
    kept = [pair for pair in pairs(real_lfw) if pair.first in tested and pair.second in tested]
    assert {pair.fold for pair in kept} == {5, 6, 7, 8, 9}
    assert (len(kept), sum(pair.same for pair in kept)) == (2_814, 1_408)
    assert len(kept) == sum(pair.fold >= 5 for pair in pairs(real_lfw))


def test_nobody_of_the_mirrors_pairs_is_tested_in_two_folds(real_lfw):
    rows = ADAPTER.scan(real_lfw).rows
    people, paths = [row["subject_id"] for row in rows], [row["source_path"] for row in rows]
    found = pairs(real_lfw)
    for number, sizes in ((2, {-1: 1_526, 0: 1_993, 1: 2_097}), (5, None)):
        fold = fold_by_pairs(people, paths, folds_of_pairs(found, number)).tolist()
        of_person = dict(zip(people, fold, strict=True))
        fold_of_path = dict(zip(paths, fold, strict=True))
        assert all(fold_of_path[pair.first] == fold_of_path[pair.second] == pair.fold * number // 10 for pair in found)
        assert sizes is None or Counter(of_person.values()) == sizes
