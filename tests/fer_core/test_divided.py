import numpy as np
import pytest
from test_reading import faces_of

from fer_core.datasets.base import Pair
from fer_core.divided import read_divided, read_undivided
from fer_core.errors import InputError
from fer_core.folds import Part, folds_of_pairs, hold_out, roles, with_validation

ROWS = [(None, f"S{number // 2:02d}", None, ("fear", "anger", None)[number % 3]) for number in range(24)]
MIXED = [
    ("train", "ann", "q1", "fear"),
    ("test", None, "q2", "anger"),
    ("valid", None, None, None),
    ("train", None, "q2", "fear"),
]


def test_rows_stand_in_the_order_of_their_shards_with_what_keeps_them_together(tmp_path):
    rows = read_undivided(faces_of(tmp_path, MIXED), ["expression"])
    assert rows.sample_id.tolist() == ["id0", "id1", "id2", "id3"]
    assert rows.group.tolist() == ["ann", "q2", "id2", "q2"]
    assert rows.subject.tolist() == ["ann", None, None, None]
    assert rows.role.tolist() == ["test"] * 4
    assert rows.objects("expression").tolist() == ["fear", "anger", None, "fear"]


def test_an_official_split_is_the_role(tmp_path):
    rows = read_divided(faces_of(tmp_path, MIXED), Part(), 0, ["expression"])
    assert rows.role.tolist() == ["train", "test", "valid", "train"]


@pytest.mark.parametrize("part", [Part(), Part(1, 4), Part(test_people=5)])
@pytest.mark.parametrize("validation", [False, True])
def test_roles_are_those_of_the_groups(tmp_path, part, validation):
    rows = read_divided(faces_of(tmp_path, ROWS), part, 5, ["expression"], validation)
    groups = [subject for _, subject, _, _ in ROWS]
    expected = roles([None] * 24, groups, part, 5)
    expected = with_validation(expected, groups) if validation else expected
    assert rows.role.tolist() == expected
    assert ("valid" in expected) == validation
    if part == Part():
        assert [role == "test" for role in expected] == hold_out(groups).tolist()


def test_people_of_prescribed_pairs_are_tested_in_the_fold_of_these(tmp_path):
    rows = [(None, subject, None, None) for subject in ("ann", "ann", "bob", "carl")]
    more = [{"source_path": path} for path in ("ann/1", "ann/2", "bob/1", "carl/1")]
    faces = faces_of(tmp_path, rows, more)
    pairs = [Pair(path, "absent", False, fold) for fold, path in enumerate(("ann/1", "x", "bob/1", "y"))]
    fold_of = folds_of_pairs(pairs, 2)
    made = [read_divided(faces, Part(fold, 2, fold_of=fold_of), 0, ["expression"]).role.tolist() for fold in range(2)]
    assert made == [["test", "test", "train", "train"], ["train", "train", "test", "train"]]


def test_people_who_are_not_known_cannot_be_counted(tmp_path):
    rows = [(None, subject, None, "fear") for subject in ("ann", "bob", None)]
    with pytest.raises(InputError, match=r"--test-people counts people, .* use --identities estimated"):
        read_divided(faces_of(tmp_path, rows), Part(test_people=1), 0, ["expression"])


def test_numbers_say_what_an_unknown_one_is(tmp_path):
    more = [{"intensity": 0.5}, {}, {"intensity": 0.0}, {}]
    rows = read_undivided(faces_of(tmp_path, MIXED, more), ["intensity", "pose_bin"])
    np.testing.assert_array_equal(rows.numbers("intensity", np.nan), [0.5, np.nan, 0.0, np.nan])
    assert rows.numbers("pose_bin", -1).tolist() == [-1] * 4


def test_columns_that_are_always_read_may_be_asked_for_too(tmp_path):
    rows = read_undivided(faces_of(tmp_path, MIXED), ["split", "rotation", "subject_id"])
    assert rows.table.column_names == ["sample_id", "split", "subject_id", "sequence_id", "rotation"]
