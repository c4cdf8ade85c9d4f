"""The command line: options from the flows' typed parameters, by pydantic-settings."""

import difflib
import json
import re
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict, SettingsError

from fer_core.config import (
    DirectoriesOptions,
    EvaluateOptions,
    HomeOptions,
    IngestOptions,
    PrepareOptions,
    PromoteOptions,
    RetrainOptions,
    ScoreOptions,
    SubdivideOptions,
    TrainOptions,
)
from fer_core.errors import InputError
from fer_core.experiments.options import ExperimentOptions
from fer_core.options import merged

OPTIONS: dict[str, type[HomeOptions]] = {
    "ingest": IngestOptions,
    "prepare": PrepareOptions,
    "train": TrainOptions,
    "subdivide": SubdivideOptions,
    "evaluate": EvaluateOptions,
    "retrain": RetrainOptions,
    "promote": PromoteOptions,
    "score": ScoreOptions,
    "experiment": ExperimentOptions,
    "directories": DirectoriesOptions,
}
"""Of each command."""


def parse(command: str, options_class: type[HomeOptions], arguments: list[str], home: Path | None) -> HomeOptions:
    """The options of a command: the command line before the --config file before the environment's home.

    Raises:
        InputError: an unknown option or key, a wrong type, an impossible value; each is named with the choices.
        SystemExit: after --help.
    """
    given = _read_arguments(command, options_class, arguments)
    file = given.get("config")
    from_file = _read_config(Path(file)) if file else {}
    base = {} if home is None else {"home": home}
    try:
        return options_class.model_validate(merged(merged(base, from_file), given))
    except ValidationError as error:
        raise InputError(_explain(error, options_class)) from None


def _read_arguments(command: str, options_class: type[HomeOptions], arguments: list[str]) -> dict[str, Any]:
    class Parsed(BaseSettings):
        model_config = SettingsConfigDict(
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_exit_on_error=False,
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_prog_name=f"python -m flows {command}",
        )

    parsed = type("Parsed", (options_class, Parsed), {"__doc__": options_class.__doc__})
    try:
        source = CliSettingsSource(parsed, cli_parse_args=_pairs_as_json(arguments, options_class))  # type: ignore[var-annotated]
        return source()
    except SettingsError as error:
        raise InputError(_explain_arguments(str(error), options_class)) from None


def _pairs_as_json(arguments: list[str], options_class: type[BaseModel]) -> list[str]:
    """NAME=VALUE of options that take pairs as JSON: pydantic-settings would cut a value at its commas.

    Raises:
        InputError: such an option is followed by no pair.
    """
    fields = options_class.model_fields.items()
    taking = ["--" + (field.alias or name) for name, field in fields if get_origin(field.annotation) is dict]
    found, rest = list[str](), iter(arguments)
    for argument in rest:
        option, is_joined, pair = argument.partition("=")
        if option not in taking:
            found.append(argument)
            continue
        name, is_pair, value = (pair if is_joined else next(rest, "")).partition("=")
        if not is_pair:
            raise InputError(f"{option} {name}: write it as NAME=VALUE")
        found += [option, json.dumps({name: value})]
    return found


def _read_config(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text())
    except OSError as error:
        raise InputError(f"--config {file} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--config {file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"--config {file} must hold options such as `epochs: 10`, one a line")
    return _underscored(values)


def _underscored(values: dict[str, Any]) -> dict[str, Any]:
    return {
        str(name).replace("-", "_"): _underscored(value) if isinstance(value, dict) else value
        for name, value in values.items()
    }


def _explain_arguments(message: str, options_class: type[BaseModel]) -> str:
    unknown = re.search(r"unrecognized arguments: (\S+)", message)
    if unknown is None:
        return " ".join(message.removeprefix("error parsing CLI: ").split())
    return _unknown(unknown[1], options_class)


def _explain(error: ValidationError, options_class: type[BaseModel]) -> str:
    """One sentence for each wrong option."""
    sentences = []
    for problem in error.errors(include_url=False):
        option = "--" + ".".join(str(part) for part in problem["loc"] if isinstance(part, str)).replace("_", "-")
        if problem["type"] == "extra_forbidden":
            sentences.append(_unknown(option, options_class))
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            sentences.append(reason if not problem["loc"] else f"{option} {problem['input']!r}: {reason}")
    return "; ".join(sentences)


def _unknown(option: str, options_class: type[BaseModel]) -> str:
    names = _option_names(options_class)
    near = difflib.get_close_matches(option.split("=")[0], names, n=3) or names
    return f"unknown option {option}; {'did you mean' if len(near) <= 3 else 'choose from'} {', '.join(near)}?"


def _option_names(options_class: type[BaseModel], prefix: str = "--") -> list[str]:
    names = []
    for name, field in options_class.model_fields.items():
        option = prefix + (field.alias or name).replace("_", "-")
        kind = field.annotation
        nested = isinstance(kind, type) and issubclass(kind, BaseModel)
        names += _option_names(kind, option + ".") if nested else [option]  # type: ignore[arg-type]
    return names
