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
    "ray": {f"infra/ray_{name}.py" for name in ("checkpoints", "cluster", "engine", "witness")},
    "dask": {"infra/dask_engine.py"},
    "distributed": {"infra/dask_engine.py"},
    "mlflow": {
        *(f"infra/mlflow_{part}.py" for part in ("engine", "models", "refusals", "runs", "versions")),
        "infra/registered_model.py",
    },
    "albumentations": {"fer_core/patches.py"},
}
MOST_LINES = 300
SAFELY = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
"""A function that would run what it reads, and the argument that forbids it."""
NEVER = {
    *("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"),
    *("eval", "exec", "compile", "os.system", "os.popen", "pd.read_pickle", "pandas.read_pickle"),
    *("yaml.load_all", "yaml.full_load", "yaml.full_load_all", "yaml.unsafe_load", "yaml.unsafe_load_all"),
}
"""Modules and functions that run what they read."""
SAFE_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader"}


def violations(root: Path) -> list[str]:
    """What breaks a rule below `root`, a line each: file:line and the rule."""
    found = []
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            text, name = file.read_text(), file.relative_to(root).as_posix()
            tree = ast.parse(text)
            if text.count("\n") > MOST_LINES:
                found.append(f"{name}:1 has more than {MOST_LINES} lines")
            broken = [*bad_imports(name, tree), *undocumented(tree), *unsafe(tree)]
            found += [f"{name}:{line} {what}" for line, what in broken]
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


def unsafe(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where what is read from a file, or said by a person, could be run."""
    for line, module in imports(tree):
        if module.split(".")[0] in NEVER:
            yield line, f"{module} runs what it reads"
    own_loaders = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and SAFE_LOADERS & {ast.unparse(base) for base in node.bases}
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {argument.arg: ast.unparse(argument.value) for argument in node.keywords}
        if called in NEVER or (called == "yaml.load" and given.get("Loader") not in SAFE_LOADERS | own_loaders):
            yield node.lineno, f"{called} runs what it reads"
        if called in SAFELY and given.get(SAFELY[called][0]) != str(SAFELY[called][1]):
            yield node.lineno, f"{called} without {SAFELY[called][0]}={SAFELY[called][1]}"
        if given.get("shell", "False") != "False":
            yield node.lineno, f"{called} by a shell"


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
        (
            "infra/a.py",
            "import ray",
            "1 ray is imported outside infra/ray_checkpoints.py, infra/ray_cluster.py, infra/ray_engine.py, "
            "infra/ray_witness.py",
        ),
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
            "1 mlflow is imported outside infra/mlflow_engine.py, infra/mlflow_models.py, infra/mlflow_refusals.py, "
            "infra/mlflow_runs.py, infra/mlflow_versions.py, infra/registered_model.py",
        ),
        ("fer_core/a.py", "import albumentations as A", "1 albumentations is imported outside fer_core/patches.py"),
        ("tasks/a.py", "\n" * 301, "1 has more than 300 lines"),
        ("fer_core/a.py", "import torch\ntorch.load('a')", "2 torch.load without weights_only=True"),
        ("infra/a.py", "torch.load('a', weights_only=False)", "1 torch.load without weights_only=True"),
        ("tasks/a.py", "torch.load('a', weights_only=trusted)", "1 torch.load without weights_only=True"),
        ("fer_core/a.py", "np.load('a', allow_pickle=True)", "1 np.load without allow_pickle=False"),
        ("tasks/a.py", "def _f():\n    import pickle", "2 pickle runs what it reads"),
        ("fer_core/a.py", "from joblib import load", "1 joblib runs what it reads"),
        ("infra/a.py", "from ray import cloudpickle\nimport cloudpickle.x", "2 cloudpickle.x runs what it reads"),
        ("flows/a.py", "yaml.load('a', Loader=yaml.Loader)", "1 yaml.load runs what it reads"),
        ("flows/a.py", "yaml.load('a')", "1 yaml.load runs what it reads"),
        ("flows/a.py", "yaml.unsafe_load('a')", "1 yaml.unsafe_load runs what it reads"),
        ("tasks/a.py", "x = eval('1')", "1 eval runs what it reads"),
        ("tasks/a.py", "subprocess.run('ls', shell=True)", "1 subprocess.run by a shell"),
        ("tasks/a.py", "os.system('ls')", "1 os.system runs what it reads"),
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
        ("fer_core/a.py", "torch.load('a', weights_only=True)\nnetwork.eval()\nre.compile('a')\nyaml.safe_load('a')"),
        ("fer_core/a.py", "class _Own(yaml.SafeLoader):\n    pass\n\n\nyaml.load('a', Loader=_Own)"),
        ("tasks/a.py", "subprocess.run(['ls'], shell=False)\nnp.load('a', allow_pickle=False)"),
        ("infra/a.py", "from prefect.events import worker\nimport infra.settings"),
        ("tasks/a.py", "from prefect import task\nimport infra.settings, fer_core.faces, tasks.made"),
        ("flows/a.py", "import tasks.data, infra.settings, fer_core.options.stages\n" + "\n" * 298),
    ],
)
def test_the_gate_lets_through(tmp_path, file, text):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text + "\n")
    assert violations(tmp_path) == []
