import csv
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
from layouts import ferplus as layout
from layouts.checks import by_path, check, reasons

from fer_core.datasets.base import SMALL, Rejected
from fer_core.datasets.ferplus import ADAPTER, LABELLERS, NOT_A_FACE, SPLIT_OF_FOLDER, FerplusOptions
from fer_core.errors import InputError
from fer_core.pictures import decode
from fer_core.vocabulary import EIGHT

TRAIN = "data/FER2013Train/"
TIE = "two labels share the most votes"
NO_HALF = "no label has more than half of the votes"
MALFORMED = "label line is not a name, a box and ten votes"


def named(scan):
    return {row["source_path"].split("/")[-1]: row for row in scan.rows}


def labels_of(source, votes):
    """By rule, the label of one picture whose votes are replaced, or why it has none."""
    file, key = source / "data" / "FER2013Test" / "label.csv", "data/FER2013Test/fer0000030.png"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]) + f'fer0000030.png,"box",{votes}\n')
    scans = {rule: ADAPTER.scan(source, FerplusOptions(labels=rule)) for rule in LABELLERS}
    rows = {rule: by_path(scan) for rule, scan in scans.items()}
    return {rule: rows[rule][key]["expression"] if key in rows[rule] else reasons(scans[rule])[key] for rule in scans}


def test_every_expression_is_named(tmp_path):
    scan = check(ADAPTER, layout.write(tmp_path))
    assert Counter(row["expression"] for row in scan.rows) == dict.fromkeys(EIGHT, 4)
    assert scan.rejected == []
    assert ADAPTER.form(tmp_path, FerplusOptions()) == SMALL


def test_the_majority_the_votes_and_the_split_are_taken(tiny_ferplus):
    scan = ADAPTER.scan(tiny_ferplus)
    assert Counter(row["split"] for row in scan.rows) == {"train": 24, "valid": 6, "test": 6}
    assert by_path(scan)[TRAIN + "fer0000002.png"] == {
        "source_path": TRAIN + "fer0000002.png",
        "expression": "anger",
        "expression_votes": [1.0, 0.0, 0.0, 2.0, 6.0, 0.0, 0.0, 0.0],
        "split": "train",
        "is_face_crop": True,
    }
    assert Counter(row["expression"] for row in scan.rows) == {"neutral": 12, "happiness": 12, "anger": 12}


def test_every_odd_case_is_set_aside_with_its_reason(tiny_ferplus):
    scan = ADAPTER.scan(tiny_ferplus)
    assert reasons(scan) == {
        TRAIN + "fer0000000.png": "labelled twice",
        TRAIN + "fer0999999.png": "label matches no image",
        TRAIN + "unlabelled.png": "image without a label",
        TRAIN + "tie.png": TIE,
        TRAIN + "unknown.png": NOT_A_FACE,
        TRAIN + "not_a_face.png": NOT_A_FACE,
        TRAIN + "no_votes.png": "no votes",
        TRAIN + "words.png": MALFORMED,
        TRAIN + "too_short.png": MALFORMED,
    }
    first = by_path(scan)[TRAIN + "fer0000000.png"]
    assert first["expression"] == "neutral"  # the first of two lines counts
    assert Rejected(TRAIN + "words.png", MALFORMED, "line 31") in scan.rejected


