"""The options of the commands that hand a registered model on: as a page, and as a file."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from fer_core.options.home import HomeOptions


class ServedOptions(HomeOptions):
    """Which model."""

    model_name: str = Field("fer", pattern=r"^[A-Za-z0-9_-]+$", description="name in the registry")
    version: int | None = Field(None, ge=1, description="of the model; unset: the champion")


class ServeOptions(ServedOptions):
    """Registered model -> a page on this machine that says what the model says of a picture."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address to listen at; another than this machine's own lets others look on, without a password",
    )
    port: int = Field(8765, ge=0, le=65535, description="0 takes a free one")
    show_faces: bool | None = Field(
        None,
        description="show training faces beside what is like them; unset: only where nobody else reaches the page, as "
        "most data sets may not be passed on",
    )


class ExportOptions(ServedOptions):
    """Registered model -> ONNX file, and what is needed beside it to say an expression."""

    to: Path | None = Field(None, description="folder to write to: a new one, or one that holds nothing")

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        if self.to is None:
            raise ValueError("--to FOLDER is missing: where the model is to be written")
        if self.to.exists() and (not self.to.is_dir() or any(self.to.iterdir())):
            raise ValueError(f"--to {self.to} is no empty folder; name a new one")
        return self
