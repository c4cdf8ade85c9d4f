import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from fer_core.directories import MANIFEST, STARTED, Directory, damaged_files
from fer_core.errors import InputError
from fer_core.files import write_bytes, write_table
from fer_core.housekeeping import Entry, removable, remove, survey
from fer_core.locks import alone, alone_at_once, is_held, lock_of

NOW = 1_700_000_000.0
OLD, YOUNG = 30.0, 2.0


def made(home: Path, folder: str, name: str, days: float = OLD, rows: int = 4, **inputs: str) -> Directory:
    """A finished directory, last used some days before NOW. Its content depends on its name."""
    directory = Directory(home / folder, name, kind="any", config={}, inputs=inputs, code="test")
    directory.start()
    write_table(directory.path / "part-00000.parquet", pa.table({"number": list(range(rows)), "name": [name] * rows}))
    write_table(directory.path / "aside-00000.parquet", pa.table({"reason": ["dark"]}))
    directory.finish(["part-00000.parquet", "aside-00000.parquet"], {})
    aged(directory, days)
    return directory


def under_way(home: Path, folder: str, name: str, days: float = OLD, **inputs: str) -> Directory:
    """A directory without a manifest and one shard in it."""
    directory = Directory(home / folder, name, kind="any", config={}, inputs=inputs, code="test")
    directory.start()
    write_bytes(directory.path / "part-00000.parquet", b"12345")
    aged(directory, days)
    return directory


def aged(directory: Directory, days: float) -> None:
    for path in (*directory.path.iterdir(), directory.path):
        os.utime(path, (NOW - days * 86_400, NOW - days * 86_400))


def chain(home: Path, days: float = OLD) -> dict[str, Directory]:
    """Catalog -> faces -> run -> subdivision -> evaluation, and tuples of the faces."""
    catalog = made(home, "catalogs", "one", days, source="a folder")
    faces = made(home, "faces", "two", days, catalog=catalog.manifest().content)
    of_faces = {"faces": faces.manifest().content}
    run = made(home, "runs", "three", days, **of_faces)
    level = made(home, "subdivisions", "four", days, run=run.manifest().content, **of_faces)
    both = {"run": run.manifest().content, "level": level.manifest().content}
    evaluation = made(home, "evaluations", "five", days, **of_faces, **both)
    tuples = made(home, "tuples", "six", days, **of_faces)
    return {
        "catalog": catalog,
        "faces": faces,
        "run": run,
        "level": level,
        "evaluation": evaluation,
        "tuples": tuples,
    }


def look(home: Path, versions: dict[str, dict[str, str]] | None = None) -> dict[str, Entry]:
    """The entries of a home by the name they were made with."""
    return {entry.path.name.lstrip(".").split("-")[0]: entry for entry in survey(home, versions or {}, NOW)}


def names(entries: list[Entry]) -> list[str]:
    return [entry.path.name.lstrip(".").split("-")[0] for entry in entries]


def may_go(home: Path, versions: dict[str, dict[str, str]] | None = None, **how: float) -> list[str]:
    return names(removable(survey(home, versions or {}, NOW), **{"older_than_days": 7, **how}))


def test_a_home_that_holds_nothing(tmp_path):
    assert survey(tmp_path, {}) == []
    assert survey(tmp_path / "nowhere", {}) == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_directory_is(tmp_path):
    catalog = made(tmp_path, "catalogs", "one", days=3.5, rows=7)
    (entry,) = survey(tmp_path, {}, NOW)
    assert entry == Entry(
        path=catalog.path,
        folder="catalogs",
        state="finished",
        bytes=sum(file.stat().st_size for file in catalog.path.iterdir()),
        age_days=3.5,
        rows=7,  # those set aside are no rows
        content=catalog.manifest().content,
    )
    assert entry.name == f"catalogs/{catalog.path.name}"


def test_entries_come_in_the_order_of_the_stages(tmp_path):
    chain(tmp_path)
    assert names(survey(tmp_path, {})) == ["one", "two", "six", "three", "four", "five"]


def test_what_uses_each(tmp_path):
    of = {name: directory.path.name for name, directory in chain(tmp_path).items()}
    found = look(tmp_path, {"fer version 3": {"run": of["run"], "level": of["level"], "title": "any"}})
    assert found["one"].users == (f"faces/{of['faces']}",)
    assert set(found["two"].users) == {
        f"{folder}/{of[name]}"
        for folder, name in (
            ("tuples", "tuples"),
            ("runs", "run"),
            ("subdivisions", "level"),
            ("evaluations", "evaluation"),
        )
    }
    assert found["three"].versions == found["four"].versions == ("fer version 3",)
    assert found["five"].users == found["six"].users == found["two"].versions == ()