@pytest.mark.parametrize(
    ("votes", "majority", "probability", "reference"),
    [
        ("5,0,0,0,0,0,0,0,5,0", TIE, "neutral", NO_HALF),  # neutral and unknown
        ("0,0,0,0,0,0,0,0,5,5", NOT_A_FACE, NOT_A_FACE, NO_HALF),
        ("3,0,0,0,0,0,0,0,5,2", NOT_A_FACE, NOT_A_FACE, NO_HALF),
        ("2,0,0,0,0,0,0,0,6,2", NOT_A_FACE, NOT_A_FACE, NOT_A_FACE),
        ("0,0,4,4,2,0,0,0,0,0", TIE, "surprise", NO_HALF),
        ("3,0,0,2,5,0,0,0,0,0", "anger", "anger", NO_HALF),  # exactly half
        ("4,0,0,1,1,1,1,1,1,0", "neutral", "neutral", "neutral"),  # more than half once single votes are gone
        ("3,0,0,1,1,1,1,1,0,2", "neutral", "neutral", "neutral"),
        ("1,1,1,1,1,1,1,1,1,1", TIE, "neutral", NO_HALF),  # nothing is left
        ("0,0,0,0,0,0,1,0,0,0", "fear", "fear", NO_HALF),
        ("0,0,0,0,0,0,0,0,0,0", "no votes", "no votes", "no votes"),
        ("-1,0,0,0,0,0,0,0,0,9", MALFORMED, MALFORMED, MALFORMED),
        ("1.5,0,0,0,0,0,0,0,0,0", MALFORMED, MALFORMED, MALFORMED),
        ("1,0,0,0,0,0,0,0,0,0,0", MALFORMED, MALFORMED, MALFORMED),
    ],
)
def test_votes_become_labels_by_the_chosen_rule(tiny_ferplus, votes, majority, probability, reference):
    expected = {"majority": majority, "probability": probability, "reference": reference}
    assert labels_of(tiny_ferplus, votes) == expected


def test_the_votes_are_kept_as_cast_whatever_the_rule(tiny_ferplus):
    rows = [by_path(ADAPTER.scan(tiny_ferplus, FerplusOptions(labels=labels))) for labels in ("majority", "reference")]
    assert rows[0][TRAIN + "fer0000002.png"] == rows[1][TRAIN + "fer0000002.png"]


def test_label_files_of_bytes_absolute_names_and_empty_lines_are_read(tiny_ferplus):
    file = tiny_ferplus / "data" / "FER2013Valid" / "label.csv"
    lines = b"\n\n\xff\xfe\x00,box,1\n/etc/hosts,box,9,0,0,0,0,0,0,0,0,0\n..\\x.png,box,9,0,0,0,0,0,0,0,0,0\n"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + lines)
    scan = ADAPTER.scan(tiny_ferplus)
    assert len(scan.rows) == 36
    assert Rejected("/etc/hosts", "path leaves the source folder", "line 10") in scan.rejected
    assert Rejected("..\\x.png", "path leaves the source folder", "line 11") in scan.rejected


@pytest.mark.parametrize("depth", ["data", "FERPlus/data"])
def test_the_image_form_is_found_with_and_without_its_outer_folders(tiny_ferplus, depth):
    whole = [row["source_path"].removeprefix("data/") for row in ADAPTER.scan(tiny_ferplus).rows]
    outer = tiny_ferplus.with_name("outer") / depth
    outer.parent.mkdir(parents=True)
    (tiny_ferplus / "data").rename(outer)
    for source in {outer, tiny_ferplus.with_name("outer")}:
        assert [row["source_path"].split("data/")[-1] for row in ADAPTER.scan(source).rows] == whole


def test_every_part_of_the_image_form_needs_its_labels(tiny_ferplus):
    (tiny_ferplus / "data" / "FER2013Valid" / "label.csv").unlink()
    with pytest.raises(InputError, match=r"FER2013Valid has no label\.csv"):
        ADAPTER.scan(tiny_ferplus)


def test_the_tables_are_the_same_pictures_and_labels_as_the_folders(tmp_path):
    tables, images = layout.write_tables(tmp_path), tmp_path / "FERPlus"
    by_table, by_folder = named(ADAPTER.scan(tables)), named(ADAPTER.scan(images))
    assert list(by_table) == list(by_folder)
    for name, row in by_table.items():
        other = by_folder[name]
        assert {**row, "source_path": ""} == {**other, "source_path": ""}
        picture = ADAPTER.picture(tables, row).image
        assert picture.startswith(b"\x89PNG")
        np.testing.assert_array_equal(decode(picture), decode(ADAPTER.picture(images, other).image))


