import shutil
from collections import Counter

import pytest
from pydantic import ValidationError

from fer_core.datasets import REGISTRY, ck_plus, ferplus, synthetic
from fer_core.datasets.base import Rejected, describe_folder, read_picture
from fer_core.errors import InputError
from fer_core.ingest import decode, picture_problem
from fer_core.records import SAMPLE_SCHEMA
from fer_core.vocabulary import EXPRESSIONS


def by_path(scan):
    return {row["source_path"]: row for row in scan.rows}


def reasons(scan):
    return {record.source_path.split("/")[-1]: record.reason for record in scan.rejected}


@pytest.mark.parametrize(("dataset", "fixture"), [("ck_plus", "tiny_ck_plus"), ("ferplus", "tiny_ferplus")])
def test_rows_are_of_the_schema_and_their_pictures_can_be_read(dataset, fixture, request):
    source = request.getfixturevalue(fixture)
    scan = REGISTRY[dataset].scan(source)
    assert len(by_path(scan)) == len(scan.rows) > 0
    for row in scan.rows:
        assert set(row) <= set(SAMPLE_SCHEMA.names)
        assert row["expression"] in EXPRESSIONS
        assert picture_problem(read_picture(source, row).image) is None


@pytest.mark.parametrize("dataset", ["ck_plus", "ferplus"])
def test_a_wrong_folder_is_an_error_that_says_what_is_expected(tmp_path, dataset):
    scan, layout = REGISTRY[dataset].scan, REGISTRY[dataset].layout
    with pytest.raises(InputError, match="does not exist"):
        scan(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a folder"):
        scan(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is empty"):
        scan(tmp_path / "empty")
    (tmp_path / "holiday" / "pictures").mkdir(parents=True)
    with pytest.raises(InputError, match="found pictures/") as error:
        scan(tmp_path / "holiday")
    assert layout in str(error.value)


def test_a_folder_is_described_in_a_few_words(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text("")
    assert describe_folder(tmp_path, most=2) == "0.txt, 1.txt and 6 more"


def test_ck_plus_takes_subject_sequence_and_expression_from_the_name(tiny_ck_plus):
    scan = ck_plus.scan(tiny_ck_plus)
    assert len(scan.rows) == 48
    assert scan.rejected == []
    assert by_path(scan)["CK+48/happy/S014_002_00000011.png"] == {
        "source_path": "CK+48/happy/S014_002_00000011.png",
        "expression": "happiness",
        "subject_id": "S014",
        "sequence_id": "S014_002",
    }


def test_ck_plus_is_found_in_its_own_folder_too(tiny_ck_plus):
    inside = ck_plus.scan(tiny_ck_plus / "CK+48")
    assert [f"CK+48/{row['source_path']}" for row in inside.rows] == list(by_path(ck_plus.scan(tiny_ck_plus)))


def test_ck_plus_sets_aside_what_it_does_not_know(tiny_ck_plus):
    root = tiny_ck_plus / "CK+48"
    picture = root / "anger" / "S010_001_00000010.png"
    (root / "bored").mkdir()
    shutil.copy(picture, root / "bored" / picture.name)
    for name in ("S010_001_10.png", "Thumbs.db", "S010_001_00000010.png.part", "S010_001_00000012.gif"):
        shutil.copy(picture, root / "anger" / name)
    scan = ck_plus.scan(tiny_ck_plus)
    assert len(scan.rows) == 48
    unknown = "file name is not subject_sequence_frame"
    assert reasons(scan) == {
        picture.name: "folder is not an expression",
        "S010_001_10.png": unknown,
        "Thumbs.db": unknown,
        "S010_001_00000010.png.part": unknown,
        "S010_001_00000012.gif": unknown,
    }


def test_ck_plus_lists_a_link_that_leads_nowhere(tiny_ck_plus):
    (tiny_ck_plus / "CK+48" / "anger" / "S999_001_00000010.png").symlink_to(tiny_ck_plus / "not-fetched")
    assert "CK+48/anger/S999_001_00000010.png" in by_path(ck_plus.scan(tiny_ck_plus))


def test_ferplus_takes_the_majority_the_votes_and_the_split(tiny_ferplus):
    scan = ferplus.scan(tiny_ferplus)
    assert Counter(row["split"] for row in scan.rows) == {"train": 24, "valid": 6, "test": 6}
    assert by_path(scan)["data/FER2013Train/fer0000002.png"] == {
        "source_path": "data/FER2013Train/fer0000002.png",
        "expression": "anger",
        "expression_votes": [1.0, 0.0, 0.0, 2.0, 6.0, 0.0, 0.0, 0.0],
        "split": "train",
    }
    assert Counter(row["expression"] for row in scan.rows) == {"neutral": 12, "happiness": 12, "anger": 12}


def test_ferplus_sets_every_odd_case_aside_with_its_reason(tiny_ferplus):
    scan = ferplus.scan(tiny_ferplus)
    malformed = "label line is not a name, a box and ten votes"
    assert reasons(scan) == {
        "fer0000000.png": "labelled twice",
        "fer0999999.png": "label matches no image",
        "unlabelled.png": "image without a label",
        "tie.png": "two labels share the most votes",
        "unknown.png": "most votes for unknown or not a face",
        "not_a_face.png": "most votes for unknown or not a face",
        "no_votes.png": "no votes",
        "words.png": malformed,
        "too_short.png": malformed,
    }
    assert len(scan.rejected) == 9
    first = by_path(scan)["data/FER2013Train/fer0000000.png"]
    assert first["expression"] == "neutral"  # the first of two lines counts
    assert Rejected("data/FER2013Train/words.png", malformed, "line 31") in scan.rejected


@pytest.mark.parametrize(
    ("votes", "reason"),
    [
        ("5,0,0,0,0,0,0,0,5,0", "two labels share the most votes"),  # neutral and unknown
        ("0,0,0,0,0,0,0,0,5,5", "most votes for unknown or not a face"),
        ("3,0,0,0,0,0,0,0,5,2", "most votes for unknown or not a face"),
        ("-1,0,0,0,0,0,0,0,0,9", "label line is not a name, a box and ten votes"),
        ("1.5,0,0,0,0,0,0,0,0,0", "label line is not a name, a box and ten votes"),
        ("1,0,0,0,0,0,0,0,0,0,0", "label line is not a name, a box and ten votes"),
    ],
)
def test_ferplus_has_no_majority(tiny_ferplus, votes, reason):
    file = tiny_ferplus / "data" / "FER2013Test" / "label.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]) + f'fer0000030.png,"box",{votes}\n')
    assert reasons(ferplus.scan(tiny_ferplus))["fer0000030.png"] == reason


def test_ferplus_takes_label_files_of_bytes_absolute_names_and_empty_lines(tiny_ferplus):
    file = tiny_ferplus / "data" / "FER2013Valid" / "label.csv"
    file.write_bytes(file.read_bytes() + b"\n\n\xff\xfe\x00,box,1\n/etc/hosts,box,9,0,0,0,0,0,0,0,0,0\n")
    scan = ferplus.scan(tiny_ferplus)
    assert len(scan.rows) == 36
    assert Rejected("data/FER2013Valid//etc/hosts", "label matches no image", "line 10") in scan.rejected


@pytest.mark.parametrize("depth", ["data", "FERPlus/data"])
def test_ferplus_is_found_with_and_without_its_outer_folders(tiny_ferplus, depth):
    whole = [row["source_path"].removeprefix("data/") for row in ferplus.scan(tiny_ferplus).rows]
    outer = tiny_ferplus.with_name("outer") / depth
    outer.parent.mkdir(parents=True)
    (tiny_ferplus / "data").rename(outer)
    for source in {outer, tiny_ferplus.with_name("outer")}:
        assert [row["source_path"].split("data/")[-1] for row in ferplus.scan(source).rows] == whole


def test_ferplus_needs_the_labels_of_every_part(tiny_ferplus):
    (tiny_ferplus / "data" / "FER2013Valid" / "label.csv").unlink()
    with pytest.raises(InputError, match=r"FER2013Valid has no label\.csv"):
        ferplus.scan(tiny_ferplus)


def test_synthetic_rows_say_what_is_drawn():
    options = synthetic.SyntheticOptions(identities=3, takes=2, max_yaw=15)
    scan = synthetic.scan(None, options)
    assert len(by_path(scan)) == len(scan.rows) == 3 * 2 * len(EXPRESSIONS)
    assert {row["subject_id"] for row in scan.rows} == {"P00000", "P00001", "P00002"}
    assert all(abs(row["pose_yaw"]) <= 15 for row in scan.rows)
    for row in scan.rows:
        assert (row["intensity"] == 0.0) == (row["expression"] == "neutral")
        assert row["intensity"] == 0.0 or synthetic.LEAST_DEGREE <= row["intensity"] <= 1.0
    assert synthetic.scan(None, options) == scan


def test_other_seeds_are_other_people():
    first = synthetic.scan(None, synthetic.SyntheticOptions(identities=2))
    other = synthetic.scan(None, synthetic.SyntheticOptions(identities=2, first_seed=2))
    assert not {row["subject_id"] for row in first.rows} & {row["subject_id"] for row in other.rows}


def test_a_synthetic_picture_is_drawn_from_its_row_alone():
    row = synthetic.scan(None, synthetic.SyntheticOptions(identities=1, takes=1)).rows[3]
    picture = synthetic.picture(None, row)
    assert picture == synthetic.picture(None, {"source_path": row["source_path"]})
    image = decode(picture.image)
    assert image.shape == (synthetic.PICTURE_SIZE, synthetic.PICTURE_SIZE, 3)
    assert len(picture.known["landmarks"]) == 83 * 3


@pytest.mark.parametrize(
    "values", [{"identities": 0}, {"takes": 0}, {"max_yaw": 46}, {"first_seed": -1}, {"identity": 3}]
)
def test_impossible_and_unknown_options_are_errors(values):
    with pytest.raises(ValidationError, match=next(iter(values))):
        synthetic.SyntheticOptions(**values)


def test_options_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        synthetic.SyntheticOptions().takes = 3


def test_ck_plus_is_what_is_published(real_ck_plus):
    scan = ck_plus.scan(real_ck_plus)
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


@pytest.mark.slow
def test_ferplus_is_what_is_published(real_ferplus):
    scan = ferplus.scan(real_ferplus)
    splits = Counter(row["split"] for row in scan.rows)
    for record in scan.rejected:
        splits[ferplus.SPLIT_OF_FOLDER[record.source_path.split("/")[-2]]] += 1
    assert splits == {"train": 28_558, "valid": 3_579, "test": 3_573}
    assert Counter(record.reason for record in scan.rejected) == {
        "two labels share the most votes": 1_778,
        "most votes for unknown or not a face": 225,
    }
    assert len({row["expression"] for row in scan.rows}) == 8