def test_equal_contents_are_used_alike(tmp_path):
    """A touched source gives a second catalog with the same shards: which of them the faces were made from is open."""
    first = made(tmp_path, "catalogs", "one", source="before")
    again = made(tmp_path, "catalogs", "one", source="after")
    assert first.path != again.path
    made(tmp_path, "faces", "two", days=YOUNG, catalog=first.manifest().content)
    assert may_go(tmp_path) == []


def test_an_unfinished_directory_uses_what_it_is_being_made_from(tmp_path):
    faces = made(tmp_path, "faces", "two")
    run = under_way(tmp_path, "runs", "three", YOUNG, faces=faces.manifest().content)
    found = look(tmp_path)
    assert (found["three"].state, found["three"].rows, found["three"].content) == ("unfinished", None, None)
    assert found["two"].users == (f"runs/{run.path.name}",)
    assert may_go(tmp_path) == []
    run.finish([], {})
    assert not (run.path / STARTED).exists()
    assert look(tmp_path)["two"].users == (f"runs/{run.path.name}",)


def test_an_unfinished_directory_is_as_old_as_its_last_file(tmp_path):
    run = under_way(tmp_path, "runs", "three", 50)
    os.utime(run.path / "part-00000.parquet", (NOW - 86_400, NOW - 86_400))
    assert look(tmp_path)["three"].age_days == pytest.approx(1)