def test_the_key_of_a_picture_in_a_table_says_where_it_is(tmp_path):
    tables = layout.write_tables(tmp_path)
    rows = ADAPTER.scan(tables).rows
    begin = len(b"emotion,pixels,Usage\r\n")
    assert rows[0]["source_path"] == f"fer2013.csv@{begin}/fer0000000.png"
    outer = tmp_path / "outer"
    (outer / "fer2013").mkdir(parents=True)
    (tables / "fer2013.csv").rename(outer / "fer2013" / "fer2013.csv")
    (tables / "fer2013new.csv").rename(outer / "fer2013new.csv")
    moved = ADAPTER.scan(outer).rows
    assert [row["source_path"] for row in moved] == [f"fer2013/{row['source_path']}" for row in rows]
    assert decode(ADAPTER.picture(outer, moved[5]).image).shape == (48, 48)


def test_lines_without_a_name_and_names_that_stand_twice_are_set_aside(tmp_path):
    tables = layout.write_tables(tmp_path)
    scan = ADAPTER.scan(tables)
    found = [(record.source_path.split("/")[-1], record.reason, record.detail) for record in scan.rejected]
    assert found == [
        ("", "left out of FER+, without a name", "line 5 of fer2013new.csv"),
        ("fer0000025.png", "labelled twice", "line 35 of fer2013new.csv"),
    ]
    assert named(scan)["fer0000025.png"]["expression"] == "happiness"  # the first of two lines counts


def test_a_malformed_line_of_the_names_is_set_aside(tmp_path):
    tables = layout.write_tables(tmp_path)
    file = tables / "fer2013new.csv"
    file.write_text(file.read_text().replace("fer0000001.png,0,10,", "fer0000001.png,0,ten,"))
    reason = "label line is not a part, a name and ten votes"
    assert next(record.reason for record in ADAPTER.scan(tables).rejected) == reason


@pytest.mark.parametrize(("begin", "end"), [(0, -1), (0, 5)])
def test_tables_of_other_lengths_do_not_belong_together(tmp_path, begin, end):
    tables = layout.write_tables(tmp_path)
    file = tables / "fer2013new.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[begin:end]))
    with pytest.raises(InputError, match=r"not of one length.*do not belong together"):
        ADAPTER.scan(tables)


def test_tables_that_name_other_parts_do_not_belong_together(tmp_path):
    tables = layout.write_tables(tmp_path)
    lines = (tables / "fer2013new.csv").read_text().splitlines()
    (tables / "fer2013new.csv").write_text("\n".join([lines[0], lines[-1], *lines[1:-1]]))
    with pytest.raises(InputError, match="name different parts in line 2"):
        ADAPTER.scan(tables)


@pytest.mark.parametrize("header", ["Usage,pixels,emotion", "", "0,1 2 3,Training"])
def test_the_table_of_pixels_must_have_its_header(tmp_path, header):
    tables = layout.write_tables(tmp_path)
    lines = (tables / "fer2013.csv").read_text().splitlines()
    (tables / "fer2013.csv").write_text("\n".join([header, *lines[1:]]))
    with pytest.raises(InputError, match="does not begin with emotion,pixels,Usage"):
        ADAPTER.scan(tables)


@pytest.mark.parametrize("pixels", ["1 2 3", "", " ".join(["256"] * 2304), " ".join(["x"] * 2304)])
def test_a_line_that_is_no_picture_is_an_error_of_that_picture(tmp_path, pixels):
    tables = layout.write_tables(tmp_path)
    lines = (tables / "fer2013.csv").read_text().splitlines()
    (tables / "fer2013.csv").write_text("\n".join([lines[0], f"0,{pixels},Training", *lines[2:]]))
    rows = ADAPTER.scan(tables).rows
    with pytest.raises(OSError, match="48x48 grey pixels"):
        ADAPTER.picture(tables, rows[0])
    assert decode(ADAPTER.picture(tables, rows[1]).image).shape == (48, 48)


