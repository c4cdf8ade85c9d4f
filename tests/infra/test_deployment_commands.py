"""What the deployment files and the operators' pages tell people and machines to run, by the programs' own parsers."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import cli

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
FILES = (INFRA / "compose.yaml", INFRA / "ray-cluster.yaml", *(INFRA / "kubernetes").iterdir())
PAGES = ("clusters.md", "operations.md")
BLOCKS = [block for page in PAGES for block in re.findall(r"```\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)]


def texts(node: Any) -> Iterator[list[str]]:
    """The words of every string below a node of a YAML file, and of every list of strings as the command it may be."""
    if isinstance(node, str):
        yield shlex.split(node, comments=True) if "import " not in node else []  # Python, not a command
    elif isinstance(node, list) and all(isinstance(one, str) for one in node):
        yield node
    elif isinstance(node, dict):
        node = [one for key, one in node.items() if key != "networks"]
    for one in node if isinstance(node, list) else ():
        yield from texts(one)


def lines() -> Iterator[list[str]]:
    for file in FILES:
        for document in yaml.safe_load_all(file.read_text()):
            yield from texts(document)
    for block in BLOCKS:
        yield from (shlex.split(line, comments=True) for line in block.splitlines())


def commands(*program: str) -> list[list[str]]:
    """The arguments of every call of a program: behind &&, exec, or what runs a command in a container."""
    found = set()
    for words in lines():
        starts = [0, *(at + 1 for at, word in enumerate(words) if word in ("&&", "exec", "--", "prefect-worker"))]
        for start in starts:
            rest = words[start : words.index("&&", start)] if "&&" in words[start:] else words[start:]
            if rest[: len(program)] == [*program] and len(rest) > len(program):
                found.add(tuple(rest[len(program) :]))
    return [list(arguments) for arguments in sorted(found)]


def ids(*program: str) -> list[Any]:
    return [pytest.param(arguments, id=" ".join(arguments)) for arguments in commands(*program)]


@pytest.mark.parametrize("arguments", ids("python", "-m", "flows"))
def test_flows(arguments, tmp_path):
    if "--source" in arguments:
        (tmp_path / "face.png").touch()
        arguments = [*arguments, "--source", str(tmp_path)]  # the last one holds: this one is there
    cli.parse(arguments[0], cli.OPTIONS[arguments[0]], arguments[1:], None)


@pytest.mark.parametrize("arguments", ids("ray"))
def test_ray(arguments):
    from ray.scripts.scripts import cli as ray

    ray.commands[arguments[0]].make_context(arguments[0], arguments[1:])


@pytest.mark.parametrize("arguments", ids("dask"))
def test_dask(arguments):
    from distributed.cli import dask_scheduler, dask_worker

    program = {"scheduler": dask_scheduler, "worker": dask_worker}[arguments[0]]
    program.main.make_context(arguments[0], arguments[1:])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own, at import
@pytest.mark.parametrize("arguments", ids("mlflow"))
def test_mlflow(arguments):
    from mlflow.cli import cli as mlflow

    mlflow.commands[arguments[0]].make_context(arguments[0], arguments[1:])


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ids("prefect"))
def test_prefect(arguments):
    from prefect.cli._app import _app, _normalize_top_level_flags

    tokens = [token for token in _normalize_top_level_flags(arguments) if token != "--no-prompt"]
    _app.parse_args(tokens, exit_on_error=False, print_error=False)


def test_none_is_overlooked():
    at_least = {"ray": 12, "dask": 6, "mlflow": 1, "prefect": 15}
    assert all(len(commands(program)) >= number for program, number in at_least.items())
    assert len(commands("python", "-m", "flows")) >= 5
