"""Promotion and rollback where versions were deleted, or have lost their files; in a real registry."""

import shutil
from pathlib import Path

import promotion_steps
import pytest
from promotion_fixtures import home as home
from promotion_fixtures import template as template
from promotion_steps import aliases, decisions, logged, promote, roll_back, run_until, stored

from fer_core.errors import InputError
from infra.promotion_log import log_file
from tasks.registry import open_registry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy
]


@pytest.fixture(autouse=True)
def by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    promotion_steps.use_table(monkeypatch)


def delete(home: Path, version: int) -> None:
    open_registry(home, "fer")._client.delete_model_version("fer", str(version))


def test_a_version_that_was_deleted_before_its_promotion_was_whole_is_given_up(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(home, 1)
    run_until(monkeypatch, 3, lambda: promote(home, 2))
    open_registry(home, "fer")._client.delete_model_version("fer", "2")
    assert promote(home, 3).champion == 3
    assert decisions(home) == [("promote", 1), ("promote", 3)]
    assert "abandoned" in {line["state"] for line in logged(home)}


@pytest.mark.parametrize("steps", [2, 3, 4, 12])
def test_a_promotion_whose_former_champion_was_deleted_before_it_was_whole_is_carried_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    promote(home, 1)
    run_until(monkeypatch, steps, lambda: promote(home, 2))
    delete(home, 1)
    foreseen = promote(home, 3, dry_run=True).before
    assert (foreseen.champion, foreseen.previous) == (2, None)
    assert promote(home, 3).verdict == "within noise"
    assert aliases(home) == (2, 3, None)
    assert decisions(home) == [("promote", 1), ("promote", 2), ("refuse", 3)]
    assert open_registry(home, "fer").tags_of(2)["verdict"] == "improved"


def test_a_rollback_whose_version_was_deleted_before_it_was_whole_is_carried_out(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(home, 1)
    promote(home, 2)
    run_until(monkeypatch, 2, lambda: roll_back(home))
    delete(home, 2)
    assert promote(home, 1).champion == 1
    assert aliases(home) == (1, None, None)
    assert decisions(home) == [("promote", 1), ("promote", 2), ("rollback", 2)]


@pytest.mark.parametrize("dry_run", [True, False])
def test_nothing_is_rolled_back_to_a_version_that_cannot_be_loaded(
    home: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    promote(home, 1)
    promote(home, 2)
    before = log_file(home, "fer").read_bytes(), stored(home)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"fer version 1 cannot be loaded: .*; nothing was rolled back: .* --to"):
        roll_back(home, dry_run=dry_run)
    assert (log_file(home, "fer").read_bytes(), stored(home)) == before


def test_a_version_that_has_lost_a_file_cannot_be_loaded(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    registry = open_registry(home, "fer")
    folder = registry.model_file(1, registry.tags_of(1)["run"])
    kept = shutil.move(folder, tmp_path / "kept")
    try:
        with pytest.raises(InputError, match=r"fer version 1 cannot be loaded: .*No such file"):
            registry.predictor(1)
    finally:
        shutil.move(kept, folder)  # the template is shared