def test_what_is_locked_is_under_way(tmp_path):
    run, faces = under_way(tmp_path, "runs", "three"), made(tmp_path, "faces", "two")
    with run.lock(), faces.lock():
        found = look(tmp_path)
        assert found["three"].state == found["two"].state == "under way"
        assert may_go(tmp_path) == []
    assert may_go(tmp_path) == ["two", "three"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\x00\xff", '{"schema_version": 2, "content": 1, "inputs": [1]}'])
def test_a_damaged_manifest_is_told_and_stops_removal_while_it_may_name_something(tmp_path, text):
    directory = made(tmp_path, "faces", "two", days=YOUNG)
    made(tmp_path, "catalogs", "one")
    (directory.path / MANIFEST).write_text(text)
    aged(directory, YOUNG)
    assert look(tmp_path)["two"].state == "unreadable"
    with pytest.raises(InputError, match=r"two-\w+/manifest\.json is not readable, so what faces/two-"):
        may_go(tmp_path)
    aged(directory, OLD)  # nothing keeps it
    assert may_go(tmp_path) == ["one", "two"]


def test_directories_of_an_earlier_version_are_told_and_keep_what_they_use(tmp_path):
    of = chain(tmp_path)
    for directory in of.values():
        file = directory.path / MANIFEST
        file.write_text(file.read_text().replace('"schema_version": 2', '"schema_version": 1'))
        aged(directory, OLD)
    found = look(tmp_path)
    assert {entry.state for entry in found.values()} == {"outdated"}
    assert len(found["two"].users) == 4
    assert may_go(tmp_path) == ["six"]


def test_what_nothing_uses_goes_and_evaluations_stay_with_all_they_come_from(tmp_path):
    chain(tmp_path)
    made(tmp_path, "catalogs", "other")
    assert may_go(tmp_path) == ["other", "six"]


def test_evaluations_go_on_request_with_what_only_they_use(tmp_path):
    of = chain(tmp_path)
    assert may_go(tmp_path, evaluations=True) == ["one", "two", "six", "three", "four", "five"]
    made(tmp_path, "tuples", "seven", days=YOUNG, faces=of["faces"].manifest().content)
    assert may_go(tmp_path, evaluations=True) == ["six", "three", "four", "five"]


def test_an_unfinished_evaluation_is_no_result(tmp_path):
    under_way(tmp_path, "evaluations", "five")
    assert may_go(tmp_path) == ["five"]


@pytest.mark.parametrize("tag", ["run", "level", "evaluation", "faces", "data_digest"])
def test_what_a_model_version_names_stays_with_all_it_comes_from(tmp_path, tag):
    of = chain(tmp_path)
    value = {
        "faces": f"/elsewhere/{of['faces'].path.name}",
        "data_digest": of["faces"].manifest().content,
    }.get(tag) or of.get(tag, of["catalog"]).path.name
    kept = {
        "run": ["one", "two", "three"],
        "level": ["one", "two", "three", "four"],
        "evaluation": ["one", "two", "three", "four", "five"],
    }.get(tag, ["one", "two"])
    gone = may_go(tmp_path, {"fer version 1": {tag: value}}, evaluations=True)
    assert gone == [name for name in ("one", "two", "six", "three", "four", "five") if name not in kept]


def test_a_name_counts_only_in_its_own_folder(tmp_path):
    catalog = made(tmp_path, "catalogs", "one")
    assert may_go(tmp_path, {"fer version 1": {"run": catalog.path.name}}) == ["one"]


def test_what_is_younger_stays_with_all_it_comes_from(tmp_path):
    of = chain(tmp_path)
    aged(of["level"], YOUNG)
    assert may_go(tmp_path, evaluations=True) == ["six", "five"]
    assert may_go(tmp_path, evaluations=True, older_than_days=1) == ["one", "two", "six", "three", "four", "five"]


def test_other_folders_and_files_are_nobodys(tmp_path):
    for name in ("mine", "no-digest", "upper-0123456789ABCDEF", ".hidden-0123456789abcdef", "long-0123456789abcdef0"):
        (tmp_path / "catalogs" / name).mkdir(parents=True)
    (tmp_path / "catalogs" / "file-0123456789abcdef").write_text("")
    (tmp_path / "mlflow" / "run-0123456789abcdef").mkdir(parents=True)
    assert survey(tmp_path, {}) == []


def test_removing_deletes_the_directory_and_nothing_else(tmp_path):
    of = chain(tmp_path)
    assert remove(look(tmp_path)["six"])
    assert not of["tuples"].path.exists()
    assert names(survey(tmp_path, {})) == ["one", "two", "three", "four", "five"]
    assert [path.name for path in (tmp_path / "tuples").iterdir()] == [lock_of(of["tuples"].path).name]
    for name in ("catalog", "faces", "run", "level", "evaluation"):
        assert damaged_files(of[name].path) == []


def test_what_is_under_way_is_not_removed_though_it_was_chosen(tmp_path):
    run = under_way(tmp_path, "runs", "three")
    entry = look(tmp_path)["three"]
    with run.lock():
        assert not remove(entry)
        assert (run.path / "part-00000.parquet").exists()
    assert remove(entry)
    assert not run.path.exists()


def test_removing_twice_is_no_error(tmp_path):
    made(tmp_path, "catalogs", "one")
    entry = look(tmp_path)["one"]
    assert remove(entry)
    assert remove(entry)


def test_a_link_is_removed_and_what_it_leads_to_stays(tmp_path):
    directory = made(tmp_path / "home", "catalogs", "one")
    shutil.move(directory.path, tmp_path / "other disk")
    directory.path.symlink_to(tmp_path / "other disk")
    assert remove(look(tmp_path / "home")["one"])
    assert not directory.path.is_symlink()
    assert (tmp_path / "other disk" / MANIFEST).exists()


def test_a_removal_that_was_cut_off_is_no_directory_and_is_ended_later(tmp_path, monkeypatch):
    directory = made(tmp_path, "catalogs", "one", days=YOUNG)
    entry = look(tmp_path)["one"]
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", half_of_it)
        with pytest.raises(KeyboardInterrupt):
            remove(entry)
    assert not directory.finished()
    assert not directory.path.exists()
    left = look(tmp_path)["one"]
    assert (left.state, left.content, left.users) == ("half removed", None, ())
    assert left.bytes > 0
    again = made(tmp_path, "catalogs", "one", days=YOUNG)  # its name is free
    assert [entry.state for entry in survey(tmp_path, {}, NOW)] == ["half removed", "finished"]
    (chosen,) = removable(survey(tmp_path, {}, NOW), older_than_days=7)
    assert remove(chosen)
    assert [entry.path for entry in survey(tmp_path, {}, NOW)] == [again.path]
    assert damaged_files(again.path) == []


def half_of_it(path: Path) -> None:
    next(iter(sorted(path.iterdir()))).unlink()
    raise KeyboardInterrupt


def test_a_removal_after_one_that_was_cut_off(tmp_path):
    directory = made(tmp_path, "catalogs", "one")
    hidden = directory.path.with_name(f".{directory.path.name}.removed")
    hidden.mkdir()
    (hidden / "part-00000.parquet").write_bytes(b"1")
    assert remove(next(entry for entry in survey(tmp_path, {}, NOW) if entry.state == "finished"))
    assert survey(tmp_path, {}, NOW) == []


KILLED = """
import sys, time
from pathlib import Path
from fer_core.locks import alone
with alone(Path(sys.argv[1])):
    print("alone", flush=True)
    time.sleep(100)
"""


def test_a_killed_process_gives_its_lock_up(tmp_path):
    file = tmp_path / "x.lock"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(file)], stdout=subprocess.PIPE, cwd=Path.cwd())
    assert process.stdout.readline() == b"alone\n"
    assert is_held(file)
    with alone_at_once(file) as free:
        assert not free
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while is_held(file):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with alone_at_once(file) as free:
        assert free
        assert is_held(file)


def test_looking_at_a_lock_makes_no_file(tmp_path):
    assert not is_held(tmp_path / "x.lock")
    assert list(tmp_path.iterdir()) == []
    with alone(tmp_path / "x.lock"):
        assert is_held(tmp_path / "x.lock")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_what_may_not_be_removed_is_named(tmp_path):
    directory = made(tmp_path, "catalogs", "one")
    directory.path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be removed"):
        remove(look(tmp_path)["one"])
