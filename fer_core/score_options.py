"""The options of the score command."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fer_core.datasets.folders import refuse_inside, require_folder
from fer_core.home_options import HomeOptions


class ScoreOptions(HomeOptions):
    """Pictures, or landmarks of faces -> what a registered model says of them."""

    task: Literal["pictures", "landmarks", "verification"] = Field(
        "pictures",
        description="pictures, landmarks: what the model says of each; verification: whether the two of each pair show "
        "one person",
    )
    source: Path | None = Field(
        None, description="folder of pictures, at any depth; of --pairs, what their paths begin at (unset: its folder)"
    )
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
    def _source_is_a_folder(self) -> Self:
        if self.task == "pictures" and self.source is None:
            raise ValueError("--source is missing: score reads every picture below that folder")
        if self.source is not None:
            require_folder(self.source, "a folder of pictures, at any depth")
            refuse_inside("--home", self.home, self.source)
        return self

    @property
    def folder(self) -> Path:
        """What the paths of pictures begin at."""
        folder = self.source or (self.pairs and self.pairs.absolute().parent)
        assert folder is not None
        return folder
