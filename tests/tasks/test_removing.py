"""Surveying and removing as the tasks do it: who is asked, what is looked at, and what has changed meanwhile."""

import io
import os
import sys
from pathlib import Path

import pytest

from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.files import write_bytes
from fer_core.housekeeping import Entry
from fer_core.options.stages import DirectoriesOptions
from flows.summary import Summary, table
from infra import mlflow_engine
from infra.mlflow_engine import Registry, store_file
from tasks.housekeeping import choose_removable, prove_directories, remove_directories, survey_home


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two directories of which the second is made from the first."""
    made(tmp_path, "runs", "first")
    made(tmp_path, "subdivisions", "second", run=read(tmp_path, "runs").content)
    return tmp_path


def made(home: Path, folder: str, name: str, **inputs: str) -> Directory:
    directory = Directory(home / folder, name, kind="any", config={}, inputs=inputs, code="test")
    directory.start()
    write_bytes(directory.path / "file", name.encode() * 100_000)
    directory.finish(["file"], {})
    return directory


def read(home: Path, folder: str) -> Entry:
    (entry,) = [entry for entry in survey_home.fn(DirectoriesOptions(home=home)) if entry.folder == folder]
    return entry


def asked(home: Path, **changed: bool) -> DirectoriesOptions:
    return DirectoriesOptions(home=home, remove=True, older_than=0, **changed)


def removed(options: DirectoriesOptions) -> list[str]:
    chosen = choose_removable.fn(options, survey_home.fn(options))
    return [entry.folder for entry in remove_directories.fn(options, chosen)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "no\n", "maybe\n", "yn\n"])
def test_any_answer_but_yes_removes_nothing(
    home: Path, answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert removed(asked(home)) == []
    out, err = capsys.readouterr()
    assert out == "", "stdout is for the result"
    assert err.endswith("remove 2 directories, 1.1 MB? [y/N] ")
    assert [line.split("/")[0] for line in err.splitlines()[:-1]] == ["  runs", "  subdivisions"]
    assert [entry.state for entry in survey_home.fn(asked(home))] == ["finished"] * 2


@pytest.mark.parametrize("answer", ["y\n", "Y\n", " yes \n"])
def test_yes_removes_users_before_what_they_use(home: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert removed(asked(home)) == ["subdivisions", "runs"]
    assert survey_home.fn(asked(home)) == []


def test_without_a_terminal_only_yes_removes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(InputError, match="add --yes"):
        removed(asked(home))
    assert removed(asked(home, yes=True)) == ["subdivisions", "runs"]


def test_nothing_to_remove_is_not_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    options = DirectoriesOptions(home=home, remove=True)  # all is younger than seven days
    assert removed(options) == []
    assert capsys.readouterr().err == ""


def test_what_is_used_since_the_question_stays(home: Path) -> None:
    options = asked(home, yes=True)
    chosen = choose_removable.fn(options, survey_home.fn(options))
    made(home, "evaluations", "third", level=read(home, "subdivisions").content)
    assert remove_directories.fn(options, chosen) == []
    assert len(survey_home.fn(options)) == 3


def test_what_was_not_listed_does_not_go(home: Path) -> None:
    options = asked(home, yes=True)
    chosen = choose_removable.fn(options, survey_home.fn(options))
    made(home, "tuples", "other")
    assert [entry.folder for entry in remove_directories.fn(options, chosen)] == ["subdivisions", "runs"]
    assert [entry.folder for entry in survey_home.fn(options)] == ["tuples"]


def test_what_is_being_made_at_this_moment_stays(home: Path) -> None:
    options = asked(home, yes=True)
    chosen = choose_removable.fn(options, survey_home.fn(options))
    level = Directory(home / "subdivisions", "second", kind="any", config={}, inputs={"run": ""}, code="test")
    level.path = read(home, "subdivisions").path
    with level.lock():
        assert remove_directories.fn(options, chosen) == []


def test_looking_makes_no_registry(home: Path) -> None:
    survey_home.fn(DirectoriesOptions(home=home))
    assert not store_file(home).parent.exists()


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # SQLAlchemy's own
def test_versions_of_every_model_name_keep_what_they_name(home: Path) -> None:
    registry = Registry(home, None, "fer")
    for name, entry in (("fer", read(home, "runs")), ("other", read(home, "subdivisions"))):
        registry._client.create_registered_model(name)
        folder = {"runs": "run", "subdivisions": "level"}[entry.folder]
        registry._client.create_model_version(name, str(home), tags={folder: entry.path.name})
    entries = survey_home.fn(asked(home))
    assert [entry.versions for entry in entries] == [("fer version 1",), ("other version 1",)]
    assert removed(asked(home, yes=True)) == []
    registry._client.delete_model_version("other", "1")
    assert removed(asked(home, yes=True)) == ["subdivisions"]


def test_a_registry_that_does_not_answer_removes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        raise mlflow_engine.MlflowException("connection refused")

    monkeypatch.setattr(mlflow_engine.mlflow.MlflowClient, "search_registered_models", silent)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="the model registry does not say what it holds: connection refused"):
        removed(asked(home, yes=True))
    assert not store_file(home).parent.exists()


def test_damage_is_named_and_an_unreadable_manifest_is_damage(home: Path) -> None:
    entries = survey_home.fn(DirectoriesOptions(home=home))
    assert [(proof.files, proof.damaged) for proof in prove_directories.fn(entries)] == [(1, []), (1, [])]
    (entries[0].path / "file").write_bytes(b"x")
    (entries[1].path / "manifest.json").write_text("{")
    entries = survey_home.fn(DirectoriesOptions(home=home))
    assert [proof.damaged for proof in prove_directories.fn(entries)] == [["file"], ["manifest.json"]]


def test_what_is_unfinished_or_of_an_earlier_version_is_not_proven(home: Path) -> None:
    for entry, text in zip(survey_home.fn(asked(home)), (None, '"schema_version": 1'), strict=True):
        manifest = entry.path / "manifest.json"
        if text is None:
            os.unlink(manifest)
        else:
            manifest.write_text(manifest.read_text().replace('"schema_version": 2', text))
    entries = survey_home.fn(DirectoriesOptions(home=home))
    assert [entry.state for entry in entries] == ["unfinished", "outdated"]
    assert prove_directories.fn(entries) == []


def listing(entries: list[Entry]) -> list[str]:
    return table(Summary().directories(entries).values).splitlines()


def test_the_table(home: Path) -> None:
    first, second = survey_home.fn(DirectoriesOptions(home=home))
    assert listing([first, second]) == [
        "kind         name                      MB    age  rows  state     used by",
        f"run          {first.path.name}   0.5  0 min        finished  subdivisions/{second.path.name}",
        f"subdivision  {second.path.name}  0.6  0 min        finished  nothing",
        "",
        "2 directories, 1.1 MB",
    ]


@pytest.mark.parametrize(("days", "shown"), [(0.01, "14 min"), (0.5, "12 h"), (1.4, "1 d"), (400, "400 d")])
def test_an_age_is_told_in_one_unit(tmp_path: Path, days: float, shown: str) -> None:
    row = listing([Entry(tmp_path / "one", "faces", "unfinished", 5, days, 7)])[1]
    assert row.split() == ["faces", "one", "0.0", *shown.split(), "7", "unfinished", "nothing"]


def test_versions_are_told_before_directories_and_no_more_than_one(tmp_path: Path) -> None:
    entry = Entry(tmp_path / "one", "faces", "finished", 5, 1, users=("a", "b"), versions=("fer version 1",))
    assert listing([entry])[1].endswith("finished  fer version 1 and 2 more")


def test_an_empty_home(tmp_path: Path) -> None:
    assert listing(survey_home.fn(DirectoriesOptions(home=tmp_path)))[-1] == "0 directories, 0.0 MB"
