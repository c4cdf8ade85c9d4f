"""The options of labels that are estimated where the data set does not say them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from fer_core.options.base import Frozen


class EstimateOptions(Frozen):
    """Whose face it is, and what it expresses; what the data set says goes first."""

    identities: Literal["known", "estimated"] = Field(
        "known", description="estimated: where the data set names nobody, faces are clustered, and marked so"
    )
    expressions: Literal["known", "estimated"] = Field(
        "known",
        description="estimated: where the data set says none, --expression-model labels the faces to train on, and "
        "they are marked so",
    )
    expression_model: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_-]+$", description="registered expression model of --expressions estimated"
    )
    expression_version: int | None = Field(None, ge=1, description="of --expression-model; unset: its champion")
    least_probability: float = Field(
        0.5, ge=0, le=1, description="an estimated expression that is less probable stays unknown; ours"
    )

    @model_validator(mode="after")
    def _expressions_come_from_a_model(self) -> Self:
        if (self.expressions == "estimated") != (self.expression_model is not None):
            raise ValueError("--expressions estimated and --expression-model NAME go together")
        if self.expression_version is not None and self.expression_model is None:
            raise ValueError("--expression-version is of --expression-model NAME, which is not given")
        return self
