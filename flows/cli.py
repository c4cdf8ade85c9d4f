"""The command line: options from the flows' typed parameters, by pydantic-settings."""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict, SettingsError

from fer_core.errors import InputError
from fer_core.experiments.options import ExperimentOptions
from fer_core.options.base import merged
from fer_core.options.gallery import AlbumOptions, RetrieveOptions
from fer_core.options.judge import JudgeOptions
from fer_core.options.lineage import LineageOptions
from fer_core.options.serve import ExportOptions, ServeOptions
from fer_core.options.stages import (
    DirectoriesOptions,
    EvaluateOptions,
    HomeOptions,
    IngestOptions,
    PrepareOptions,
    PromoteOptions,
    RetrainOptions,
    RollbackOptions,
    ScoreOptions,
    SubdivideOptions,
    TrainOptions,
)
from fer_core.options.text import option_names, pair_options, read_options, suggestion
from fer_core.options.watch import WatchOptions

OPTIONS: dict[str, type[HomeOptions]] = {
    "ingest": IngestOptions,
    "prepare": PrepareOptions,
    "train": TrainOptions,
    "subdivide": SubdivideOptions,
    "evaluate": EvaluateOptions,
    "retrain": RetrainOptions,
    "promote": PromoteOptions,
    "rollback": RollbackOptions,
    "lineage": LineageOptions,
    "watch": WatchOptions,
    "score": ScoreOptions,
    "retrieve": RetrieveOptions,
    "album": AlbumOptions,
    "experiment": ExperimentOptions,
    "directories": DirectoriesOptions,
    "serve": ServeOptions,
    "export": ExportOptions,
    "judge": JudgeOptions,
}
"""Of each command."""
VALUES = {
    "Path": "FOLDER",
    "str": "NAME",
    "SecretStr": "NAME",
    "int": "NUMBER",
    "float": "NUMBER",
    "dict[str,Path]": "DATASET=FOLDER",
    "dict[str,str]": "OPTION=VALUE",
    "dict[str,float]": "METRIC=NUMBER",
    "{auto,int}": "auto|NUMBER",
}
"""What --help calls a value of a type."""
VALUES_OF = {
    **dict.fromkeys(("--config", "--corrections", "--pairs", "--query", "--votes", "--weights"), "FILE"),
    **dict.fromkeys(("--answers", "--export", "--questions"), "FILE"),
    "--stream": "URI",
}
"""What --help calls the value of an option whose type says too little."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that names values as people do, and leaves out defaults that say nothing."""

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Callable[[int], tuple[str, ...]]:
        own = [VALUES_OF[option] for option in action.option_strings if option in VALUES_OF]
        value = own[0] if own else _value_of(str(action.metavar or default_metavar))
        if value == "FOLDER" and "--landmarks" in action.option_strings:  # of score; elsewhere it is a choice
            value = "FILE"
        if value == "NAME" and "--source" in action.option_strings:  # of a registered model; elsewhere it is a folder
            value = "PICTURES"
        return lambda count: (value,) * count

    def _get_help_string(self, action: argparse.Action) -> str:
        return re.sub(r" \(default(: None|: \(\)| factory: dict)\)$", "", action.help or "")


def _value_of(kind: str) -> str:
    several = re.fullmatch(r"tuple\[(.*),\.\.\.\]", kind)
    return f"{_value_of(several[1])},..." if several else VALUES.get(kind, kind)


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
        told = [_with_one_dash(argument) for argument in _pairs_as_json(arguments, options_class)]
        source = CliSettingsSource[Any](parsed, cli_parse_args=told, formatter_class=HelpFormatter)
        return source()
    except SettingsError as error:
        raise InputError(_explain_arguments(str(error), options_class)) from None


def _with_one_dash(argument: str) -> str:
    """`--k` as pydantic-settings calls an option of one letter."""
    return re.sub(r"^--(?=\w(=|$))", "-", argument)


def _pairs_as_json(arguments: list[str], options_class: type[BaseModel]) -> list[str]:
    """NAME=VALUE of options that take pairs as JSON: pydantic-settings would cut a value at its commas.

    Raises:
        InputError: such an option is followed by no pair.
    """
    taking = ["--" + name for name in pair_options(options_class)]
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
    return _underscored(read_options(file, f"--config {file}", "options such as `epochs: 10`, one a line"))


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
    names = ["--" + name.replace("_", "-") for name in option_names(options_class)]
    name = option.split("=")[0]  # its value may be a secret
    return f"unknown option {name}; {suggestion(name, names)}"
