"""Registered version -> gate -> alias: each decision exactly once, whatever is killed or run again."""

import contextlib
import getpass
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from fer_core.errors import InputError
from fer_core.files import digest_of
from fer_core.options.gate import GateOptions
from fer_core.promotions import Action, Aliases, Move
from infra.progress import logger
from infra.promotion_ledger import Ledger
from infra.promotion_log import now
from tasks.gate import NO_CHAMPION, judge, page_of, show_decision
from tasks.proof import doubt_of
from tasks.registry import git_commit, open_registry

UNPROVEN = "unproven"
"""The verdict on a version that is not what it says, which the gate is not asked about."""


@dataclass(frozen=True)
class Promotion:
    """What was decided on a version.

    Attributes:
        verdict: the gate's, or UNPROVEN; None where a person made it champion and the gate was never asked.
        before, after: the aliases; of a dry run, what they would be.
        page: of the decision that stands, if it was told in this home.
        seconds: it took.
    """

    model_version: int
    verdict: str | None
    reason: str
    before: Aliases
    after: Aliases
    dry_run: bool
    page: Path | None = None
    seconds: float = 0.0

    @property
    def champion(self) -> int | None:
        """Afterwards."""
        return self.after.champion

    @property
    def sentence(self) -> str:
        """What a person is told first."""
        return sentence_of(self.dry_run, f"version {self.model_version}", self.verdict, self.reason)


@task(cache_policy=NO_CACHE)
def promote_if_better(
    home: Path, model_name: str, version: int | None, gate: GateOptions, dry_run: bool = False, again: bool = False
) -> Promotion:
    """Compare a version with the champion as it is now, under a lock, and move the aliases.

    Args:
        version: None takes the challenger.
        dry_run: say what would be decided, write nothing.
        again: ask the gate although this version was rolled back, or refused against the same champion.

    Raises:
        InputError: there is no such version, or no challenger.
    """
    started = time.perf_counter()
    registry = open_registry(home, model_name)
    with registry.locked():
        made = promoted(Ledger(registry, home, dry_run), version, gate, again, flow_run.id)
    logger.info("gate      %s: %s", made.verdict, made.reason)
    if not dry_run:
        title = f"{model_name} version {made.model_version}: {made.verdict}"
        show_aliases("promotion", title, made.reason, made.before, made.after)
    against = registry.tags_of(made.model_version).get("decided_against", NO_CHAMPION)
    page = page_of(home, model_name, made.model_version, against)
    return replace(made, page=page if page.exists() else None, seconds=time.perf_counter() - started)


def sentence_of(dry_run: bool, *parts: str | None) -> str:
    """What is known of a move, in order of weight."""
    told = ": ".join(filter(None, parts))
    return f"{told} (dry run: nothing was moved)" if dry_run else told


def show_aliases(key: str, title: str, reason: str, before: Aliases, after: Aliases) -> None:
    """A Prefect artifact of what was decided."""
    rows = [f"| {name} | {was} | {getattr(after, name)} |" for name, was in vars(before).items()]
    table = "\n".join(["| alias | before | after |", "| --- | --- | --- |", *rows])
    create_markdown_artifact(key=key, markdown=f"# {title}\n\n{reason}\n\n{table}")


def promoted(
    ledger: Ledger, version: int | None, gate: GateOptions, again: bool = False, flow_run_id: str | None = None
) -> Promotion:
    """As promote_if_better, under the lock that the caller holds.

    A version that was refused against the same champion by the same gate keeps its verdict, and what this flow run
    has decided before Prefect ran it again stays decided. Where another home moves the champion while the gate
    judges, it judges again.
    """
    known = ledger.decided_in(flow_run_id, ("promote", "refuse"))
    if known is not None and version in (None, known.version):
        return _unchanged(ledger, known.version, known.verdict, known.reason)
    while True:
        aliases = ledger.aliases()
        chosen = version or aliases.challenger
        if chosen is None:
            name = ledger.registry.model_name
            raise InputError(f"model {name} has no challenger; run retrain, or name one with --version")
        standing = _standing(ledger.tags_of(chosen), chosen, aliases.champion, gate, again)
        if standing is not None:
            return _unchanged(ledger, chosen, *standing)
        move = _decided(ledger, chosen, aliases, gate, flow_run_id)
        if ledger.carry_out(move):
            return Promotion(chosen, move.verdict, move.reason, aliases, move.after, ledger.dry_run)
        logger.info("gate      the champion has moved meanwhile: version %d is judged again", chosen)


