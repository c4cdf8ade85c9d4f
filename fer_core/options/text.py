"""Options as people write them: in YAML files, by name on the command line, and misspelt."""

import difflib
import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel

from fer_core.errors import InputError

_BASE_60 = re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 2:8 as 128, a number to base 60; here it is what is written."""

    def resolve(self, kind: type, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0] and _BASE_60.fullmatch(value):
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)


def read_options(file: Path, called: str, wanted: str) -> dict[str, Any]:
    """What a YAML file of options holds.

    Args:
        called: what the file is called in messages, such as `--config own.yaml`.
        wanted: what it must hold, for the message.

    Raises:
        InputError: it cannot be read, is not YAML, or is no mapping.
    """
    try:
        values = yaml.load(file.read_text(), Loader=_Loader)
    except OSError as error:
        raise InputError(f"{called} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{called} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{called} must hold {wanted}")
    return values


def option_names(options_class: type[BaseModel], prefix: str = "") -> list[str]:
    """The names of all options as in a file, nested ones dotted: epochs, mul_dml.slice_size."""
    names = []
    for name, field in options_class.model_fields.items():
        option = prefix + (field.alias or name)
        kind = field.annotation
        nested = isinstance(kind, type) and issubclass(kind, BaseModel)
        names += option_names(kind, option + ".") if nested else [option]  # type: ignore[arg-type]
    return names


def pair_options(options_class: type[BaseModel]) -> set[str]:
    """The names of the options that take NAME=VALUE, once for each."""
    fields = options_class.model_fields.items()
    return {field.alias or name for name, field in fields if get_origin(field.annotation) is dict}


def suggestion(name: str, names: Iterable[str]) -> str:
    """What a misspelt name may mean, at most three of `names`; where none is like it, all of them."""
    known = list(names)
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {', '.join(near)}?" if near else f"choose from {', '.join(known)}"


def dotted(values: dict[str, Any], pairs: Collection[str] = (), prefix: str = "") -> dict[str, Any]:
    """Nested options as flat ones: {"mul_dml": {"slice_size": 64}} -> {"mul_dml.slice_size": 64}.

    Args:
        pairs: names of options that stay as they are: pair_options.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        is_nested = isinstance(value, dict) and name not in pairs
        flat |= dotted(value, (), f"{prefix}{name}.") if is_nested else {prefix + name: value}
    return flat


def plain(value: Any) -> str:
    """A value as on the command line: numbers without needless digits, sequences with commas."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(plain, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def as_arguments(values: dict[str, Any], pairs: Collection[str] = ()) -> list[str]:
    """Options as one writes them on the command line, each with its value: `--epochs 8`; None is left out.

    Args:
        pairs: names of options that take NAME=VALUE, once for each: pair_options.
    """
    made: list[str] = []
    for name, value in dotted(values, pairs).items():
        several = [f"{key}={plain(one)}" for key, one in value.items()] if name in pairs else [value]
        made += [_argument(name, one) for one in several if one is not None]
    return made


def _argument(name: str, value: Any) -> str:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    text = shlex.quote(plain(value))
    return f"--{option}={text}" if text.startswith("-") else f"--{option} {text}"
