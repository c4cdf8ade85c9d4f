"""The options of the score command."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fer_core.datasets.folders import refuse_inside, require_folder
from fer_core.options.home import HomeOptions
from fer_core.scoring.sources import FORM, open_source


def check_source(home: Path, source: str, every: float | None) -> None:
    """Raise InputError unless pictures can be taken from a source, and what is written does not get among them.

    Raises:
        InputError: as scoring.sources.open_source, or the home lies in the source.
    """
    if os.path.isdir(source):
        refuse_inside("--home", home, Path(source))
    open_source(source, every)


class ScoreOptions(HomeOptions):
    """Pictures, or landmarks of faces -> what a registered model says of them."""

    task: Literal["pictures", "landmarks", "verification"] = Field(
        "pictures",
        description="pictures, landmarks: what the model says of each; verification: whether the two of each pair show "
        "one person",
    )
    source: str | None = Field(
        None, description=f"{FORM}; of --pairs, the folder that their paths begin at (unset: that file's)"
    )
    every: float | None = Field(None, ge=0.01, description="seconds between the frames of videos; unset: no videos")
    pairs: Path | None = Field(
        None, description="csv with the columns first and second (paths) and, where it is known, same (0 or 1)"
    )
    landmarks: Path | None = Field(
        None,
        description="csv or Parquet file of faces for a model of landmarks: columns landmarks (x0, y0, z0, x1, ..., y "
        "downwards) and, where known, name, pose_yaw, neutral_landmarks and neutral_pose_yaw",
    )
    model_name: str = Field("fer", pattern=r"^[A-Za-z0-9_-]+$", description="name in the registry")
    version: int | None = Field(None, ge=1, description="of the model; unset: the champion")
    far: float = Field(
        0.01, gt=0, lt=1, description="of verification: the share of pairs of different people that may be accepted"
    )

    @model_validator(mode="after")
    def _pairs_are_for_verification(self) -> Self:
        if self.task == "verification" and self.pairs is None:
            raise ValueError("--task verification needs --pairs FILE, a csv with the columns first and second")
        if self.task == "pictures" and self.pairs is not None:
            raise ValueError("--pairs FILE is for --task verification, which is not given")
        if self.pairs is not None and not self.pairs.is_file():
            raise ValueError(f"--pairs {self.pairs} does not exist or is not a file")
        return self

    @model_validator(mode="after")
    def _landmarks_are_for_landmarks(self) -> Self:
        if (self.task == "landmarks") != (self.landmarks is not None):
            raise ValueError("--task landmarks and --landmarks FILE go together")
        if self.landmarks is not None and not self.landmarks.is_file():
            raise ValueError(f"--landmarks {self.landmarks} does not exist or is not a file")
        if self.landmarks is not None and (self.source or self.pairs):
            raise ValueError("--source and --pairs are of pictures; --task landmarks reads --landmarks FILE alone")
        return self

    @model_validator(mode="after")
    def _source_can_be_read(self) -> Self:
        if self.task == "pictures" and self.source is None:
            raise ValueError(f"--source is missing: {FORM}")
        if self.task != "pictures" and self.every is not None:
            raise ValueError("--every is for --task pictures: it takes frames out of videos")
        if self.source is not None and self.task == "pictures":
            check_source(self.home, self.source, self.every)
        if self.source is not None and self.pairs is not None:
            require_folder(Path(self.source), "the folder that the paths of --pairs begin at")
            refuse_inside("--home", self.home, Path(self.source))
        return self

    @property
    def folder(self) -> Path:
        """What the paths of pairs begin at."""
        assert self.pairs is not None
        return self.pairs.absolute().parent if self.source is None else Path(self.source)