def test_the_repository_without_pictures_and_with_the_tables_is_the_table_form(tmp_path):
    tables = layout.write_tables(tmp_path)
    shutil.copytree(tmp_path / "FERPlus" / "data", tables / "data")
    assert not ADAPTER.scan(tables).rows[0]["source_path"].startswith("fer2013.csv@")
    for file in (tables / "data").rglob("*.png"):
        file.unlink()
    assert ADAPTER.scan(tables).rows[0]["source_path"].startswith("fer2013.csv@")


def test_label_files_alone_are_a_wrong_folder(tmp_path):
    source = layout.write(tmp_path)
    for file in source.rglob("*.png"):
        file.unlink()
    with pytest.raises(InputError, match=r"expected data/FER2013Train.*found data/"):
        ADAPTER.scan(source)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "aside"),
    [
        ("majority", {TIE: 1_778, NOT_A_FACE: 225}),
        ("probability", {NOT_A_FACE: 225}),
        ("reference", {NO_HALF: 4_236, NOT_A_FACE: 101}),
    ],
)
def test_the_image_form_is_what_is_published(real_ferplus, labels, aside):
    scan = ADAPTER.scan(real_ferplus, FerplusOptions(labels=labels))
    splits = Counter(row["split"] for row in scan.rows)
    if labels == "reference":  # the counts that papers print for the published code
        assert (splits["train"] + splits["valid"], splits["test"]) == (28_236, 3_137)
    for record in scan.rejected:
        splits[SPLIT_OF_FOLDER[record.source_path.split("/")[-2]]] += 1
    assert splits == {"train": 28_558, "valid": 3_579, "test": 3_573}
    assert Counter(record.reason for record in scan.rejected) == aside
    assert len({row["expression"] for row in scan.rows}) == 8


@pytest.mark.slow
def test_the_published_table_of_names_gives_every_picture_its_own(real_ferplus, tmp_path):
    shutil.copy(real_ferplus / "fer2013new.csv", tmp_path)
    with (real_ferplus / "fer2013new.csv").open() as names, (tmp_path / "fer2013.csv").open("w") as pixels:
        pixels.write("emotion,pixels,Usage\n")
        for cells in list(csv.reader(names))[1:]:
            file = real_ferplus / "data" / layout.PARTS[cells[0]] / cells[1]
            image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) if cells[1] else np.zeros((48, 48), np.uint8)
            pixels.write(f"0,{layout.text(image)},{cells[0]}\n")
    by_table, by_folder = ADAPTER.scan(tmp_path), ADAPTER.scan(real_ferplus)
    assert Counter(record.reason for record in by_table.rejected) == {
        TIE: 1_776,
        NOT_A_FACE: 225,
        "left out of FER+, without a name": 173,
        "labelled twice": 4,
    }
    twice = {record.source_path.split("/")[-1] for record in by_table.rejected if record.reason == "labelled twice"}
    assert twice == {"fer0006953.png", "fer0008403.png", "fer0011785.png", "fer0033120.png"}
    tables, folders = named(by_table), named(by_folder)
    both = sorted(tables.keys() & folders.keys())
    differ = [name for name in both if tables[name]["expression_votes"] != folders[name]["expression_votes"]]
    assert (len(both), len(differ)) == (33_629, 1_425)  # the twins
    for name in both[::500]:
        assert tables[name]["split"] == folders[name]["split"]
        pictures = ADAPTER.picture(tmp_path, tables[name]), ADAPTER.picture(real_ferplus, folders[name])
        np.testing.assert_array_equal(decode(pictures[0].image), decode(pictures[1].image))
