"""Bad input that is seen before any engine starts: one sentence, exit code 2, nothing written."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.__main__ import main
from infra.progress import logger


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """A command sets variables for its engines and shows progress; the other tests do not want either."""
    before, handlers = dict(os.environ), logger.handlers
    yield
    os.environ.clear()
    os.environ.update(before)
    logger.handlers, logger.propagate = handlers, True


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["ingest", "--dataset", "ck_plus", "--source", "{tmp}/nowhere"], "does not exist"),
        (["ingest", "--dataset", "ck_plus", "--source", "{tmp}/empty"], "is empty"),
        (["ingest", "--dataset", "ck_plus", "--source", "{tmp}/file.txt"], "is a file"),
        (["ingest", "--dataset", "ck_plus"], "--source is missing"),
        (["ingest", "--dataset", "ck"], "choose one of ck_plus"),
        (["train", "--epoch", "3"], "did you mean --epochs"),
        (["train", "--epochs", "many"], "--epochs 'many'"),
        (["train", "--epochs", "0"], "greater than or equal to 1"),
        (["train", "--patch", "100"], "larger than --face-size"),
        (["train", "--weights", "{tmp}/none.safetensors"], "none.safetensors"),
        (["train", "--lr", "inf"], "finite number"),
        (["train", "--workers", "200"], "use fewer"),
        (["train", "--rotations=0,0"], "must be different"),
        (["evaluate", "--folds", "1"], "greater than or equal to 2"),
        (["train", "--config", "{tmp}/none.yaml"], "none.yaml"),
        (["ingest", "--corrections", "{tmp}/none.csv"], "none.csv cannot be read: No such file or directory"),
        (["ingest", "--corrections", "{tmp}/empty"], "empty cannot be read: Is a directory"),
        (["ingest", "--verify", "--repair"], "--verify and --repair do not go together"),
        (["ingest", "--repair", "--dry-run"], "--repair and --dry-run do not go together"),
        (["ingest", "--verify", "--repair", "--dry-run"], "--verify and --repair and --dry-run do not go together"),
        (["prepare", "--verify", "--repair"], "--verify and --repair do not go together"),
        (["directories"], "home does not exist: there is nothing to list"),
        (["directories", "--verify", "--remove"], "--verify and --remove do not go together"),
        (["directories", "--verify", "--dry-run"], "--verify and --dry-run do not go together"),
        (["directories", "--yes"], "--yes answers for --remove"),
        (["directories", "--older-than=-1"], "greater than or equal to 0"),
        (["directories", "--older-than", "nan"], "finite number"),
        (["promote", "--again"], "--again is of one version: name it with --version"),
        (["rollback", "--to", "0"], "--to '0': Input should be greater than or equal to 1"),
        (["fly"], "unknown command fly"),
    ],
)
def test_one_sentence_exit_code_2_and_nothing_written(
    tmp_path: Path, arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("not a folder")
    home = ["--home", str(tmp_path / "home")]
    assert main([argument.replace("{tmp}", str(tmp_path)) for argument in arguments] + home) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert named in err
    assert out == ""
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["ingest", "--home", str(tmp_path / "file" / "home")]) == 2
    assert "choose another folder" in capsys.readouterr().err
