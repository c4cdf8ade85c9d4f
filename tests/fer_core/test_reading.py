from collections import Counter

import cv2
import numpy as np
import pyarrow as pa
import pytest
import tiny

from fer_core.directories import Directory, read_tables
from fer_core.errors import InputError
from fer_core.folds import Part, fold_of_groups
from fer_core.pictures import decode
from fer_core.reading import read_faces, read_tested
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard
from fer_core.targets import UNKNOWN, Counts


def faces_of(root, rows, more=(), **config):
    """A faces directory of (split, subject, sequence, expression), its pictures one grey level a row, two a shard.

    Args:
        more: other columns of each row.
    """
    made = Directory(root, "faces", kind="faces", config=config, inputs={}, code="test")
    made.start()
    filled = [
        {
            "sample_id": f"id{number}",
            "split": split,
            "subject_id": subject,
            "sequence_id": sequence,
            "expression": expression,
            "rotation": 0.0,
            "image": cv2.imencode(".png", np.full((8, 8), 10 * number, np.uint8))[1].tobytes(),
        }
        for number, (split, subject, sequence, expression) in enumerate(rows)
    ]
    for row, other in zip(filled, more, strict=False):
        row |= other
    for start in range(0, len(filled), 2):
        table = pa.Table.from_pylist(filled[start : start + 2], schema=SAMPLE_SCHEMA)
        write_picture_shard(made.path, f"part-{start // 2:05d}.parquet", table)
    made.finish([file.name for file in made.path.glob("*.parquet")], {})
    return made.path


def test_tiny_ck_plus_is_divided_by_its_hold_out(tiny_faces):
    faces = read_faces(tiny_faces, Part(), seed=0)
    assert faces.classes == ("happiness", "surprise", "anger")  # in the order of the vocabulary
    assert faces.has_subjects
    assert set(faces.group[faces.role == "test"]) == {"S014"}
    assert Counter(faces.role) == {"train": 42 * 3, "test": 6 * 3}
    assert len(faces.rows_of("test", upright=True)) == 6
    assert len(faces.rows_of("test", upright=False)) == 18
    assert len(faces.rows_of("valid", upright=False)) == 0
    assert set(faces.rotation[faces.rows_of("train", upright=True)]) == {0.0}
    assert (faces.label.dtype, faces.rotation.dtype) == (np.int64, np.float32)


def test_columns_and_pictures_are_of_the_same_rows(tiny_faces):
    faces = read_faces(tiny_faces, Part(), seed=0)
    table = read_tables(tiny_faces, "part-").to_pylist()
    assert len(table) == len(faces.sample_id)
    rows = [0, 143, 70, 0]
    images = faces.images(rows)
    assert images.shape == (4, 48, 48, 3)
    assert images.dtype == np.uint8
    for image, row in zip(images, rows, strict=True):
        np.testing.assert_array_equal(image, np.dstack([decode(table[row]["image"])] * 3))
        assert faces.sample_id[row] == table[row]["sample_id"]
        assert faces.classes[faces.label[row]] == table[row]["expression"]
        assert faces.rotation[row] == table[row]["rotation"]


@pytest.mark.parametrize("fold", [0, 3])
def test_a_fold_tests_its_own_people(tiny_faces, fold):
    faces = read_faces(tiny_faces, Part(fold, 4), seed=2)
    tested = set(faces.group[faces.role == "test"])
    assert len(tested) == 2
    assert {tiny.SUBJECTS[at] for at in np.flatnonzero(fold_of_groups(tiny.SUBJECTS, 4, 2) == fold)} == tested
    assert not tested & set(faces.group[faces.role == "train"])


def test_ferplus_keeps_its_official_split_and_has_no_subjects(tmp_path, tiny_ferplus):
    catalog = tiny.write_catalog(tmp_path, "ferplus", tiny_ferplus)
    faces = read_faces(tiny.write_faces(tmp_path, catalog, 48, (-5.0, 0.0, 5.0)), Part(), seed=0)
    assert Counter(faces.role) == {"train": 24 * 3, "valid": 6, "test": 6}
    assert faces.classes == ("neutral", "happiness", "anger")
    assert not faces.has_subjects
    assert len(set(faces.group)) == 36  # each picture is its own group


def test_classes_are_those_of_the_training_rows_and_other_rows_are_left_out(tmp_path):
    rows = [
        ("test", None, None, "fear"),
        ("train", None, None, "anger"),
        ("train", None, None, "neutral"),
        ("test", None, None, "anger"),
        ("valid", None, None, "contempt"),
        ("test", None, None, "neutral"),
    ]
    faces = read_faces(faces_of(tmp_path, rows), Part(), seed=0)
    assert faces.classes == ("neutral", "anger")
    assert faces.sample_id.tolist() == ["id1", "id2", "id3", "id5"]
    assert faces.label.tolist() == [1, 0, 1, 0]
    assert faces.images(range(4))[:, 0, 0, 0].tolist() == [10, 20, 30, 50]


