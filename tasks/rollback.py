"""Champion -> the champion before it, in one command and once."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from fer_core.errors import InputError
from fer_core.promotions import Aliases, cut_back
from infra.progress import logger
from infra.promotion_ledger import Ledger
from infra.promotion_log import now
from tasks.promotion import new_move, sentence_of, show_aliases
from tasks.registry import open_registry


@dataclass(frozen=True)
class Rollback:
    """What was rolled back.

    Attributes:
        rolled_back: the version that was champion before.
        before, after: the aliases; of a dry run, what they would be.
        seconds: it took.
    """

    rolled_back: int
    reason: str
    before: Aliases
    after: Aliases
    dry_run: bool
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """What a person is told first."""
        moved = f"version {self.rolled_back} -> version {self.after.champion}"
        return sentence_of(self.dry_run, moved, self.reason)


@task(cache_policy=NO_CACHE)
def roll_back(home: Path, model_name: str, to: int | None, reason: str, dry_run: bool = False) -> Rollback:
    """Make an earlier champion the champion again, under a lock.

    Args:
        to: None takes the champion before this one.
        reason: noted in the log and on the version that is rolled back from.
        dry_run: say what would be done, write nothing.

    Raises:
        InputError: there is no champion, none before it, the named version has never been one, or the one to go back
            to cannot be loaded any more.
    """
    started = time.perf_counter()
    registry = open_registry(home, model_name)
    with registry.locked():
        made = rolled_back(Ledger(registry, home, dry_run), to, reason, flow_run.id)
    logger.info("rollback  version %d -> version %d", made.rolled_back, made.after.champion)
    if not dry_run:
        title = f"{model_name} version {made.rolled_back} was rolled back"
        show_aliases("rollback", title, made.reason, made.before, made.after)
    return replace(made, seconds=time.perf_counter() - started)


def rolled_back(ledger: Ledger, to: int | None, reason: str, flow_run_id: str | None = None) -> Rollback:
    """As roll_back, under the lock that the caller holds; a flow run that Prefect runs again rolls back once."""
    aliases = ledger.aliases()
    known = ledger.decided_in(flow_run_id, ("rollback",))
    if known is not None:
        return Rollback(known.version, known.reason, aliases, aliases, ledger.dry_run)
    left = aliases.champion
    if left is None:
        raise InputError(f"model {ledger.registry.model_name} has no champion, so there is nothing to roll back")
    champions = ledger.champions()
    target = _target(ledger, to, left, champions)
    _require_usable(ledger, target)
    kept = cut_back(champions, target)
    challenger = None if aliases.challenger == target else aliases.challenger
    after = Aliases(target, challenger, kept[-2] if len(kept) > 1 else None)
    tags = ((left, "rolled_back", f"{now()} {reason}".strip()), (target, "rolled_back", None))
    if not ledger.carry_out(new_move("rollback", left, (aliases, after), tags, None, reason, flow_run_id)):
        raise InputError(f"the champion of {ledger.registry.model_name} has moved meanwhile; look, and run again")
    return Rollback(left, reason, aliases, after, ledger.dry_run)


def _target(ledger: Ledger, to: int | None, champion: int, champions: list[int]) -> int:
    name = ledger.registry.model_name
    if to is None:
        before = champions[-2] if len(champions) > 1 else ledger.aliases().previous
        if before in (None, champion):
            raise InputError(f"model {name} has no champion before version {champion} to roll back to")
        return before
    ledger.tags_of(to)
    if to == champion:
        raise InputError(f"--to {to}: it is the champion of {name} already")
    if not ledger.has_been_champion(to):
        raise InputError(f"--to {to}: it has never been the champion of {name}; `promote --version {to}` asks the gate")
    return to


def _require_usable(ledger: Ledger, target: int) -> None:
    try:
        ledger.registry.predictor(target)
    except InputError as error:
        raise InputError(f"{error}; nothing was rolled back: name another earlier champion by --to") from error
