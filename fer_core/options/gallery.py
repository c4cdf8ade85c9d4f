"""The options of the commands that look through faces by their embeddings."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fer_core.options.base import at_most_one
from fer_core.options.score import check_source
from fer_core.options.serve import ServedOptions
from fer_core.scoring.sources import FORM


class GalleryOptions(ServedOptions):
    """Which model, and which faces."""

    source: str | None = Field(
        None, description=f"the faces to look through: {FORM}; they are scored first. Unset: the model's training faces"
    )
    every: float | None = Field(None, ge=0.01, description="seconds between the frames of videos; unset: no videos")
    gallery: Path | None = Field(None, description="instead of --source, a directory that `score` has written")

    @model_validator(mode="after")
    def _gallery_can_be_read(self) -> Self:
        at_most_one(self, "source", "gallery")
        if self.source is None and self.every is not None:
            raise ValueError("--every takes frames out of the videos of --source, which is not given")
        if self.source is not None:
            check_source(self.home, self.source, self.every)
        if self.gallery is not None and not self.gallery.is_dir():
            raise ValueError(f"--gallery {self.gallery} does not exist; give a directory below HOME/scores")
        return self


class RetrieveOptions(GalleryOptions):
    """Picture -> the faces whose expressions are nearest to its own."""

    query: Path = Field(description="the picture, of one face")
    k: int = Field(10, ge=1, le=100, description="faces to show")

    @model_validator(mode="after")
    def _query_is_a_file(self) -> Self:
        if not self.query.is_file():
            raise ValueError(f"--query {self.query} does not exist or is not a file")
        return self


class AlbumOptions(GalleryOptions):
    """Pictures -> groups of like expressions, each with its medoid and the faces nearest to it."""

    groups: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="auto: the model's sub-classes of each expression; a number: so many by k-means"
    )
    k: int = Field(8, ge=1, le=100, description="faces of a group to show")