def test_a_sequence_stands_together_where_there_is_no_subject(tmp_path):
    rows = [(None, None, f"q{number // 2}", ("fear", "anger")[number % 2]) for number in range(24)]
    faces = read_faces(faces_of(tmp_path, rows), Part(1, 4), seed=0)
    assert faces.group[::2].tolist() == faces.group[1::2].tolist()
    assert (faces.role[::2] == faces.role[1::2]).all()
    assert not faces.has_subjects


def test_one_class_in_training_is_an_error(tmp_path):
    rows = [("train", None, None, "fear"), ("train", None, None, "fear"), ("test", None, None, "anger")]
    with pytest.raises(InputError, match=r"the training rows are of one class \(fear\); two are needed"):
        read_faces(faces_of(tmp_path, rows), Part(), seed=0)


def test_no_test_row_of_a_class_that_is_trained_on_is_an_error(tmp_path):
    rows = [("train", None, None, "fear"), ("train", None, None, "anger"), ("test", None, None, "disgust")]
    with pytest.raises(InputError, match=r"no test row is of a class that is trained on \(anger, fear\)"):
        read_faces(faces_of(tmp_path, rows), Part(), seed=0)


def test_rows_without_an_expression_are_left_out(tmp_path):
    rows = [
        ("train", None, None, None),
        ("train", None, None, "anger"),
        ("test", None, None, None),
        ("train", None, None, "fear"),
        ("test", None, None, "fear"),
    ]
    faces = read_faces(faces_of(tmp_path, rows), Part(), seed=0)
    assert faces.classes == ("anger", "fear")
    assert faces.sample_id.tolist() == ["id1", "id3", "id4"]
    assert faces.picture.tolist() == [1, 3, 4]
    assert faces.images(range(3))[:, 0, 0, 0].tolist() == [10, 30, 40]


def test_rows_without_any_expression_are_of_no_class(tmp_path):
    rows = [("train", None, None, None), ("test", None, None, None)]
    with pytest.raises(InputError, match=r"of one class \(none\)"):
        read_faces(faces_of(tmp_path, rows), Part(), seed=0)


def test_in_the_virtual_form_a_training_picture_is_as_many_rows_as_there_are_angles(tmp_path):
    rows = [
        ("test", None, None, "fear"),
        ("train", None, None, "anger"),
        ("valid", None, None, "contempt"),
        ("train", None, None, "fear"),
        ("valid", None, None, "anger"),
    ]
    made = faces_of(tmp_path, rows, virtual=True, margin=2, rotations=[-5.0, 0.0, 7.5])
    faces = read_faces(made, Part(), seed=0)
    assert faces.picture.tolist() == [0, 1, 1, 1, 3, 3, 3, 4]
    assert faces.sample_id.tolist() == ["id0", "id1", "id1", "id1", "id3", "id3", "id3", "id4"]
    assert faces.rotation.tolist() == [0, -5, 0, 7.5, -5, 0, 7.5, 0]
    assert faces.role.tolist() == ["test", *["train"] * 6, "valid"]
    assert [faces.classes[label] for label in faces.label] == ["fear", *["anger"] * 3, *["fear"] * 3, "anger"]
    assert faces.rows_of("train", upright=True).tolist() == [2, 5]
    assert (faces.rotation.dtype, faces.picture.dtype, faces.margin) == (np.float32, np.int64, 2)


def test_virtual_crops_are_shown_without_and_turned_with_their_margin(tmp_path):
    rows = [("train", None, None, "fear"), ("train", None, None, "anger"), ("test", None, None, "fear")]
    faces = read_faces(faces_of(tmp_path, rows, virtual=True, margin=3, rotations=[0.0, 9.0]), Part(), seed=0)
    assert faces.wide_images([0, 1, 4]).shape == (3, 8, 8, 3)
    assert faces.images([0, 1, 4]).shape == (3, 2, 2, 3)
    assert faces.images([1, 2])[:, 0, 0, 0].tolist() == [0, 10]


