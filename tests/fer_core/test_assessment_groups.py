from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fer_core.assessment.groups import accuracy_by_group, group_table, groups_of
from fer_core.datasets import REGISTRY
from fer_core.directories import Directory
from fer_core.evaluation.bootstrap import Interval
from fer_core.files import write_table
from fer_core.folds import Part
from fer_core.reading import read_faces


def measured(right, subject, group, resamples=400):
    return accuracy_by_group(np.array(right, dtype=bool), np.array(subject), np.array(group), 0, resamples)


def people(num_people, share, group, rng):
    """Twenty pictures of each person, of which `share` are right."""
    right = (rng.random(20 * num_people) < share).tolist()
    return right, np.repeat([f"{group}{one}" for one in range(num_people)], 20).tolist(), [group] * 20 * num_people


def test_each_group_has_its_own_accuracy_and_people():
    found = measured([1, 1, 0, 0, 0, 1], ["a", "a", "b", "c", "d", "e"], ["x", "x", "x", "y", "y", ""])
    assert [(one.name, one.num_people, one.num_pictures) for one in found.groups] == [("x", 2, 3), ("y", 2, 2)]
    assert [one.accuracy.value for one in found.groups] == [pytest.approx(2 / 3), 0.0]
    assert found.gap is not None
    assert found.gap.value == pytest.approx(2 / 3)
    assert list(found.metrics) == ["accuracy_of_x", "accuracy_of_y", "accuracy_gap"]


def test_a_gap_of_the_model_is_told_from_one_of_chance():
    rng = np.random.default_rng(0)
    women, men, others = people(30, 0.9, "women", rng), people(30, 0.6, "men", rng), people(30, 0.6, "men", rng)
    unlike = measured(*(a + b for a, b in zip(women, men, strict=True)))
    alike = measured(*(a + b for a, b in zip((others[0], others[1], ["women"] * 600), men, strict=True)))
    assert unlike.gap is not None
    assert unlike.gap.low > 0.2
    assert unlike.gap.value == pytest.approx(0.3, abs=0.06)
    assert alike.gap is not None
    assert alike.gap.low < 0 < alike.gap.high


def test_the_interval_of_a_group_is_that_of_its_people_alone():
    rng = np.random.default_rng(1)
    women, men = people(160, 0.8, "women", rng), people(10, 0.8, "men", rng)
    few, many = measured(*(a + b for a, b in zip(women, men, strict=True))).groups
    assert (few.name, few.num_people, many.num_people) == ("men", 10, 160)
    assert few.accuracy.high - few.accuracy.low > 2 * (many.accuracy.high - many.accuracy.low)


def test_one_person_says_nothing_of_a_group():
    found = measured([1, 1, 0, 1], ["a", "a", "b", "c"], ["x", "x", "y", "y"])
    assert found.groups[0].accuracy == Interval(1.0, 0.0, 1.0)
    assert found.gap == Interval(0.5, -1.0, 1.0)


@pytest.mark.parametrize("group", [["", "", ""], ["x", "x", ""]])
def test_fewer_than_two_groups_are_no_comparison(group):
    found = measured([1, 0, 1], ["a", "b", "c"], group)
    assert found.gap is None
    assert found.metrics == {}
    assert group_table(found) == []


def test_the_table_says_who_was_tested():
    (table,) = group_table(measured([1, 1, 0, 0], ["a", "b", "c", "d"], ["x", "x", "y", "y"]))
    assert table.columns == ["group", "people", "test images", "accuracy", "95 % interval"]
    assert [row[0] for row in table.rows] == ["x", "y", "best less worst"]
    assert table.rows[0][1] == ["2", "2", "100.0 %", "100.0 to 100.0"]
    assert table.rows[2][1] == ["", "", "100.0 %", "100.0 to 100.0"]


@pytest.mark.parametrize(
    ("dataset", "subject", "group"),
    [
        ("kdef", "F01", "women"),
        ("kdef", "M35", "men"),
        ("bu3dfe", "F0056", "women"),
        ("bp4d", "M018", "men"),
        ("kdef", "cluster-4", None),
        ("bp4d", "Fred", None),
        ("ck_plus", "S005", None),
        ("ferplus", "F01", None),
        ("synthetic", "P00000", "darker skin"),
        ("synthetic", "P00001", "lighter skin"),
    ],
)
def test_groups_are_those_of_the_data_sets_own_naming(dataset, subject, group):
    assert REGISTRY[dataset].group_of(subject) == group


def test_faces_without_groups_have_none(tiny_faces):
    faces = read_faces(tiny_faces, Part(), 0)
    assert set(groups_of(faces, np.arange(len(faces.sample_id)))) == {""}


def test_the_data_set_is_that_of_the_faces(tiny_faces, tmp_path):
    faces = Directory(tmp_path, "faces", kind="faces", config={}, inputs={}, code="test")
    faces.start()
    write_table(faces.path / "part-00000.parquet", pa.table({"dataset": ["kdef"] * 3}))
    faces.finish(["part-00000.parquet"], {})
    named = replace(read_faces(tiny_faces, Part(), 0), directory=faces.path, group=np.array(["F01", "M07", "?"]))
    assert groups_of(named, np.arange(3)).tolist() == ["women", "men", ""]