def _unchanged(ledger: Ledger, version: int, verdict: str | None, reason: str) -> Promotion:
    aliases = ledger.aliases()
    return Promotion(version, verdict, reason, aliases, aliases, ledger.dry_run)


def _standing(
    tags: dict[str, str], version: int, champion: int | None, gate: GateOptions, again: bool
) -> tuple[str | None, str] | None:
    """The verdict and the reason that stand already; None where the gate is to be asked."""
    verdict = tags.get("verdict")
    if version == champion:
        return verdict, tags.get("reason", f"version {version} is the champion")
    if again:
        return None
    if "rolled_back" in tags:
        way_out = f"`promote --version {version} --again` asks the gate once more"
        return verdict, f"version {version} was rolled back, {tags['rolled_back']}; {way_out}"
    was_refused = {"decision": "refuse", **_decided_by(champion, gate)}
    return (verdict, tags["reason"]) if was_refused.items() <= tags.items() else None


def _decided_by(champion: int | None, gate: GateOptions) -> dict[str, str]:
    """The tags that say what a decision depends on beside the version."""
    checks = {name: getattr(gate, name) for name in GateOptions.model_fields}
    return {"decided_against": str(champion or NO_CHAMPION), "gate": digest_of(checks)}


def _decided(ledger: Ledger, version: int, aliases: Aliases, gate: GateOptions, flow_run_id: str | None) -> Move:
    at = now()
    verdict, reason, said = _judged(ledger, version, aliases.champion, gate)
    told = {"verdict": verdict, "reason": reason, "decision": said, "decided_at": at}
    tags: dict[str, str | None] = {**told, **_decided_by(aliases.champion, gate)}
    action: Action = "refuse"
    after = replace(aliases, challenger=version)
    if said == "promote":
        action = "promote"
        challenger = None if aliases.challenger == version else aliases.challenger
        after = Aliases(champion=version, challenger=challenger, previous=aliases.champion)
        tags |= {"promoted_at": at, "rolled_back": None}
    changes = tuple((version, name, value) for name, value in tags.items())
    return new_move(action, version, (aliases, after), changes, verdict, reason, flow_run_id)


def _judged(ledger: Ledger, version: int, champion: int | None, gate: GateOptions) -> tuple[str, str, str]:
    """Verdict, reason, and what is to be done: promote, refuse or UNPROVEN."""
    doubt = doubt_of(ledger.registry, version)
    if doubt is not None:
        return UNPROVEN, f"cannot be proven: {doubt}", UNPROVEN
    decision = judge(ledger.registry, version, champion, gate)
    if not ledger.dry_run:  # first, as nothing asks for it again once the decision stands
        show_decision(ledger.registry, ledger.home, version, champion, decision)
    return decision.verdict, decision.reason, "promote" if decision.promote else "refuse"


def new_move(
    action: Action,
    version: int,
    aliases: tuple[Aliases, Aliases],
    tags: tuple[tuple[int, str, str | None], ...],
    verdict: str | None,
    reason: str,
    flow_run_id: str | None,
) -> Move:
    """A move that is made now, by this user and this code.

    Args:
        aliases: before and after.
    """
    user = None
    with contextlib.suppress(OSError, KeyError):  # a container's user may have no name
        user = getpass.getuser()
    return Move(
        uuid.uuid4().hex, now(), action, version, *aliases, tags, verdict, reason, flow_run_id, user, git_commit()
    )
