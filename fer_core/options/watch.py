"""The options of the watch command: those of retrain, which it may start, and its own."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fer_core.drift.two_samples import LEAST_ALPHA
from fer_core.options.stages import RetrainOptions
from fer_core.options.text import suggestion


class WatchOptions(RetrainOptions):
    """Source and scored pictures -> retrain, where either has changed."""

    scores: str = Field(
        "latest",
        description="folder that score has written; latest: all that the champion has scored since watch last looked",
    )
    group_by: Literal["picture", "folder"] = Field(
        "picture",
        description="what of the scored pictures is one person or occasion, and counts as one: each picture (frames of "
        "a video are together), or all of a folder",
    )
    alpha: float = Field(
        0.01, ge=LEAST_ALPHA, le=0.2, description="how often both tests of drift together may fire where there is none"
    )
    retrain_by: Literal["flow", "event"] = Field(
        "flow", description="flow: here and now; event: the Prefect server is told, and starts its deployment retrain"
    )
    dry_run: bool = Field(False, description="say what would fire; write, remember and start nothing")

    @model_validator(mode="after")
    def _scores_are_there(self) -> Self:
        if self.scores != "latest" and not Path(self.scores).is_dir():
            choices = [path.as_posix() for path in (self.home / "scores").glob("[!.]*")]
            raise ValueError(f"--scores {self.scores} is no folder; {suggestion(self.scores, ['latest', *choices])}")
        return self

    @property
    def retraining(self) -> RetrainOptions:
        """What retrain is run with: the same as if it had been asked for itself."""
        own = self.model_dump(include=set(RetrainOptions.model_fields), exclude_unset=True, by_alias=True)
        return RetrainOptions.model_validate(own)
