"""Decisions on a model's versions, and which champions lead to the one of now."""

from dataclasses import dataclass
from typing import Literal

Action = Literal["promote", "refuse", "rollback"]


@dataclass(frozen=True)
class Aliases:
    """The versions that a model's aliases point at; None: the alias is not set."""

    champion: int | None = None
    challenger: int | None = None
    previous: int | None = None


@dataclass(frozen=True)
class Move:
    """One decision and all that it changes.

    Attributes:
        id: of the decision; letters and digits.
        time: ISO 8601, UTC.
        version: that was decided on: promoted, refused, or rolled back from.
        before, after: the aliases.
        tags: (version, name, value) of each tag that is set; a value of None drops it.
        verdict: the gate's; None of a rollback.
        reason: the gate's, or the person's who rolled back.
        flow_run: id of the Prefect flow run, if it was one.
        user: who ran it, as far as the machine knows.
        git_commit: of the code that decided.
    """

    id: str
    time: str
    action: Action
    version: int
    before: Aliases
    after: Aliases
    tags: tuple[tuple[int, str, str | None], ...]
    verdict: str | None
    reason: str
    flow_run: str | None
    user: str | None
    git_commit: str


def champions_of(moves: list[Move], aliases: Aliases) -> list[int]:
    """The champions that lead to the one of `aliases`, the first first; a rollback takes those after it away.

    Where the aliases are not those that a move left (another home moved them, or a person), what came before is not
    known but for the alias `previous`.
    """
    champions: list[int] = []
    for move in moves:
        champions = _followed(champions, move.before)
        to = move.after.champion
        if move.action == "promote" and to is not None:
            champions = [*champions, to]
        elif move.action == "rollback" and to is not None:
            champions = cut_back(champions, to)
    return _followed(champions, aliases)


def cut_back(champions: list[int], to: int) -> list[int]:
    """The champions that lead to the one that is rolled back to; the one that is rolled back from is not among them."""
    return [*(champions[: champions.index(to)] if to in champions else champions[:-1]), to]


def _followed(champions: list[int], aliases: Aliases) -> list[int]:
    if champions[-1:] == [aliases.champion]:
        return champions
    known = [version for version in (aliases.previous, aliases.champion) if version is not None]
    return known if aliases.champion is not None else []
