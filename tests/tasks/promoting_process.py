"""Promotes in a process of its own: each line on stdin is HOME VERSION, or HOME VERSION die.

It says HOME/judging-VERSION when it judges. With `die` it ends, as if killed, when it is to move the champion.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import promotion_steps
import pytest

from infra.mlflow_engine import CHAMPION, Registry
from tasks import promotion

set_alias = Registry.set_alias


def run(patch: pytest.MonkeyPatch, home: Path, version: int, die: bool) -> None:
    def judge_slowly(*arguments: Any) -> Any:
        (home / f"judging-{version}").touch()
        time.sleep(1)  # the other one comes to the lock meanwhile
        return promotion_steps.judge_by_skill(*arguments)

    def set_or_die(registry: Registry, alias: str, to: int | None) -> None:
        if die and alias == CHAMPION:
            os._exit(9)
        set_alias(registry, alias, to)

    patch.setattr(promotion, "judge", judge_slowly)
    patch.setattr(Registry, "set_alias", set_or_die)
    promotion_steps.promote(home, version)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        promotion_steps.use_table(patch)
        for line in sys.stdin:
            folder, number, *die = line.split()
            run(patch, Path(folder), int(number), bool(die))
            print("done", flush=True)
