import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.estimates import identities
from fer_core.estimates.identities import BY, IDENTITIES, read_identities, write_identities
from fer_core.faces.warp import encode
from fer_core.pictures import decode
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard


def face(person, take):
    """A smooth picture of a person's own, under light and noise of a take's own."""
    own = np.random.default_rng(person).uniform(0, 255, (24, 24)).astype(np.float32)
    noise = np.random.default_rng(1000 * person + take).normal(0, 1, (96, 96))
    light = 0.7 + 0.1 * take
    return np.clip(light * cv2.resize(own, (96, 96), interpolation=cv2.INTER_CUBIC) + noise, 0, 255).astype(np.uint8)


def faces_of(tmp_path, rows):
    faces = Directory(tmp_path, "faces", kind="faces", config={}, inputs={}, code="test")
    faces.start()
    write_picture_shard(faces.path, "part-00000.parquet", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    return faces


def rows_of(num_people, known=()):
    return [
        {
            "sample_id": f"{person}-{take}",
            "subject_id": f"P{person}" if person in known else None,
            "rotation": rotation,
            "image": encode(face(person, take)),
        }
        for person in range(num_people)
        for take in range(4)
        for rotation in (0.0, 5.0)
    ]


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch):
    monkeypatch.setattr(identities, "LEAST_FACES", 10)


def test_too_few_faces_are_not_told_apart(tmp_path):
    faces = faces_of(tmp_path, rows_of(2))
    with pytest.raises(InputError, match="cannot be estimated from 8 faces, at least 10 are needed"):
        write_identities(faces.path)


def test_the_margin_of_a_virtual_form_is_no_part_of_a_face(tmp_path):
    rows = rows_of(12)
    plain = faces_of(tmp_path / "plain", rows)
    wide = faces_of(
        tmp_path / "wide",
        [{**row, "image": encode(np.pad(decode(row["image"]), 9, constant_values=200))} for row in rows],
    )
    assert write_identities(plain.path) == write_identities(wide.path, margin=9)
    assert pq.read_table(plain.path / IDENTITIES).equals(pq.read_table(wide.path / IDENTITIES))


def test_faces_without_a_subject_are_clustered_and_marked(tmp_path):
    faces = faces_of(tmp_path, rows_of(12, known=(0, 1)))
    found = write_identities(faces.path)
    faces.finish(["part-00000.parquet", "index-00000.parquet", IDENTITIES], {})
    table = pq.read_table(faces.path / IDENTITIES).to_pylist()
    assert [row["sample_id"] for row in table] == [f"{person}-{take}" for person in range(2, 12) for take in range(4)]
    assert {row["subject_by"] for row in table} == {BY}
    estimated = read_identities(faces.path)
    assert len(set(estimated.values())) == found
    people = {}
    for name, cluster in estimated.items():
        people.setdefault(name.split("-")[0], set()).add(cluster)
    assert len(set.union(*people.values())) == sum(len(clusters) for clusters in people.values())  # no two share one
    assert sum(len(clusters) == 1 for clusters in people.values()) >= 8


@pytest.mark.parametrize(("most", "fitted"), [(24, 24), (20, 16), (48, 48), (1_000, 48)])
def test_a_sample_of_many_faces_decides_what_counts(tmp_path, monkeypatch, most, fitted):
    faces = faces_of(tmp_path, rows_of(12))
    seen = []
    fit = identities.fit_whitening
    monkeypatch.setattr(identities, "MOST_FITTED", most)
    monkeypatch.setattr(identities, "fit_whitening", lambda sample: seen.append(len(sample)) or fit(sample))
    write_identities(faces.path)
    assert seen == [fitted]
    assert len(pq.read_table(faces.path / IDENTITIES)) == 48


def test_where_all_subjects_are_known_none_is_estimated(tmp_path):
    faces = faces_of(tmp_path, rows_of(3, known=(0, 1, 2)))
    assert write_identities(faces.path) == 0
    faces.finish(["part-00000.parquet", "index-00000.parquet", IDENTITIES], {})
    assert read_identities(faces.path) == {}


def test_a_directory_without_estimates_has_none(tmp_path):
    assert read_identities(tmp_path) == {}
