"""The options of asking where a model comes from, and what was made of somebody's pictures."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from fer_core.options.base import at_most_one
from fer_core.options.home import HomeOptions


class LineageOptions(HomeOptions):
    """Registered version -> all that it is made of; or a person, or a picture -> all that was made of them."""

    model_name: str = Field("fer", pattern=r"^[A-Za-z0-9_-]+$", description="name in the registry")
    version: int | None = Field(None, ge=1, description="unset: the one that --alias points at")
    alias: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$", description="unset: champion")
    subject: SecretStr | None = Field(None, min_length=1, description="a person, as the data set names them")
    dataset: str | None = Field(None, description="of --subject; unset: everybody of that name")
    sample: str | None = Field(None, min_length=1, description="a picture, by its sample_id")

    @model_validator(mode="after")
    def _one_thing_is_asked(self) -> Self:
        at_most_one(self, "version", "alias", "subject", "sample")
        if self.dataset is not None and self.subject is None:
            raise ValueError("--dataset says whose --subject is meant, which is not given")
        if not self.home.is_dir():
            raise ValueError(f"--home {self.home} does not exist: it holds no models and no pictures")
        return self
