"""A rollback is told on the model cards of both champions."""

from pathlib import Path
from typing import Any

import pytest

from fer_core.errors import InputError
from fer_core.options.stages import RollbackOptions
from fer_core.promotions import Aliases
from flows import commands
from tasks.rollback import Rollback

LOST = 2


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The versions whose cards were written; the files of one are lost."""
    versions: list[int] = []

    def write(home: Path, model_name: str, version: int) -> None:
        if version == LOST:
            raise InputError("version 2 has lost its file run.json")
        versions.append(version)

    monkeypatch.setattr(commands, "write_card", write)
    return versions


def roll_back(monkeypatch: pytest.MonkeyPatch, home: Path, rolled_back: int, dry_run: bool = False) -> str:
    """What is told of it, on the server too."""
    made = Rollback(rolled_back, "it errs", Aliases(rolled_back), Aliases(1), dry_run)
    monkeypatch.setattr(commands, "roll_back", lambda *_: made)
    state: Any = commands.rollback.fn(RollbackOptions(home=home, dry_run=dry_run))
    return str(state.message)


def test_both_cards_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: list[int]) -> None:
    assert roll_back(monkeypatch, tmp_path, 3) == "version 3 -> version 1: it errs"
    assert written == [3, 1]


def test_a_dry_run_writes_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: list[int]) -> None:
    told = roll_back(monkeypatch, tmp_path, 3, dry_run=True)
    assert told == "version 3 -> version 1: it errs (dry run: nothing was moved)"
    assert written == []


def test_what_has_lost_its_files_is_rolled_back_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: list[int]
) -> None:
    assert roll_back(monkeypatch, tmp_path, LOST) == f"version {LOST} -> version 1: it errs"
    assert written == [1]