def test_both_forms_have_the_same_training_rows_in_the_same_order(tmp_path, tiny_catalog):
    rotations = (-10.0, 0.0, 10.0)
    offline, virtual = (
        read_faces(tiny.write_faces(tmp_path / str(form), tiny_catalog, 48, rotations, virtual=form), Part(), seed=0)
        for form in (False, True)
    )
    of_offline, of_virtual = (faces.rows_of("train", upright=False) for faces in (offline, virtual))
    for name in ("sample_id", "label", "rotation", "group"):
        np.testing.assert_array_equal(getattr(offline, name)[of_offline], getattr(virtual, name)[of_virtual])
    assert Counter(virtual.role) == {"train": 42 * 3, "test": 6}
    assert (len(offline.pictures), len(virtual.pictures)) == (48 * 3, 48)


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6])
def test_a_damaged_shard_is_named_before_or_when_it_is_used(tiny_faces, at):
    """Wherever the flipped bit lies: among the labels or the pictures."""
    file = tiny_faces / "part-00001.parquet"
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 1
    file.write_bytes(data)
    try:
        faces = read_faces(tiny_faces, Part(), seed=0)
    except InputError as error:
        message = str(error)
    else:
        with pytest.raises(InputError) as caught:
            faces.images(range(len(faces.sample_id)))
        message = str(caught.value)
    assert "part-00001.parquet is missing or damaged" in message


def test_a_cut_shard_is_named(tiny_faces):
    file = tiny_faces / "part-00002.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"part-00002\.parquet is missing or damaged"):
        read_faces(tiny_faces, Part(), seed=0)


PEOPLE_ROWS = [
    ("test", "zoe", None, "fear"),
    ("train", "bob", None, "anger"),
    ("train", None, None, "fear"),
    ("train", "ann", None, None),
    ("valid", "eve", None, "anger"),
    ("train", "bob", None, "fear"),
    ("test", "ann", None, "disgust"),
    ("train", "cat", None, "disgust"),
]


def test_people_are_numbered_with_those_who_are_trained_on_first(tmp_path):
    faces = read_faces(faces_of(tmp_path, PEOPLE_ROWS), Part(), seed=0)
    assert faces.classes == faces.expressions == ("anger", "disgust", "fear")
    names = ["ann", "bob", "cat", "eve", "zoe"]  # of those on training rows, then of the others
    known = dict(zip(faces.sample_id.tolist(), faces.identity.tolist(), strict=True))
    assert {name: number for name, number in known.items() if number == UNKNOWN} == {"id2": UNKNOWN}
    subject_of = {f"id{number}": row[1] for number, row in enumerate(PEOPLE_ROWS)}
    assert all(number == UNKNOWN or names[number] == subject_of[name] for name, number in known.items())
    assert not faces.has_subjects


def test_where_people_are_the_labels_unknown_ones_are_left_out_and_others_have_none(tmp_path):
    faces = read_faces(faces_of(tmp_path, PEOPLE_ROWS), Part(), seed=0, label="identity")
    assert faces.classes == ("ann", "bob", "cat")
    assert faces.sample_id.tolist() == ["id0", "id1", "id3", "id4", "id5", "id6", "id7"]  # id2 is of nobody known
    assert faces.label.tolist() == [UNKNOWN, 1, 0, UNKNOWN, 1, 0, 2]
    assert faces.identity.tolist() == [4, 1, 0, 3, 1, 0, 2]
    assert faces.expressions == ("anger", "disgust", "fear")
    assert faces.expression.tolist() == [2, 0, UNKNOWN, 0, 2, 1, 1]


def test_one_person_to_train_on_is_an_error_where_people_are_the_labels(tmp_path):
    rows = [("train", "bob", None, "fear"), ("train", "bob", None, "anger"), ("test", "zoe", None, "fear")]
    with pytest.raises(InputError, match=r"of one known person \(bob\); two are needed"):
        read_faces(faces_of(tmp_path, rows), Part(), seed=0, label="identity")


def test_no_known_person_to_test_on_is_an_error_where_people_are_the_labels(tmp_path):
    rows = [("train", "bob", None, "fear"), ("train", "ann", None, "anger"), ("test", None, None, "fear")]
    with pytest.raises(InputError, match="no test row is of a known person"):
        read_faces(faces_of(tmp_path, rows), Part(), seed=0, label="identity")


def test_poses_are_those_of_the_training_rows(tmp_path):
    rows = [("train", None, None, "fear"), ("train", None, None, "anger"), *[("test", None, None, "fear")] * 3]
    rows += [("train", None, None, "anger"), ("train", None, None, "fear")]
    bins = [45, -45, -45, 90, None, None, 0]
    faces = read_faces(faces_of(tmp_path, rows, [{"pose_bin": one} for one in bins]), Part(), seed=0)
    assert faces.poses == (-45, 0, 45)
    assert faces.pose.tolist() == [2, 0, 0, UNKNOWN, UNKNOWN, UNKNOWN, 1]


