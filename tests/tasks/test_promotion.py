"""Promotion and rollback exactly once: kills at every step, retries, other homes, dry runs; in a real registry."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import promotion_steps
import pytest
from promotion_fixtures import home as home
from promotion_fixtures import template as template
from promotion_steps import aliases, cut_after, decisions, logged, promote, roll_back, run_until, stored

from fer_core.errors import InputError
from infra.mlflow_engine import store_file
from infra.promotion_log import log_file
from tasks import promotion
from tasks.registry import open_registry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy
]
PROJECT = Path(__file__).parents[2]
Process = subprocess.Popen[str]
PROMOTION_STEPS, ROLLBACK_STEPS = 13, 7
"""Two lines of the log, three aliases, and eight tags or two."""


@pytest.fixture(autouse=True)
def by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    promotion_steps.use_table(monkeypatch)


def always_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion_steps, "NOISE", -100)


def test_the_better_one_is_promoted_and_the_other_stays_challenger(home: Path) -> None:
    assert promote(home, 1).verdict == "first"
    assert aliases(home) == (1, None, None)
    made = promote(home, 2)
    assert (made.verdict, made.champion, made.before.champion, made.reason) == ("improved", 2, 1, "10 more than 1")
    assert aliases(home) == (2, None, 1)
    made = promote(home, 3)
    assert (made.verdict, made.champion) == ("within noise", 2)
    assert aliases(home) == (2, 3, 1)
    tags = open_registry(home, "fer").tags_of(3)
    assert (tags["verdict"], tags["decision"], tags["decided_against"]) == ("within noise", "refuse", "2")
    assert "promoted_at" in open_registry(home, "fer").tags_of(2)
    assert decisions(home) == [("promote", 1), ("promote", 2), ("refuse", 3)]


def test_what_was_decided_against_the_same_champion_stands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in (1, 2, 3):
        promote(home, version)
    before = log_file(home, "fer").read_bytes(), stored(home)
    always_better(monkeypatch)
    assert promote(home, 3).verdict == "within noise"
    assert promote(home, None).model_version == 3
    assert promote(home, 2).verdict == "improved"
    assert (log_file(home, "fer").read_bytes(), stored(home)) == before
    assert promote(home, 3, again=True).champion == 3


def test_another_gate_decides_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in (1, 2, 3):
        promote(home, version)
    always_better(monkeypatch)
    monkeypatch.setattr(promotion_steps, "GateOptions", lambda: promotion.GateOptions(class_margin=0.5))
    assert promote(home, 3).champion == 3


@pytest.mark.parametrize("steps", range(PROMOTION_STEPS))
def test_a_promotion_that_is_cut_off_at_a_step_is_there_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    promote(home, 1)
    run_until(monkeypatch, steps, lambda: promote(home, 2))
    assert aliases(home)[0] in {1, 2}
    assert promote(home, 2).champion == 2
    assert aliases(home) == (2, None, 1)
    assert decisions(home) == [("promote", 1), ("promote", 2)]
    tags = open_registry(home, "fer").tags_of(2)
    assert (tags["verdict"], tags["reason"], tags["decided_against"]) == ("improved", "10 more than 1", "1")
    assert tags["promoted_at"]


@pytest.mark.parametrize("steps", range(ROLLBACK_STEPS))
def test_a_rollback_that_is_cut_off_at_a_step_is_there_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    promote(home, 1)
    promote(home, 2)
    run_until(monkeypatch, steps, lambda: roll_back(home, flow_run="night"))
    assert aliases(home)[0] in {1, 2}
    assert roll_back(home, flow_run="night").rolled_back == 2
    assert aliases(home) == (1, None, None)
    assert decisions(home) == [("promote", 1), ("promote", 2), ("rollback", 2)]
    assert "rolled_back" in open_registry(home, "fer").tags_of(2)


def test_these_are_all_the_steps(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(home, 1)
    with monkeypatch.context() as patch:
        cut_after(patch, PROMOTION_STEPS)
        promote(home, 2)
    with monkeypatch.context() as patch:
        cut_after(patch, ROLLBACK_STEPS)
        roll_back(home)


@pytest.mark.parametrize("steps", [1, 6, 11, 12])
def test_a_rollback_after_a_promotion_that_was_cut_off_undoes_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    promote(home, 1)
    run_until(monkeypatch, steps, lambda: promote(home, 2))
    made = roll_back(home)
    assert (made.rolled_back, made.after.champion) == (2, 1)
    assert aliases(home) == (1, None, None)
    assert decisions(home) == [("promote", 1), ("promote", 2), ("rollback", 2)]


def test_a_flow_run_that_is_run_again_does_nothing_twice(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    always_better(monkeypatch)
    for version in (1, 2, 3):
        promote(home, version)
    assert roll_back(home, flow_run="night").rolled_back == 3
    again = roll_back(home, flow_run="night")
    assert (again.rolled_back, again.after.champion) == (3, 2)
    assert promote(home, 3, flow_run="day", again=True).champion == 3
    assert roll_back(home).after.champion == 2
    assert promote(home, 3, flow_run="day", again=True).champion == 2
    assert aliases(home)[0] == 2
    assert roll_back(home, flow_run="next night").after.champion == 1


def test_rollbacks_go_back_one_after_the_other(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    always_better(monkeypatch)
    for version in (1, 2, 3):
        promote(home, version)
    assert roll_back(home).after.champion == 2
    assert aliases(home) == (2, None, 1)
    assert roll_back(home).after.champion == 1
    assert aliases(home) == (1, None, None)
    with pytest.raises(InputError, match="no champion before version 1"):
        roll_back(home)
    tags = [open_registry(home, "fer").tags_of(version) for version in (1, 2, 3)]
    assert ["rolled_back" in own for own in tags] == [False, True, True]
    assert tags[2]["rolled_back"] == "2026-01-01T00:00:00+00:00 it errs"


def test_rollback_to_a_version(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="has no champion"):
        roll_back(home)
    always_better(monkeypatch)
    promote(home, 1)
    promote(home, 2)
    with pytest.raises(InputError, match="has no version 9"):
        roll_back(home, to=9)
    with pytest.raises(InputError, match="it is the champion of fer already"):
        roll_back(home, to=2)
    with pytest.raises(InputError, match="has never been the champion of fer"):
        roll_back(home, to=3)
    promote(home, 3)
    assert roll_back(home, to=1).after.previous is None
    assert roll_back(home, to=3).rolled_back == 1
    assert aliases(home) == (3, None, None)
    assert "rolled_back" not in open_registry(home, "fer").tags_of(3)


def test_what_was_rolled_back_is_not_promoted_unless_asked(home: Path) -> None:
    promote(home, 1)
    promote(home, 2)
    roll_back(home)
    before = log_file(home, "fer").read_bytes(), stored(home)
    made = promote(home, 2)
    assert made.champion == 1
    assert "version 2 was rolled back, 2026-01-01T00:00:00+00:00 it errs" in made.reason
    assert "--version 2 --again" in made.reason
    assert (log_file(home, "fer").read_bytes(), stored(home)) == before
    assert promote(home, 2, again=True).champion == 2
    assert "rolled_back" not in open_registry(home, "fer").tags_of(2)


def test_dry_runs_say_what_would_happen_and_write_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(home, 1)
    run_until(monkeypatch, 1, lambda: promote(home, 2))
    before = log_file(home, "fer").read_bytes(), stored(home)
    promised = promote(home, 3, dry_run=True)
    assert (promised.before.champion, promised.verdict) == (2, "within noise")
    assert roll_back(home, dry_run=True).rolled_back == 2
    assert (log_file(home, "fer").read_bytes(), stored(home)) == before
    assert aliases(home) == (1, None, None)
    assert replace(promote(home, 3), dry_run=True) == promised
    assert roll_back(home, dry_run=True).after == roll_back(home).after


def test_a_champion_that_another_home_moves_meanwhile_is_judged_against(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(home, 1)
    other = tmp_path_factory.mktemp("other")
    judged = []

    def judge_slowly(*arguments: Any) -> Any:
        judged.append(arguments[2])
        if len(judged) == 1:  # while it judges, the first home promotes
            with monkeypatch.context() as patch:
                patch.delenv("MLFLOW_TRACKING_URI")
                patch.setattr(promotion, "judge", promotion_steps.judge_by_skill)
                promote(home, 2)
        return promotion_steps.judge_by_skill(*arguments)

    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_file(home)}")
        patch.setattr(promotion, "judge", judge_slowly)
        made = promote(other, 3)
    assert judged == [1, 2]
    assert (made.verdict, made.champion) == ("within noise", 2)
    assert aliases(home) == (2, 3, 1)
    assert [line["state"] for line in logged(other)] == ["intended", "abandoned", "intended", "done"]


@pytest.fixture(scope="module")
def processes() -> Iterator[list[Process]]:
    """Two that promote at once."""
    script = Path(__file__).with_name("promoting_process.py")
    command = [sys.executable, str(script)]
    started = [
        subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    yield started
    for process in started:
        process.communicate()


def tell(process: Process, *words: object) -> None:
    assert process.stdin is not None
    process.stdin.write(" ".join(map(str, words)) + "\n")
    process.stdin.flush()


def answer(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize(("first", "second"), [(2, 3), (3, 2)])
def test_of_two_promotions_at_once_one_is_champion(
    home: Path, processes: list[Process], first: int, second: int
) -> None:
    promote(home, 1)
    one, other = processes
    tell(one, home, first)
    while not (home / f"judging-{first}").exists():
        assert one.poll() is None
        time.sleep(0.02)
    tell(other, home, second)
    assert answer(one) == answer(other) == "done\n"
    assert aliases(home) == (first, second, 1)
    assert decisions(home) == [("promote", 1), ("promote", first), ("refuse", second)]


def test_a_killed_process_gives_the_lock_up(home: Path, processes: list[Process]) -> None:
    promote(home, 1)
    tell(processes[0], home, 2, "die")
    assert answer(processes[0]) == ""
    assert processes[0].wait(timeout=100) == 9
    assert [line["state"] for line in logged(home)] == ["intended", "done", "intended"]
    assert promote(home, 2).verdict == "improved"
    assert decisions(home) == [("promote", 1), ("promote", 2)]
