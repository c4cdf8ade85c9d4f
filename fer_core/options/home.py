"""The options that every command takes, and those of commands that look after a home rather than fill it."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from fer_core.options.base import Frozen, at_most_one
from fer_core.options.gate import GateOptions


class HomeOptions(Frozen):
    """What every command takes."""

    home: Path = Field(Path(".fer"), description="folder that holds everything a run writes (env FER_HOME)")
    config: Path | None = Field(None, description="YAML file of options; the command line goes before it")
    json_: bool = Field(False, alias="json", description="print one JSON object as the last line of stdout")
    verbose: bool = Field(False, description="show the engines' own logs and tracebacks")

    def told(self, only_changed: bool = False) -> dict[str, Any]:
        """The options that say what is run, as JSON: without these, and on wish without those at their default."""
        own = set(HomeOptions.model_fields)
        return self.model_dump(mode="json", exclude=own, exclude_defaults=only_changed)


class PromoteOptions(HomeOptions, GateOptions):
    """Registered version -> champion, if it is better."""

    model_name: str = Field("fer", pattern=r"^[A-Za-z0-9_-]+$", description="name in the registry")
    version: int | None = Field(None, ge=1, description="unset: the newest challenger")
    again: bool = Field(
        False, description="ask the gate although --version was rolled back, or refused against this champion"
    )
    dry_run: bool = Field(False, description="say what would happen, change nothing")

    @model_validator(mode="after")
    def _again_is_of_one(self) -> Self:
        if self.again and self.version is None:
            raise ValueError("--again is of one version: name it with --version")
        return self


class RollbackOptions(HomeOptions):
    """Champion -> the champion before it."""

    model_name: str = Field("fer", pattern=r"^[A-Za-z0-9_-]+$", description="name in the registry")
    to: int | None = Field(None, ge=1, description="version that was champion once; unset: the champion before this")
    reason: str = Field("", max_length=1000, description="noted in the log and on the version")
    dry_run: bool = Field(False, description="say what would happen, change nothing")


class DirectoriesOptions(HomeOptions):
    """The data set directories of a home: what is there, whether it is whole, and what may go."""

    verify: bool = Field(False, description="compare every file with its manifest and name the damage; exit code 1")
    remove: bool = Field(False, description="delete what nothing uses; asks first")
    dry_run: bool = Field(False, description="say what --remove would delete, and delete nothing")
    yes: bool = Field(False, description="with --remove: do not ask")
    older_than: float = Field(
        7, ge=0, description="days: what was made or used since stays, and what that is made from"
    )
    evaluations: bool = Field(
        False, description="delete unregistered evaluations, audits and scores too, and what only they use"
    )

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        at_most_one(self, "verify", "remove")
        at_most_one(self, "verify", "dry_run")
        if self.yes and not self.remove:
            raise ValueError("--yes answers for --remove, which is not given")
        if not self.home.is_dir():
            raise ValueError(f"--home {self.home} does not exist: there is nothing to list")
        return self
