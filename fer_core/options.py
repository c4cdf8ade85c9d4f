"""The base of all configuration: frozen, typed, an unknown key is an error."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A configuration that is validated once and then passed, never rebuilt."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def at_most_one(options: Frozen, *names: str) -> None:
    """Raise ValueError where more than one of these options is given."""
    given = ["--" + name.replace("_", "-") for name in names if getattr(options, name, False)]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} do not go together: choose one")
