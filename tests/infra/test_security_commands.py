"""A command that is given a secret where it would be written says so, without it, before anything is written."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.__main__ import main
from infra.progress import logger

ADDRESS = "s3://AKIA:sentinel@bucket/faces"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """A command sets variables for its engines, and shows progress."""
    before, handlers, hook = dict(os.environ), logger.handlers, sys.excepthook
    yield
    os.environ.clear()
    os.environ.update(before)
    logger.handlers, logger.propagate, sys.excepthook = handlers, True, hook


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stream", ADDRESS], "--stream holds a password or a key"),
        (["--storage", ADDRESS], "--storage holds a password or a key"),
        ([f"--storag={ADDRESS}"], "unknown option --storag; did you mean --storage"),
        (["--config", "{tmp}/own.yaml"], "--storage holds a password or a key"),
    ],
)
def test_an_option_with_a_secret(arguments: list[str], said: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "own.yaml").write_text(f"storage: {ADDRESS}\n")
    home = tmp_path / "home"
    assert main(["retrain", *(one.format(tmp=tmp_path) for one in arguments), "--home", str(home)]) == 2
    written = capsys.readouterr()
    assert f"error: {said}" in written.err
    assert "sentinel" not in written.out + written.err
    assert not home.exists()


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
def test_a_server_address_with_a_password(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv(name, "http://user:sentinel@localhost:1")
    assert main(["retrain", "--home", str(tmp_path / "home")]) == 2
    written = capsys.readouterr()
    assert f"error: {name} holds a password or a key" in written.err
    assert "sentinel" not in written.out + written.err
    assert not (tmp_path / "home").exists()


def test_a_secret_that_the_environment_holds_is_blanked_in_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sentinel-of-the-store")
    assert main(["retrain", "--model-name", "sentinel-of-the-store!", "--home", str(tmp_path / "home")]) == 2
    written = capsys.readouterr()
    assert "--model-name '***!'" in written.err
