"""`python -m flows COMMAND [--option value ...]`: parse, start the engines, run the flow, say what came out."""

import errno
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fer_core.errors import InputError
from infra.progress import logger, show_progress
from infra.redaction import redacted
from infra.settings import Settings, engine_environment

COMMANDS = (
    "ingest",
    "prepare",
    "train",
    "subdivide",
    "evaluate",
    "retrain",
    "promote",
    "rollback",
    "lineage",
    "watch",
    "score",
    "retrieve",
    "album",
    "experiment",
    "directories",
    "serve",
    "export",
    "judge",
)
"""Each has its options in flows.cli.OPTIONS, and its flow by that name in flows.commands."""
WITHOUT_ENGINES = ("serve", "export", "judge")
"""These are functions in flows.serving: no engine is started for what they do."""
INCOMPLETE, BAD_INPUT, INTERRUPTED = 1, 2, 130
LEAST_FREE_BYTES = 2**20


def main(arguments: list[str]) -> int:
    """Run a command.

    The exit code is 0, 2 for bad input, 130 after Ctrl-C, 1 where --verify found damage, where a cell of an experiment
    failed, or for a fault of ours.
    """
    os.environ.update(engine_environment(Path(".fer"), verbose=False))
    show_progress()
    try:
        return _run(arguments)
    except InputError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted: run the same command again and it goes on where it was", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        wanted = f"usage: python -m flows COMMAND [--option value ...]\ncommands: {', '.join(COMMANDS)}"
        if arguments and arguments[0] not in ("-h", "--help"):
            raise InputError(f"unknown command {arguments[0]}; choose one of {', '.join(COMMANDS)}")
        print(wanted + "\n`python -m flows COMMAND --help` lists a command's options")
        return 0
    started = time.perf_counter()
    command = arguments[0]
    options = _options(command, arguments[1:])
    _check_home(options.home)
    os.environ.update(engine_environment(options.home, options.verbose))
    try:
        values = (_run_plainly if command in WITHOUT_ENGINES else _run_flow)(command, options, started)
    except Exception as error:
        if _is_disk_full(error, options.home):
            raise InputError(
                f"the disk of --home {options.home} is full; free some space and run the same command again: what is "
                "finished is kept"
            ) from error
        raise
    values["seconds"]["total"] = round(time.perf_counter() - started, 3)
    summary = importlib.import_module("flows.summary")
    print(summary.table(values), file=sys.stderr if options.json_ else sys.stdout)
    if options.json_:
        print(json.dumps(values))
    return INCOMPLETE if values.get("damaged") or values.get("failed") else 0


def _options(command: str, arguments: list[str]) -> Any:
    cli = importlib.import_module("flows.cli")
    return cli.parse(command, cli.OPTIONS[command], arguments, Settings().home)


def _check_home(home: Path) -> None:
    """Make the home and write to it, before anything is started.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=home).close()
    except OSError as error:
        raise InputError(f"--home {home} cannot be written to: {error.strerror}; choose another folder") from None


def _is_disk_full(error: Exception, home: Path) -> bool:
    """The writers of weights, shards and databases each have errors of their own for it."""
    return getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(home).free < LEAST_FREE_BYTES


def _run_plainly(command: str, options: Any, started: float) -> dict[str, Any]:
    """Run a command that is no flow."""
    own = importlib.import_module("flows.serving")
    prefect_engine = importlib.import_module("infra.prefect_engine")
    with prefect_engine.secrets_of_block():
        start_up = round(time.perf_counter() - started, 3)
        values = getattr(own, command)(options)
    return values | {"seconds": {"start_up": start_up, **values["seconds"]}}


def _run_flow(command: str, options: Any, started: float) -> dict[str, Any]:
    """Run a command's flow with its engines.

    The Prefect server comes up while this process imports what the flow needs.
    """
    prefect_engine = importlib.import_module("infra.prefect_engine")
    settings = Settings()
    with prefect_engine.prefect_server(options.home, settings.prefect_api_url) as server:
        commands = importlib.import_module("flows.commands")
        exceptions = importlib.import_module("prefect.exceptions")
        ray_cluster = importlib.import_module("infra.ray_cluster")
        with prefect_engine.flows_of(server), prefect_engine.secrets_of_block(), ray_cluster.kept_cluster():
            logger.info("%-9s engines are up", command)
            start_up = round(time.perf_counter() - started, 3)
            try:
                values = getattr(commands, command)(options)
            except exceptions.TerminationSignal:
                raise KeyboardInterrupt from None
    return values | {"seconds": {"start_up": start_up, **values["seconds"]}}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
