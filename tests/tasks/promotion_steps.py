"""Promotions in this process by a gate that goes by a table, cut off at any step, and what they leave."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fer_core.options.gate import GateOptions
from infra.mlflow_engine import Registry, store_file
from infra.promotion_ledger import Ledger
from infra.promotion_log import PromotionLog, log_file
from tasks import promotion, rollback
from tasks.promotion import Promotion, promoted
from tasks.registry import open_registry
from tasks.rollback import Rollback, rolled_back

NOISE = 2
SKILL = {1: 10, 2: 20, 3: 21}
"""By version: 2 and 3 are each better than 1, and not than each other."""


class Cut(BaseException):
    """What a kill is."""


def judge_by_skill(registry: Registry, version: int, champion: int | None, options: GateOptions) -> Any:
    gain = SKILL[version] - SKILL.get(champion or 0, 0)
    verdict = "first" if champion is None else "improved" if gain > NOISE else "within noise"
    return SimpleNamespace(verdict=verdict, promote=verdict != "within noise", reason=f"{gain} more than {champion}")


def use_table(patch: pytest.MonkeyPatch) -> None:
    """The gate goes by SKILL, files are not looked at, and the clock stands still, so that states can be compared.

    The versions of the template are no models that can be loaded.
    """
    patch.setattr(Registry, "predictor", lambda registry, version: None)
    patch.setattr(promotion, "judge", judge_by_skill)
    patch.setattr(promotion, "doubt_of", lambda registry, version: None)
    patch.setattr(promotion, "show_decision", lambda *_: None)
    for module in (promotion, rollback):
        patch.setattr(module, "now", lambda: "2026-01-01T00:00:00+00:00")


def promote(home: Path, version: int | None, flow_run: str | None = None, **wishes: bool) -> Promotion:
    registry = open_registry(home, "fer")
    with registry.locked():
        ledger = Ledger(registry, home, wishes.pop("dry_run", False))
        return promoted(ledger, version, GateOptions(), flow_run_id=flow_run, **wishes)


def roll_back(home: Path, to: int | None = None, flow_run: str | None = None, dry_run: bool = False) -> Rollback:
    registry = open_registry(home, "fer")
    with registry.locked():
        return rolled_back(Ledger(registry, home, dry_run), to, "it errs", flow_run)


def aliases(home: Path) -> tuple[int | None, int | None, int | None]:
    """Champion, challenger, previous."""
    now = open_registry(home, "fer").aliases()
    return now.champion, now.challenger, now.previous


def decisions(home: Path) -> list[tuple[str, int]]:
    return [(move.action, move.version) for move in PromotionLog(log_file(home, "fer")).done()]


def stored(home: Path) -> list[str]:
    """Every row of the registry's database."""
    with sqlite3.connect(store_file(home)) as store:
        rows = list(store.iterdump())
    store.close()
    return sorted(row for row in rows if "model_version_tags" in row or "registered_model_aliases" in row)


def logged(home: Path) -> list[dict[str, Any]]:
    file = log_file(home, "fer")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def cut_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Raise Cut after so many writes; of a line of the log, half is written."""
    left = steps

    def limited(write: Callable[..., None], tear: Callable[..., None] | None = None) -> Callable[..., None]:
        def step(*arguments: Any) -> None:
            nonlocal left
            if left == 0:
                if tear is not None:
                    tear(*arguments)
                raise Cut
            left -= 1
            write(*arguments)

        return step

    def tear(log: PromotionLog, values: dict[str, Any]) -> None:
        line = json.dumps(values).encode()
        with log._file.open("ab") as file:
            file.write(line[: len(line) // 2])

    patch.setattr(PromotionLog, "_append", limited(PromotionLog._append, tear))
    patch.setattr(Registry, "set_tag", limited(Registry.set_tag))
    patch.setattr(Registry, "set_alias", limited(Registry.set_alias))


def run_until(monkeypatch: pytest.MonkeyPatch, steps: int, run: Callable[[], Any]) -> None:
    """Run until it is cut off after so many writes."""
    with monkeypatch.context() as patch:
        cut_after(patch, steps)
        with pytest.raises(Cut):
            run()
