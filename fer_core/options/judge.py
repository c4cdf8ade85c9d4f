"""The options of the command that asks people which expressions look alike."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from fer_core.options.home import HomeOptions


class JudgeOptions(HomeOptions):
    """Questions -> a page that people answer them on -> votes."""

    questions: Path | None = Field(None, description="questions.csv that prepare --tuples questions has written")
    source: Path | None = Field(None, description="the data set's folder, whose pictures the questions name")
    answers: Path | None = Field(
        None, description="file that each answer is added to, and read from when it goes on; unset: one in the home"
    )
    export: Path | None = Field(
        None, description="write the votes so far to this csv and end; questions without five answers are left out"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of the order of the questions and of who stands left")
    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address to listen at; another than this machine's own lets others see the pictures and answer, "
        "without a password",
    )
    port: int = Field(8766, ge=0, le=65535, description="0 takes a free one")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.questions is None or not self.questions.is_file():
            told = "is missing" if self.questions is None else f"{self.questions} is no file"
            raise ValueError(f"--questions {told}: give the questions.csv that prepare --tuples questions has written")
        if self.export is None and (self.source is None or not self.source.is_dir()):
            told = "is missing" if self.source is None else f"{self.source} is no folder"
            raise ValueError(f"--source {told}: give the folder of the data set that the questions were made from")
        return self
