"""The gate: what may import what, how long a file may be, and that everything public is documented."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("fer_core", "infra", "tasks", "flows")
MAY_IMPORT = {
    "fer_core": {"fer_core"},
    "infra": {"infra", "fer_core"},
    "tasks": {"tasks", "infra", "fer_core"},
    "flows": {"flows", "tasks", "infra", "fer_core"},
}
ENGINES = {"prefect", "ray", "dask", "distributed", "mlflow"}
ONLY_IN = {
    "ray": {"infra/ray_engine.py"},
    "dask": {"infra/dask_engine.py"},
    "distributed": {"infra/dask_engine.py"},
    "mlflow": {"infra/mlflow_engine.py", "infra/mlflow_models.py", "infra/mlflow_runs.py", "infra/registered_model.py"},
    "albumentations": {"fer_core/patches.py"},
}
MOST_LINES = 300


def violations(root: Path) -> list[str]:
    """What breaks a rule below `root`, a line each: file:line and the rule."""
    found = []
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            text, name = file.read_text(), file.relative_to(root).as_posix()
            tree = ast.parse(text)
            if text.count("\n") > MOST_LINES:
                found.append(f"{name}:1 has more than {MOST_LINES} lines")
            found += [f"{name}:{line} {what}" for line, what in [*bad_imports(name, tree), *undocumented(tree)]]
    return found


def bad_imports(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    package = name.split("/")[0]
    for line, module in imports(tree):
        top = module.split(".")[0]
        if not top:
            yield line, "imports relatively, which code_digest does not follow"
        if top in {*PACKAGES, "tests", "benchmarks"} and top not in MAY_IMPORT[package]:
            yield line, f"{package} imports {top}"
        if package == "fer_core" and top in ENGINES:
            yield line, f"fer_core imports {top}"
        if name not in ONLY_IN.get(top, {name}):
            yield line, f"{top} is imported outside {', '.join(sorted(ONLY_IN[top]))}"


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, those within functions and by importlib included; '' where it is relative."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "" if node.level else str(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            yield node.lineno, str(ast.literal_eval(node.args[0]))


def undocumented(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[int, str]]:
    """Public functions and classes, and those of classes, without a docstring."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield node.lineno, f"{node.name} has no docstring"
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node)


def test_this_tree_keeps_the_rules():
    assert violations(ROOT) == []


def test_all_packages_are_looked_at():
    for package in PACKAGES:
        assert list((ROOT / package).glob("*.py"))
    for files in ONLY_IN.values():
        assert all((ROOT / file).exists() for file in files)


GOOD = '"""A module."""\n\nimport numpy\nfrom fer_core.errors import InputError\n\n\ndef _own():\n    pass\n'


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("fer_core/a.py", "import infra.settings", "1 fer_core imports infra"),
        ("fer_core/a.py", "from tasks import data", "1 fer_core imports tasks"),
        ("fer_core/deep/a.py", "from flows.cli import main", "1 fer_core imports flows"),
        ("fer_core/a.py", "def _f():\n    from infra import settings", "2 fer_core imports infra"),
        ("fer_core/a.py", "import os, infra as i", "1 fer_core imports infra"),
        ("fer_core/a.py", "import importlib\nimportlib.import_module('tasks.data')", "2 fer_core imports tasks"),
        ("fer_core/a.py", "if True:\n    from tests import tiny", "2 fer_core imports tests"),
        ("fer_core/a.py", "from prefect import task", "1 fer_core imports prefect"),
        ("fer_core/a.py", "import ray.train as t", "1 fer_core imports ray"),
        ("fer_core/a.py", "class _A:\n    def f(self):\n        import dask", "3 fer_core imports dask"),
        ("fer_core/a.py", "from distributed import Client", "1 fer_core imports distributed"),
        ("fer_core/a.py", "import mlflow", "1 fer_core imports mlflow"),
        ("fer_core/a.py", "from . import errors", "1 imports relatively, which code_digest does not follow"),
        ("infra/a.py", "from tasks.data import scan_source", "1 infra imports tasks"),
        ("infra/a.py", "import flows", "1 infra imports flows"),
        ("tasks/a.py", "import flows.commands", "1 tasks imports flows"),
        ("infra/a.py", "import ray", "1 ray is imported outside infra/ray_engine.py"),
        ("tasks/a.py", "def _f():\n    import dask.bag", "2 dask is imported outside infra/dask_engine.py"),
        ("flows/a.py", "from distributed import wait", "1 distributed is imported outside infra/dask_engine.py"),
        (
            "infra/ray_engine.py",
            "from dask.distributed import Client",
            "1 dask is imported outside infra/dask_engine.py",
        ),
        (
            "tasks/a.py",
            "from mlflow.entities import Run",
            "1 mlflow is imported outside infra/mlflow_engine.py, infra/mlflow_models.py, infra/mlflow_runs.py, "
            "infra/registered_model.py",
        ),
        ("fer_core/a.py", "import albumentations as A", "1 albumentations is imported outside fer_core/patches.py"),
        ("tasks/a.py", "\n" * 301, "1 has more than 300 lines"),
        ("tasks/a.py", "def run():\n    return 1", "1 run has no docstring"),
        ("tasks/a.py", "async def run():\n    return 1", "1 run has no docstring"),
        ("flows/a.py", "class Stage:\n    x = 1", "1 Stage has no docstring"),
        ("infra/a.py", 'class A:\n    """A."""\n\n    def f(self):\n        return 1', "4 f has no docstring"),
    ],
)
def test_the_gate_finds(tmp_path, file, text, message):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text + "\n")
    expected = f"{file}:{message}"
    assert expected in violations(tmp_path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("fer_core/a.py", GOOD),
        ("fer_core/patches.py", "def _f():\n    import albumentations"),
        ("fer_core/a.py", "import torch.distributed as dist\nimport rayleigh"),
        ("infra/ray_engine.py", "import ray\nfrom ray.train import report"),
        ("infra/dask_engine.py", "from dask.distributed import Client\nimport distributed"),
        ("infra/registered_model.py", "import mlflow"),
        ("infra/a.py", "from prefect.events import worker\nimport infra.settings"),
        ("tasks/a.py", "from prefect import task\nimport infra.settings, fer_core.faces, tasks.made"),
        ("flows/a.py", "import tasks.data, infra.settings, fer_core.config\n" + "\n" * 298),
    ],
)
def test_the_gate_lets_through(tmp_path, file, text):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text + "\n")
    assert violations(tmp_path) == []
