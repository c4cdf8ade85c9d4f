"""The base of all configuration: frozen, typed, an unknown key is an error."""

from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict


class Frozen(BaseModel):
    """A configuration that is validated once and then passed, never rebuilt."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, hide_input_in_errors=True
    )


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Options `over` laid on `under`, nested ones one by one."""
    both = {name: merged(under[name], value) for name, value in over.items() if _are_dicts(under.get(name), value)}
    return {**under, **over, **both}


def _are_dicts(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def at_most_one(options: Frozen, *names: str) -> None:
    """Raise ValueError where more than one of these options is given."""
    given = ["--" + name.replace("_", "-") for name in names if getattr(options, name, False)]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} do not go together: choose one")


def one_of(registry: dict[str, Any]) -> AfterValidator:
    """A name of a registry; another is a ValueError that lists them."""

    def check(name: str) -> str:
        if name not in registry:
            raise ValueError(f"choose one of {', '.join(registry)}")
        return name

    return AfterValidator(check)


def fields_of(options: dict[str, Any]) -> dict[str, Any]:
    """A field for each registry entry's own options, with their defaults."""
    return {name: (kind, kind()) for name, kind in options.items()}
