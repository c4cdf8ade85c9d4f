"""Who went into what, on a home of eight people of whom some are tested on."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import tiny
from lineage_homes import Home, content, make_home, write_rows, write_run

from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.files import file_sha256, write_bytes, write_table
from fer_core.folds import Part
from fer_core.lineage.uses import Person, people_of, uses_of_samples, uses_of_subject
from fer_core.reading import read_faces
from fer_core.scoring.faces import PREDICTIONS, SCHEMA


@pytest.fixture
def home(tmp_path: Path, tiny_ck_plus: Path) -> Home:
    return make_home(tmp_path / "home", tiny_ck_plus)


def test_who_is_in_a_home(home: Home) -> None:
    people = people_of(home.path)
    assert [person.subject for person in people] == sorted(tiny.SUBJECTS)
    assert {len(samples) for samples in people.values()} == {6}


def test_a_person_who_was_trained_on(home: Home) -> None:
    uses = {use.kind: use for use in uses_of_subject(home.path, home.trained)}
    told = {kind: (use.role, use.pictures, use.rows) for kind, use in uses.items()}
    assert told == {
        "catalog": ("held", 6, 6),
        "faces": ("held", 6, 18),
        "run": ("train", 6, 18),
        "subdivision": ("train", 6, 6),
    }
    assert uses["run"].directory == home.made["run"]


def test_a_person_who_was_tested_on(home: Home) -> None:
    assert home.roles(home.tested) == {"catalog": {"held"}, "faces": {"held"}, "evaluation": {"test"}}


def test_a_person_who_was_validated_on(home: Home) -> None:
    run = write_run(home.path, "ck_plus-cnn", b"validated", {"validation": True}, faces=content(home.made["faces"]))
    roles = [
        use.role for subject in tiny.SUBJECTS for use in uses_of_subject(home.path, subject) if use.directory == run
    ]
    table = read_faces(home.made["faces"], Part(), 0, validation=True)
    assert roles.count("valid") == len(set(table.group[table.role == "valid"].tolist())) > 0
    assert roles.count("train") == len(set(table.group[table.role == "train"].tolist()))


def test_a_fold_tells_its_own_people(home: Home) -> None:
    inputs = {"faces": content(home.made["faces"])}
    runs = [write_run(home.path, "ck_plus-cnn", b"fold", {"part": [fold, 2, None]}, **inputs) for fold in range(2)]
    for subject in tiny.SUBJECTS:
        learnt = [use.directory for use in uses_of_subject(home.path, subject) if use.role == "train"]
        assert len(set(learnt) & set(runs)) == 1


def test_one_picture(home: Home) -> None:
    sample, *_ = sorted(people_of(home.path)[Person("ck_plus", home.trained)])
    assert [(use.kind, use.pictures, use.rows) for use in uses_of_samples(home.path, {sample})] == [
        ("catalog", 1, 1),
        ("faces", 1, 3),
        ("run", 1, 3),
        ("subdivision", 1, 1),
    ]


def test_nobody_is_nowhere(home: Home) -> None:
    assert uses_of_subject(home.path, "S999") == []
    assert uses_of_subject(home.path, home.trained, dataset="ferplus") == []
    assert uses_of_subject(home.path, home.trained, dataset="ck_plus") != []
    assert uses_of_samples(home.path, {"none"}) == []


def test_without_the_faces_the_level_tells_who_was_trained_on(home: Home) -> None:
    shutil.rmtree(home.made["faces"])
    assert home.roles(home.trained) == {"catalog": {"held"}, "run": {"train"}, "level": {"train"}}
    assert home.roles(home.tested) == {"catalog": {"held"}, "evaluation": {"test"}}


def test_faces_of_an_earlier_version_are_as_good_as_gone(home: Home) -> None:
    manifest = home.made["faces"] / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 2', '"schema_version": 1'))
    assert home.roles(home.trained)["run"] == {"train"}
    assert "run" not in home.roles(home.tested)


def test_without_faces_and_level_it_is_said_that_it_is_not_known(home: Home) -> None:
    shutil.rmtree(home.made["faces"])
    shutil.rmtree(home.made["level"])
    assert home.roles(home.trained) == {"catalog": {"held"}, "run": {"not known"}}


def test_the_folds_of_a_protocol_are_told_by_the_level_or_not_at_all(home: Home) -> None:
    inputs = {"faces": content(home.made["faces"])}
    home.made["other"] = write_run(home.path, "ck_plus-cnn", b"pairs", {"part": [0, 2, None, "digest"]}, **inputs)
    assert home.roles(home.trained)["other"] == {"not known"}


def test_an_unfinished_run_is_not_known(home: Home) -> None:
    (home.made["run"] / "manifest.json").unlink()
    shutil.rmtree(home.made["level"])
    assert home.roles(home.trained)["run"] == {"not known"}


def test_a_network_that_goes_on_from_one_that_learnt_from_somebody(home: Home) -> None:
    other = {"faces": "those of another data set"}
    weights = file_sha256(home.made["run"] / "network.safetensors")
    child = write_run(home.path, "kdef-cnn", b"child", weights=weights, **other)
    grandchild = write_run(home.path, "kdef-cnn", b"grandchild", start=content(child), **other)
    write_run(home.path, "kdef-cnn", b"stranger", weights="0" * 64, **other)
    uses = uses_of_subject(home.path, home.trained)
    assert [use.directory for use in uses if use.role == "start"] == sorted([child, grandchild])
    assert not [use for use in uses_of_subject(home.path, home.tested) if use.kind == "run"]


def test_nor_is_it_known_of_what_went_on_from_a_run_that_is_not_known(home: Home) -> None:
    child = write_run(home.path, "kdef-cnn", b"child", start=content(home.made["run"]), faces="of another data set")
    shutil.rmtree(home.made["faces"])
    shutil.rmtree(home.made["level"])
    roles = {use.directory: use.role for use in uses_of_subject(home.path, home.trained) if use.kind == "run"}
    assert roles == {home.made["run"]: "not known", child: "not known"}


def test_albums_and_sheets_of_training_faces_hold_those_whom_they_show(home: Home) -> None:
    one, other = (sorted(people_of(home.path)[Person("ck_plus", name)]) for name in (home.trained, home.tested))
    write_gallery(home.path, "album", [*one, "of nobody"])
    write_gallery(home.path, "nearest", [one[0], *other[:2]])
    found = {use.directory.name.split("-")[1]: use for use in uses_of_subject(home.path, home.trained)}
    shown = {name: (use.kind, use.role, use.pictures) for name, use in found.items() if use.kind == "scores"}
    assert shown == {"album": ("scores", "held", 6), "nearest": ("scores", "held", 1)}
    assert [use.pictures for use in uses_of_subject(home.path, home.tested) if use.kind == "scores"] == [2]


def test_what_a_model_said_of_other_pictures_names_nobody(home: Home) -> None:
    before = uses_of_subject(home.path, home.trained)
    made = Directory(home.path / "scores", "fer-1", kind="scores", config={}, inputs={}, code="test")
    made.start()
    shard = f"{PREDICTIONS}/part-00000.parquet"
    (made.path / PREDICTIONS).mkdir()
    write_table(made.path / shard, SCHEMA.empty_table())
    made.finish([shard], {})
    assert uses_of_subject(home.path, home.trained) == before


def write_gallery(home: Path, kind: str, names: list[str]) -> None:
    made = Directory(home / "scores", f"fer-{kind}", kind=kind, config={}, inputs={}, code="test")
    made.start()
    write_table(made.path / f"{kind}.parquet", pa.table({"source_path": names}))
    made.finish([f"{kind}.parquet"], {})


def test_pairs_and_tuples_name_several_pictures_a_row(home: Home) -> None:
    people = people_of(home.path)
    one, other = (sorted(people[Person("ck_plus", name)]) for name in (home.trained, home.tested))
    write_rows(home.path, "evaluations", "predictions.parquet", [f"{one[0]}|{other[0]}", f"{other[1]}|{other[2]}"])
    tuples = Directory(home.path / "tuples", "ck_plus-five", kind="tuples", config={}, inputs={}, code="test")
    tuples.start()
    write_table(tuples.path / "epoch-000.parquet", pa.table({"anchor": [one[0]], "pose_positive": [one[1]]}))
    tuples.finish(["epoch-000.parquet"], {})
    found = {(use.kind, use.role): (use.pictures, use.rows) for use in uses_of_subject(home.path, home.trained)}
    assert found["evaluation", "test"] == (1, 1)
    assert found["tuples", "held"] == (2, 1)


def test_doubtful_training_labels_are_no_test(home: Home) -> None:
    (sample, *_) = people_of(home.path)[Person("ck_plus", home.trained)]
    write_bytes(home.made["evaluation"] / "label_audit.csv", f"sample_id,share\n{sample},0.9\n".encode())
    assert home.roles(home.trained)["evaluation"] == {"train"}


def test_a_damaged_shard_is_named(home: Home) -> None:
    next(home.made["faces"].glob("part-*.parquet")).write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"part-.*\.parquet is not readable"):
        uses_of_subject(home.path, home.trained)