def test_degrees_are_unknown_where_nobody_gave_them(tmp_path):
    rows = [("train", None, None, "fear"), ("train", None, None, "anger"), ("test", None, None, "fear")]
    faces = read_faces(faces_of(tmp_path, rows, [{"intensity": 0.25}, {}, {"intensity": 1.0}]), Part(), seed=0)
    np.testing.assert_array_equal(faces.intensity, [0.25, np.nan, 1.0])


def test_rows_alone_keep_their_own_of_every_column(tmp_path):
    faces = read_faces(faces_of(tmp_path, PEOPLE_ROWS), Part(), seed=0)
    chosen = np.array([5, 0, 5])
    few = faces.only(chosen)
    for name, column in vars(faces).items():
        if isinstance(column, np.ndarray):
            np.testing.assert_array_equal(getattr(few, name), column[chosen])
    assert (few.classes, few.poses, few.points) == (faces.classes, faces.poses, None)
    np.testing.assert_array_equal(few.images(range(3)), faces.images(chosen))


def test_training_rows_are_of_the_rows_in_their_order(tmp_path):
    rows = [*[("train", "ann", None, "fear")] * 2, ("train", "bob", None, "neutral"), ("test", "cat", None, "fear")]
    made = faces_of(tmp_path, rows, virtual=True, margin=0, rotations=[0.0, 5.0])
    faces = read_faces(made, Part(), seed=0)
    chosen = faces.rows_of("train", upright=False)[::-1]
    known = faces.training_rows(chosen)
    assert known.label_N.tolist() == known.expression_N.tolist() == [0, 0, 1, 1, 1, 1]
    assert known.identity_N.tolist() == [1, 1, 0, 0, 0, 0]
    assert known.name_N.tolist() == ["id2", "id2", "id1", "id1", "id0", "id0"]
    assert known.sample_N.tolist() == [2, 2, 1, 1, 0, 0]
    assert (known.pose_N == UNKNOWN).all()
    assert known.neutral == 0
    assert known.counts() == Counts(2, 2, 0, 2, 0, 0)
    other = faces.training_rows(chosen, np.arange(6))
    assert other.label_N.tolist() == list(range(6))
    assert other.expression_N.tolist() == known.expression_N.tolist()


TESTED = [("fear", None), ("anger", 10.0), ("contempt", None), (None, None), ("anger", None), ("fear", None)]


def another_set(splits):
    return [
        (split, f"P{number}", None, name) for number, (split, (name, _)) in enumerate(zip(splits, TESTED, strict=True))
    ]


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ([None] * 6, ["id0", "id4", "id5"]),
        (["train", "test", "test", "test", "test", "valid"], ["id4"]),
        (["train", "valid", "valid", "valid", "train", "valid"], ["id5"]),
    ],
)
def test_another_set_is_tested_on_its_official_part_upright_in_the_models_classes(tmp_path, splits, expected):
    more = [{"rotation": rotation or 0.0, "pose_bin": 45 * at} for at, (_, rotation) in enumerate(TESTED)]
    faces = read_tested(faces_of(tmp_path, another_set(splits), more), ("anger", "sadness", "fear"), (0, 180))
    assert faces.sample_id.tolist() == expected
    assert set(faces.role.tolist()) == {"test"}
    name_of = {f"id{number}": name for number, (name, _) in enumerate(TESTED)}
    assert [faces.classes[label] for label in faces.label] == [name_of[name] for name in expected]
    assert faces.classes == faces.expressions == ("anger", "sadness", "fear")
    pose_of = {"id0": 0, "id4": 1}
    assert faces.pose.tolist() == [pose_of.get(name, UNKNOWN) for name in expected]
    assert [int(name[2:]) * 10 for name in expected] == faces.images(range(len(expected)))[:, 0, 0, 0].tolist()
    assert len(set(faces.identity.tolist())) == len(expected)


def test_another_set_without_a_class_of_the_model_is_an_error(tmp_path):
    made = faces_of(tmp_path, another_set([None] * 6))
    with pytest.raises(InputError, match=r"no row to test on is of a class of the model \(happiness, sadness\)"):
        read_tested(made, ("happiness", "sadness"), ())


def test_validation_people_are_kept_out_where_no_part_is_official(tmp_path):
    rows = [(None, f"S{number:02d}", None, ("fear", "anger")[number % 2]) for number in range(24)]
    made = faces_of(tmp_path, rows)
    without, faces = (read_faces(made, Part(), 0, validation=validation) for validation in (False, True))
    assert "valid" not in without.role
    assert 1 <= (faces.role == "valid").sum() <= 10
    np.testing.assert_array_equal(faces.role == "test", without.role == "test")
