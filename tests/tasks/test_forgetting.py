"""People who withdraw their consent, on a home of eight with everything that is made of pictures."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from lineage_homes import CONFIG, DESCRIPTION

from fer_core.consent import forgetting, withdrawals
from fer_core.directories import MANIFEST, Directory, damaged_files, read_manifest
from fer_core.errors import InputError
from fer_core.estimates.expressions import EXPRESSIONS
from fer_core.faces import crop
from fer_core.files import file_sha256, write_bytes, write_json, write_table
from fer_core.folds import Part
from fer_core.housekeeping import survey
from fer_core.options.stages import IngestOptions, PrepareOptions, RetrainOptions
from fer_core.reading import read_faces
from flows import forgotten
from flows.cli import parse
from tasks import data
from tasks import forgetting as tasks_forgetting
from tasks.forgetting import Forgotten, forget_people, retrain_command
from tasks.inspection import inspect_source
from tasks.made import Made
from tasks.tuples import write_tuples


class Home(NamedTuple):
    """A home, and somebody who was trained on and somebody who was tested on."""

    path: Path
    options: PrepareOptions
    trained: str
    tested: str


@pytest.fixture(autouse=True)
def no_team(in_this_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No team's registry."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def home(tiny_ck_plus: Path, tmp_path: Path) -> Home:
    """Catalog, faces, tuples, a class-sorted copy, a run with its level and its evaluation."""
    path = tmp_path / "home"
    (tiny_ck_plus / "CK+48" / "anger" / "S015_001_00000010.png").write_bytes(b"")
    options = PrepareOptions(
        dataset="ck_plus", source=tiny_ck_plus, home=path, rotations=(0.0, 5.0), tuples="similarity"
    )
    _, faces = prepared(options)
    write_tuples.fn(options, faces)
    data.publish_faces.fn(options.model_copy(update={"stream": str(tmp_path / "copy")}), faces)
    table = read_faces(faces.path, Part(), 0)
    of_faces = {"faces": faces.content}
    run = write_run(path, **of_faces)
    of_run = {**of_faces, "run": read_manifest(run).content}
    samples = {role: table.sample_id[table.rows_of(role, upright=True)].tolist() for role in ("train", "test")}
    write_rows(path, "subdivisions", "labels.parquet", samples["train"], **of_run)
    write_rows(path, "evaluations", "predictions.parquet", samples["test"], **of_run)
    first_of = {role: sorted(set(table.group[table.role == role].tolist()))[0] for role in samples}
    return Home(path, options, first_of["train"], first_of["test"])


def prepared(options: PrepareOptions) -> tuple[Made, Made]:
    catalog = data.write_catalog.fn(options)
    return catalog, data.write_faces.fn(options, catalog)


def write_run(home: Path, seed: int = 0, description: dict[str, Any] | None = None, **inputs: str) -> Path:
    config = {**CONFIG, "seed": seed}
    run = Directory(home / "runs", "ck_plus-cnn", kind="run", config=config, inputs=inputs, code="test")
    run.start()
    write_json(run.path / "run.json", {**DESCRIPTION, **(description or {})})
    write_bytes(run.path / "network.safetensors", b"weights")
    run.finish(["run.json", "network.safetensors"], {})
    return run.path


def write_rows(home: Path, folder: str, file: str, names: list[str], **inputs: str) -> None:
    made = Directory(home / folder, "ck_plus-cnn", kind=folder, config={}, inputs=inputs, code="test")
    made.start()
    write_table(made.path / file, pa.table({"sample_id": names}))
    write_bytes(made.path / "report.html", b"faces")
    made.finish([file, "report.html"], {})


def forget(home: Home, *names: str, dry_run: bool = False) -> Forgotten:
    return forget_people.fn(IngestOptions(home=home.path, forget=names, dry_run=dry_run))


def contents(home: Path) -> dict[str, bytes]:
    return {
        file.relative_to(home).as_posix(): file.read_bytes()
        for file in sorted(home.rglob("*"))
        if file.is_file() and not file.name.endswith(".lock")
    }


def rows(home: Path, folder: str) -> list[dict[str, Any]]:
    files = sorted((home / folder).glob("*/part-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def folders(home: Path) -> dict[str, int]:
    """Directories of each kind, finished or not."""
    entries = survey(home, {})
    return {entry.folder: sum(one.folder == entry.folder for one in entries) for entry in entries}


def test_nothing_in_the_home_names_them_and_all_others_are_as_they_were(home: Home) -> None:
    before = {folder: rows(home.path, folder) for folder in ("catalogs", "faces")}
    own = [row for row in before["catalogs"] if row["subject_id"] == home.trained]
    assert len(own) == 6
    forget(home, home.trained)
    needles = [home.trained.encode(), *(row["sample_id"].encode() for row in own), *(row["image"] for row in own)]
    left = contents(home.path)
    assert [name for name, content in left.items() for needle in needles if needle in content] == []
    for folder, every in before.items():
        assert rows(home.path, folder) == [row for row in every if row["subject_id"] != home.trained]
    assert folders(home.path) == {"catalogs": 1, "faces": 1, "runs": 1}


def test_what_is_left_is_what_would_be_made_without_them(home: Home, tmp_path: Path) -> None:
    forget(home, home.trained)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(home.path / withdrawals.FILE, other)
    catalog, faces = prepared(home.options)
    assert (catalog.reused, faces.reused) == (True, True)
    fresh = prepared(home.options.model_copy(update={"home": other}))
    for here, there in zip((catalog, faces), fresh, strict=True):
        assert (here.path.name, here.content, here.summary) == (there.path.name, there.content, there.summary)
        assert contents(here.path) == contents(there.path)
        assert damaged_files(here.path) == []
    assert catalog.summary["set_aside"] == faces.summary["set_aside"] == {"empty file": 1, "subject withdrew": 6}
    assert (catalog.summary["rows"], faces.summary["rows"]) == (42, 42 * 2)


def test_they_do_not_come_back_with_new_pictures(home: Home) -> None:
    forget(home, home.trained)
    anger = home.options.source / "CK+48" / "anger"
    for name in (f"{home.trained}_001_00000099.png", "S999_001_00000010.png"):
        tiny.write_png(anger / name, tiny.face(9, 9, 99))
    made = data.write_catalog.fn(home.options)
    assert made.summary["set_aside"] == {"empty file": 1, "subject withdrew": 7}
    assert made.summary["rows"] == 43
    assert inspect_source.fn(home.options)["set_aside"] == {"empty file": 1, "subject withdrew": 7}
    assert home.trained not in {row["subject_id"] for row in rows(home.path, "catalogs")}


def test_a_repair_of_what_was_rewritten_gives_the_same_bytes(home: Home) -> None:
    forget(home, home.trained)
    catalog, faces = prepared(home.options)
    for made in (catalog, faces):
        before = contents(made.path)
        for name in ("part-00000.parquet", "aside-00001.parquet"):
            (made.path / name).unlink()
        prepared(home.options)
        assert contents(made.path) == before


def test_the_models_that_learnt_from_them_are_told_every_time(home: Home) -> None:
    (run,) = (entry.path.name for entry in survey(home.path, {}) if entry.folder == "runs")
    told = [{"run": run, "version": None, "aliases": [], "retrain": None}]
    assert forget(home, home.trained).models == told
    again = forget(home, f"ck_plus:{home.trained}")
    assert again.models == told
    assert (again.plan.removed, again.plan.rewritten, again.plan.rows["catalog"]) == ((), (), 0)
    assert len(withdrawals.read_withdrawals(home.path)) == 1


def test_a_model_that_was_only_tested_on_them_is_not_to_be_trained_again(home: Home) -> None:
    made = forget(home, home.tested)
    assert made.models == []
    assert "evaluations" not in folders(home.path)


def test_after_somebody_was_forgotten_nothing_is_said_of_the_next_that_is_not_known(home: Home) -> None:
    (run,) = (entry.path.name for entry in survey(home.path, {}) if entry.folder == "runs")
    forget(home, home.trained)
    made = forget(home, home.tested)
    assert (made.models, [model["run"] for model in made.unsure]) == ([], [run])
    first, second = withdrawals.read_withdrawals(home.path)
    assert [(one.runs, one.unsure, one.spared) for one in (first, second)] == [((run,), (), ()), ((), (run,), ())]
    told = forgotten.lines(forgotten.described(made, dry_run=False))
    assert "models to retrain: none" in told
    at = told.index("models of which it cannot be told any more whether they learnt from them:")
    assert told[at + 1] == f"  not registered: runs/{run}"


def test_pictures_that_show_them_go_and_those_of_others_stay(home: Home) -> None:
    own = [row["sample_id"] for row in rows(home.path, "catalogs") if row["subject_id"] == home.trained]
    other = [row["sample_id"] for row in rows(home.path, "catalogs") if row["subject_id"] == home.tested]
    (faces,) = (entry.content for entry in survey(home.path, {}) if entry.folder == "faces")
    shown = {
        "album": write_gallery(home.path, "album", [*own, *other], faces=faces),
        "gone": write_gallery(home.path, "nearest", [own[0], other[0]], faces="gone"),
        "others": write_gallery(home.path, "nearest", other, faces=faces),
        "scored": write_gallery(home.path, "album", ["a.png"], scores="of a folder", level="that of the model"),
    }
    made = forget(home, home.trained)
    assert [name for name, path in shown.items() if path.exists()] == ["others", "scored"]
    assert made.plan.rows["scores"] == 7


def write_gallery(home: Path, kind: str, names: list[str], **inputs: str) -> Path:
    made = Directory(home / "scores", f"fer-{kind}", kind=kind, config={}, inputs=inputs, code="test")
    made.start()
    write_table(made.path / f"{kind}.parquet", pa.table({"source_path": names}))
    write_bytes(made.path / f"{kind}.html", b"faces")
    made.finish([f"{kind}.parquet", f"{kind}.html"], {})
    return made.path


def test_half_removed_pictures_go_though_their_folder_stays(home: Home) -> None:
    half = home.path / "scores" / f".fer-album-{'0' * 16}.removed"
    half.mkdir(parents=True)
    write_bytes(half / "album.html", b"faces")
    forget(home, home.trained)
    assert not half.exists()


def test_what_begins_while_they_are_forgotten_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (faces,) = (entry.content for entry in survey(home.path, {}) if entry.folder == "faces")
    (run,) = (entry.path.name for entry in survey(home.path, {}) if entry.folder == "runs")
    samples = [row["sample_id"] for row in rows(home.path, "catalogs")]
    late = list[str]()

    def begins_after_the_plan(path: Path, plan: Any) -> dict[str, str]:
        if not late:
            late.append(write_run(path, seed=1, faces=faces).name)
            write_rows(path, "subdivisions", "labels.parquet", samples, faces=faces, run="late")
        return forgetting.forget(path, plan)

    monkeypatch.setattr(tasks_forgetting, "forget", begins_after_the_plan)
    made = forget(home, home.tested)
    assert [model["run"] for model in made.unsure] == late
    (told,) = withdrawals.read_withdrawals(home.path)
    assert (told.runs, told.unsure, told.spared) == ((), tuple(late), (run,))
    assert folders(home.path) == {"catalogs": 1, "faces": 1, "runs": 2}
    assert forget(home, home.tested).plan.is_done


def test_what_finishes_after_they_were_forgotten_goes_when_they_are_forgotten_again(home: Home) -> None:
    (faces,) = (entry.content for entry in survey(home.path, {}) if entry.folder == "faces")
    samples = [row["sample_id"] for row in rows(home.path, "catalogs")]
    forget(home, home.trained)
    write_rows(home.path, "evaluations", "predictions.parquet", samples, faces=faces, run="late")
    forget(home, f"ck_plus:{home.trained}")
    assert "evaluations" not in folders(home.path)


def test_runs_that_have_them_among_their_classes_are_told_every_time(home: Home) -> None:
    classes = {"classes": [home.tested, home.trained]}
    run = write_run(home.path, seed=1, description=classes, faces="of an earlier version").name
    write_run(home.path, seed=2, description={"classes": [home.tested]}, faces="of an earlier version")
    for _ in range(2):
        made = forget(home, f"ck_plus:{home.trained}")
        assert made.plan.naming == (run,)
        assert f"  runs/{run}" in forgotten.lines(forgotten.described(made, dry_run=False))


def test_several_at_once_and_one_after_the_other_leave_the_same_rows(home: Home, tmp_path: Path) -> None:
    other = home._replace(path=tmp_path / "other")
    shutil.copytree(home.path, other.path)
    forget(home, home.trained, home.tested)
    forget(other, home.trained)
    forget(other, home.tested)
    for folder in ("catalogs", "faces"):
        assert rows(home.path, folder) == rows(other.path, folder)
        assert len(rows(home.path, folder)) == {"catalogs": 36, "faces": 72}[folder]
    assert data.write_catalog.fn(home.options.model_copy(update={"home": other.path})).reused


def test_a_dry_run_says_the_same_and_changes_nothing(home: Home) -> None:
    before = contents(home.path)
    told = forgotten.described(forget(home, home.trained, dry_run=True), dry_run=True)
    assert contents(home.path) == before
    done = forgotten.described(forget(home, home.trained), dry_run=False)
    for name in ("forgotten", "rows_removed", "directories_removed", "models_to_retrain", "copies_elsewhere"):
        assert told[name] == done[name]
    assert told["rows_removed"] == {
        **{"catalog": 6, "faces": 12, "tuples": told["rows_removed"]["tuples"], "stream": 12, "subdivision": 6}
    }
    assert [one["to"] for one in told["directories_rewritten"]] == [None, None]
    assert all((home.path / one["to"]).is_dir() for one in done["directories_rewritten"])
    assert [name.split("/")[0] for name in done["directories_removed"]] == [
        "evaluations",
        "subdivisions",
        "streams",
        "tuples",
    ]
    assert [line for line in forgotten.lines(told) if "ck_plus:" in line] == [
        f"would be forgotten: ck_plus:{home.trained}"
    ]
    assert forgotten.lines(done)[0] == f"forgotten: ck_plus:{home.trained}"


class Killed(BaseException):
    """What a kill is."""


def killing_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """From the given change of the disk on nothing more is done; gives the changes that were tried."""
    tried: list[str] = []

    def counted(owner: Any, name: str) -> None:
        change = getattr(owner, name)

        def tried_first(*given: Any, **named: Any) -> Any:
            if len(tried) >= number:
                raise Killed
            tried.append(name)
            return change(*given, **named)

        monkeypatch.setattr(owner, name, tried_first)

    for owner, name in ((Path, "replace"), (Path, "rename"), (Path, "mkdir"), (shutil, "rmtree")):
        counted(owner, name)
    return tried


def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same salt and time whenever somebody is forgotten."""
    monkeypatch.setattr(withdrawals.secrets, "token_hex", lambda size: "00" * size)
    monkeypatch.setattr(withdrawals.time, "strftime", lambda *_: "now")


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_wherever_it_is_killed_the_same_command_finishes_it(
    home: Home, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed(monkeypatch)
    data.write_catalog.fn(home.options.model_copy(update={"per_class": 5}))  # a catalog that nothing is made of yet
    whole = home._replace(path=tmp_path / "whole")
    shutil.copytree(home.path, whole.path)
    told = forget(whole, home.trained).models
    expected = contents(whole.path)
    number = 0
    while True:
        cut = home._replace(path=tmp_path / f"cut-{number}")
        shutil.copytree(home.path, cut.path)
        with monkeypatch.context() as patch:
            killing_at(patch, number)
            try:
                forget(cut, home.trained)
            except Killed:
                is_killed = True
            else:
                is_killed = False
        assert forget(cut, home.trained).models == told
        assert contents(cut.path) == expected, number
        shutil.rmtree(cut.path)
        if not is_killed:
            break
        number += step
    assert number > 30


def test_what_was_left_half_made_goes(home: Home) -> None:
    half = Directory(home.path / "catalogs", "ck_plus", kind="catalog", config={}, inputs={}, code="older")
    half.start()
    shutil.copy(data.catalog_directory(home.options).path / "part-00000.parquet", half.path)
    forget(home, home.trained)
    assert not half.path.exists()
    assert folders(home.path)["catalogs"] == 1


def test_faces_that_a_model_has_labelled_are_made_again(home: Home) -> None:
    faces = next((home.path / "faces").glob("ck_plus-*"))
    write_table(faces / EXPRESSIONS, pa.table({"sample_id": ["0"], "expression": ["fear"]}))
    manifest = json.loads((faces / MANIFEST).read_text())
    file = faces / EXPRESSIONS
    shard = {"rows": 1, "bytes": file.stat().st_size, "sha256": file_sha256(file)}
    write_json(faces / MANIFEST, {**manifest, "shards": {**manifest["shards"], EXPRESSIONS: shard}})
    forget(home, home.trained)
    assert "faces" not in folders(home.path)
    assert not data.write_faces.fn(home.options, data.write_catalog.fn(home.options)).reused


def test_pictures_in_which_no_face_was_found_are_forgotten_too(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = crop.find_faces

    def find_but_in_anger(rows: Any, *rest: Any) -> list[Any]:
        found = zip(rows, find(rows, *rest), strict=True)
        return ["no face found" if "anger" in row["source_path"] else face for row, face in found]

    monkeypatch.setattr(crop, "find_faces", find_but_in_anger)
    other = home._replace(path=tmp_path / "other", options=home.options.model_copy(update={"home": tmp_path / "other"}))
    prepared(other.options)
    forget(other, home.trained)
    catalog, faces = prepared(other.options)
    assert (catalog.reused, faces.reused) == (True, True)
    assert faces.summary["set_aside"] == {"empty file": 1, "no face found": 7 * 2, "subject withdrew": 6}
    asides = [pq.read_table(file)["source_path"].to_pylist() for file in faces.path.glob("aside-*.parquet")]
    assert not [path for paths in asides for path in paths if home.trained in path]


def test_nobody_of_that_name(home: Home) -> None:
    with pytest.raises(InputError, match=r"nobody in this home is called S01; did you mean S014, S011, S010\?"):
        forget(home, "S01")
    with pytest.raises(InputError, match=r"called X; it names 8 people, such as ck_plus:S010, ck_plus:S011"):
        forget(home, "X")
    with pytest.raises(InputError, match=r"nobody in this home is called ferplus:S010; it names nobody"):
        forget(home, "ferplus:S010")
    assert not (home.path / withdrawals.FILE).exists()


def test_a_name_in_two_data_sets_is_to_be_told_apart(home: Home, tmp_path: Path) -> None:
    pictures = tmp_path / "own"
    tiny.write_png(pictures / "happy" / "a.png", tiny.face(9, 9, 1))
    (pictures / "labels.csv").write_text(f"path,subject\nhappy/a.png,{home.trained}\n")
    other = PrepareOptions(dataset="image_folder", source=pictures, home=home.path)
    data.write_catalog.fn(other)
    with pytest.raises(InputError, match=f"name one of ck_plus:{home.trained}, image_folder:{home.trained}"):
        forget(home, home.trained)
    forget(home, f"ck_plus:{home.trained}")
    assert data.write_catalog.fn(other).reused  # the other data set keeps its name and its rows
    with pytest.raises(InputError, match="is in 2 data sets"):  # by the list of withdrawals, too
        forget(home, home.trained)


def test_nothing_is_done_while_something_is_made(home: Home) -> None:
    catalog = data.catalog_directory(home.options)
    before = contents(home.path)
    with catalog.lock(), pytest.raises(InputError, match="is being made at this moment; wait for it"):
        forget(home, home.trained)
    assert contents(home.path) == before


def test_a_damaged_shard_stops_it_and_it_goes_on_when_that_is_mended(home: Home) -> None:
    catalog = data.catalog_directory(home.options)
    shard = catalog.path / "part-00000.parquet"
    whole = bytearray(shard.read_bytes())
    for place in (len(whole) // 2, len(whole) - 1):  # within a picture, which is not read to find people; the footer
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"is missing or damaged|is not readable"):
            forget(home, home.trained)
    shard.write_bytes(whole)
    forget(home, home.trained)
    assert folders(home.path) == {"catalogs": 1, "faces": 1, "runs": 1}


def test_the_command_that_trains_a_version_again() -> None:
    class Version(NamedTuple):
        tags: dict[str, str]

    config = '{"dataset": "ck_plus", "source": "/a b", "epochs": 3, "folds": null, "mul_dml": {"slice_size": 8}}'
    assert retrain_command(Path("home"), Version({"config": config})) == (
        "python -m flows retrain --dataset ck_plus --source '/a b' --epochs 3 --mul-dml.slice-size 8 --home home"
    )
    own = RetrainOptions(home=Path("home"), epochs=3, floors={"accuracy": 0.6, "map": 0.2})
    told = retrain_command(Path("home"), Version({"config": json.dumps(own.told())}))
    assert parse("retrain", RetrainOptions, shlex.split(told)[4:], None) == own
    assert retrain_command(Path("home"), Version({})) is None
