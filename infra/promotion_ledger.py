"""Aliases and tags of a model's versions, changed by moves that are logged first: no kill leaves half a move."""

from dataclasses import replace
from pathlib import Path

from fer_core.errors import InputError
from fer_core.promotions import Action, Aliases, Move, champions_of
from infra.mlflow_engine import CHALLENGER, CHAMPION, PREVIOUS, Registry
from infra.progress import logger
from infra.promotion_log import PromotionLog, log_file


class Ledger:
    """Made and used under the registry's lock; what an earlier process left half done is carried out first.

    The lock is of the home. Where several homes share a team's MLflow server they do not wait for each other: a move
    is carried out only if the champion is still the one it was decided against, which is read again right before.
    What this does not cover is two homes that both read it before either has moved it, within a few milliseconds:
    MLflow cannot compare and set, so the later of the two stands, and both logs say so.

    Args:
        home: where the log is.
        dry_run: nothing is written; what an earlier process left half done is taken as carried out.
    """

    def __init__(self, registry: Registry, home: Path, dry_run: bool = False) -> None:
        self.registry, self.home, self.dry_run = registry, home, dry_run
        self._log = PromotionLog(log_file(home, registry.model_name))
        left = self._log.unfinished()
        self._foreseen = self._without_deleted(left) if dry_run and left is not None and self._can(left) else None
        if left is not None and not dry_run:
            logger.info("promotion  what was cut off at %s is carried out: %s", left.time, left.action)
            self._finish(left)

    def aliases(self) -> Aliases:
        """As they are now."""
        return self.registry.aliases() if self._foreseen is None else self._foreseen.after

    def tags_of(self, version: int) -> dict[str, str]:
        """The tags of a version.

        Raises:
            InputError: there is no such version.
        """
        tags: dict[str, str | None] = {**self.registry.tags_of(version)}
        if self._foreseen is not None:
            tags |= {name: value for at, name, value in self._foreseen.tags if at == version}
        return {name: value for name, value in tags.items() if value is not None}

    def champions(self) -> list[int]:
        """The champions that lead to this one, as promotions.champions_of, without versions that were deleted."""
        return [version for version in champions_of(self._moves(), self.aliases()) if self._is_there(version)]

    def has_been_champion(self, version: int) -> bool:
        """Whether the log or the alias `previous` says so."""
        logged = {at.champion for move in self._moves() for at in (move.before, move.after)}
        return version in logged or version == self.aliases().previous

    def decided_in(self, flow_run: str | None, actions: tuple[Action, ...]) -> Move | None:
        """What this flow run has done already, before Prefect ran it again; None outside of flows."""
        own = [move for move in self._moves() if move.flow_run == flow_run and move.action in actions]
        return own[-1] if own and flow_run is not None else None

    def carry_out(self, move: Move) -> bool:
        """Log it, move the aliases and then the tags, log that it is done.

        Returns:
            False, and nothing is changed: the champion is no longer that of `move.before`.
        """
        if self.dry_run:
            return True
        self._log.begin(move)
        return self._finish(move)

    def _moves(self) -> list[Move]:
        return self._log.done() + ([] if self._foreseen is None else [self._foreseen])

    def _finish(self, move: Move) -> bool:
        """Each change may have been made already."""
        can = self._can(move)
        if can:
            left = self._without_deleted(move)
            for alias in (CHAMPION, PREVIOUS, CHALLENGER):
                self.registry.set_alias(alias, getattr(left.after, alias))
            for version, name, value in left.tags:
                self.registry.set_tag(version, name, value)
        self._log.end(move, "done" if can else "abandoned")
        return can

    def _can(self, move: Move) -> bool:
        """Whether its champion is there, and the alias is where it takes it from, or to."""
        before, after = move.before.champion, move.after.champion
        return (after is None or self._is_there(after)) and self.registry.aliases().champion in (before, after)

    def _without_deleted(self, move: Move) -> Move:
        """What of a move that can be carried out is about versions that are there."""
        named = {move.after.challenger, move.after.previous, *(version for version, _, _ in move.tags)} - {None}
        gone = {version for version in named if version is not None and not self._is_there(version)}
        challenger, previous = (
            None if version in gone else version for version in (move.after.challenger, move.after.previous)
        )
        after = replace(move.after, challenger=challenger, previous=previous)
        return replace(move, after=after, tags=tuple(tag for tag in move.tags if tag[0] not in gone))

    def _is_there(self, version: int) -> bool:
        try:
            self.registry.tags_of(version)
        except InputError:
            return False
        return True
