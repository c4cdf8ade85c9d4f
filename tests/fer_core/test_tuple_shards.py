import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_core.directories import Directory
from fer_core.divided import read_divided
from fer_core.errors import InputError
from fer_core.estimates.identities import BY, IDENTITIES
from fer_core.folds import Part
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import index_name, write_picture_shard
from fer_core.tuple_shards import (
    FIVE,
    TRIPLET,
    read_samples,
    shard_name,
    write_five_tuples,
    write_human_triplets,
    write_triplets,
)


def grid(**changed):
    """Six people x three expressions x three poses, each twice, once turned: rows of a faces directory."""
    rows = []
    for person in range(6):
        for expression in ("neutral", "anger", "fear"):
            for pose in (-45, 0, 45):
                for take in range(2):
                    row = {
                        "sample_id": f"{person}{expression}{pose}{take}",
                        "split": "test" if person == 5 else "train",
                        "subject_id": f"P{person}",
                        "expression": expression,
                        "intensity": 0.0 if expression == "neutral" else 0.5 + take / 4,
                        "pose_bin": pose,
                        "image": b"",
                    }
                    rows += [{**row, **changed, "rotation": angle} for angle in (0.0, 10.0)]
    return rows


def faces_of(tmp_path, rows, identities=None):
    faces = Directory(tmp_path, "faces", kind="faces", config={}, inputs={}, code="test")
    faces.start()
    write_picture_shard(faces.path, "part-00000.parquet", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    files = ["part-00000.parquet", index_name("part-00000.parquet")]
    if identities:
        names = [row["sample_id"] for row in rows if row["rotation"] == 0]
        table = {
            "sample_id": names,
            "subject_id": [identities(name) for name in names],
            "subject_by": [BY] * len(names),
        }
        pq.write_table(pa.table(table), faces.path / IDENTITIES)
        files.append(IDENTITIES)
    faces.finish(files, {})
    return faces.path


def test_five_tuples_are_of_upright_training_samples_by_their_ids(tmp_path):
    samples = read_samples(faces_of(tmp_path, grid()), Part(), 0)
    assert len(samples) == 5 * 3 * 3 * 2
    summary = write_five_tuples(tmp_path, samples, epoch=3, seed=0)
    table = pq.read_table(tmp_path / shard_name(3))
    assert tuple(table.column_names) == FIVE
    assert len(table) == summary["tuples"] > 10
    assert set(summary["used"]) == {"neutral", "anger", "fear"}
    place = {name: at for at, name in enumerate(samples.sample_id)}
    a, pose_p, pose_n, id_p, id_n = (np.array([place[name] for name in table[column].to_pylist()]) for column in FIVE)
    e, p, i = samples.expression, samples.pose, samples.identity
    assert (e[a] == e[pose_p]).all()
    assert (p[a] != p[pose_p]).all()
    assert (e[a] != e[pose_n]).all()
    assert (p[a] == p[pose_n]).all()
    assert (e[a] == e[id_p]).all()
    assert (i[a] != i[id_p]).all()
    assert (e[a] != e[id_n]).all()
    assert (i[a] == i[id_n]).all()
    assert len(np.unique(np.concatenate([a, pose_p, pose_n, id_p, id_n]))) == 5 * len(table)


def test_each_epoch_has_its_own_tuples_and_the_seed_decides(tmp_path):
    samples = read_samples(faces_of(tmp_path, grid()), Part(), 0)

    def drawn(epoch, seed):
        write_five_tuples(tmp_path, samples, epoch, seed)
        return pq.read_table(tmp_path / shard_name(epoch))

    first = drawn(0, 0)
    assert not first.equals(drawn(1, 0))
    assert not first.equals(drawn(0, 1))
    assert first.equals(drawn(0, 0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pose_bin": None}, "no sample's pose is known.*--landmarks mtcnn"),
        ({"subject_id": None, "sequence_id": None}, "no sample's identity is known.*--identities estimated"),
        ({"pose_bin": 0}, "no five-tuple can be made.*pose"),
    ],
)
def test_a_factor_that_is_unknown_or_constant_is_named(tmp_path, changed, message):
    samples = read_samples(faces_of(tmp_path, grid(**changed)), Part(), 0)
    with pytest.raises(InputError, match=message):
        write_five_tuples(tmp_path, samples, 0, 0)


def test_estimated_identities_stand_in_where_there_are_none(tmp_path):
    rows = grid(subject_id=None)
    samples = read_samples(faces_of(tmp_path, rows, identities=lambda name: f"cluster-{name[0]}"), Part(), 0)
    assert set(samples.identity) == {f"cluster-{person}" for person in range(5)}
    assert write_five_tuples(tmp_path, samples, 0, 0)["tuples"] > 10


def test_samples_of_which_a_factor_is_unknown_take_no_part(tmp_path):
    rows = grid()
    for row in rows[:12]:
        row["pose_bin"] = None
    samples = read_samples(faces_of(tmp_path, rows), Part(), 0)
    summary = write_five_tuples(tmp_path, samples, 0, 0)
    assert summary["samples"] == len(samples) - 6
    used = set(pq.read_table(tmp_path / shard_name(0))["anchor"].to_pylist())
    assert not used & {row["sample_id"] for row in rows[:12]}


def test_triplets_go_by_expression_and_degree(tmp_path):
    samples = read_samples(faces_of(tmp_path, grid()), Part(), 0)
    assert write_triplets(tmp_path, samples, None, 0) == {"tuples": 90, "samples": 90}
    table = pq.read_table(tmp_path / shard_name(0))
    assert tuple(table.column_names) == TRIPLET
    assert set(np.concatenate([table[name].to_pylist() for name in TRIPLET])) == set(samples.sample_id)


def votes_file(tmp_path, lines):
    file = tmp_path / "votes.csv"
    file.write_text("reference,a,b,votes_a,votes_b\n" + "\n".join(lines) + "\n")
    return file


def with_paths(rows):
    return [{**row, "source_path": f"pictures/{row['sample_id']}.png"} for row in rows]


def test_peoples_answers_become_weighted_triplets_with_their_agreement(tmp_path):
    faces = faces_of(tmp_path, with_paths(grid()))
    divided = read_divided(faces, Part(), 0, [], validation=True)
    (validated,) = set(divided.subject[divided.role == "valid"])
    others = [person for person in "01234" if f"P{person}" != validated][:2]
    names = [f"{others[0]}anger00", f"{others[0]}fear00", f"{others[1]}anger00", "5fear00", f"{validated[1]}fear00"]
    path = {name: f"pictures/{name}.png" for name in names}
    lines = [
        f"{path[names[0]]},{path[names[1]]},{path[names[2]]},1,4",
        f"{path[names[0]]},{path[names[2]]},{path[names[1]]},5,0",
        f"{path[names[3]]},{path[names[0]]},{path[names[1]]},2,3",
        f"{path[names[4]]},{path[names[0]]},{path[names[1]]},4,1",
        f"{path[names[0]]},gone.png,{path[names[1]]},2,3",
    ]
    summary = write_human_triplets(tmp_path, faces, votes_file(tmp_path, lines), Part(), 0)
    assert summary == {
        "tuples": 4,
        "samples": 5,
        "agreement": {"train": {5: 1, 3: 1, 1: 0}, "valid": {5: 0, 3: 1, 1: 0}, "test": {5: 0, 3: 0, 1: 1}},
        "left_out": 1,
    }
    assert pq.read_table(tmp_path / shard_name(0)).to_pylist() == [
        {"reference": names[0], "positive": names[2], "negative": names[1], "weight": 3, "split": "train"},
        {"reference": names[0], "positive": names[2], "negative": names[1], "weight": 5, "split": "train"},
        {"reference": names[3], "positive": names[1], "negative": names[0], "weight": 1, "split": "test"},
        {"reference": names[4], "positive": names[0], "negative": names[1], "weight": 3, "split": "valid"},
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pictures/0anger00.png,pictures/0fear00.png,pictures/1anger00.png,4,x", "line 2: votes_a and votes_b"),
        ("pictures/0anger00.png,pictures/0fear00.png,pictures/1anger00.png,4", "line 2: votes_a and votes_b"),
        ("pictures/0anger00.png,pictures/0fear00.png,pictures/1anger00.png,2,2", "needs 5 votes"),
        ("pictures/0anger00.png,pictures/0anger00.png,pictures/1anger00.png,2,3", "needs three different samples"),
        ("a,b,c,2,3", "says nothing of pictures that became face crops; 1 lines are of others"),
    ],
)
def test_answers_that_cannot_be_taken_are_named(tmp_path, line, message):
    faces = faces_of(tmp_path, with_paths(grid()))
    with pytest.raises(InputError, match=message):
        write_human_triplets(tmp_path, faces, votes_file(tmp_path, [line]), Part(), 0)
