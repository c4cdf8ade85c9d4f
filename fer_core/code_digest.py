"""The digest of the code a stage runs, so that an edit redoes exactly what depends on it.

Comments, formatting and docstrings do not count. Followed are imports within this package; of everything else the
installed version counts.
"""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path

from fer_core.errors import InputError

PACKAGE = "fer_core"
LIBRARIES = {
    "torch": "torch",
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "pyarrow": "pyarrow",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "albumentations": "albumentations",
}
"""Import name -> distribution, of the libraries whose version can change a stage's numbers."""

REGISTRIES = ("fer_core.datasets", "fer_core.methods", "fer_core.backbones")
"""Not followed, as a new entry changes nothing for the others: the caller names the module of the entry it uses."""


@functools.cache
def code_digest(*modules: str) -> str:
    """16 hex digits over `modules` of this package and all that they import from it, at any depth."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None, PACKAGE
    assert spec.origin is not None, PACKAGE
    return code_digest_of(Path(spec.origin).parent, modules, importlib.metadata.version)


def code_digest_of(package: Path, modules: tuple[str, ...], version_of: Callable[[str], str | None]) -> str:
    """The same of a copy of this package, as of one that was kept with a model.

    Args:
        package: the copy's folder.
        version_of: distribution -> its version, where the copy was run.

    Raises:
        InputError: one of `modules` is not in it, or it holds a file that is not Python.
    """
    pending, seen, libraries = list(modules), dict[str, str](), set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name in REGISTRIES:
            continue
        tree = _parse(package, name)
        seen[name] = hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest()
        for imported in _imports(tree):
            if imported.split(".")[0] != PACKAGE:
                libraries.add(imported.split(".")[0])
            elif _file_of(package, imported) is not None:  # else one of a module's functions
                pending.append(imported)
    versions = {name: version_of(LIBRARIES[name]) for name in sorted(libraries & LIBRARIES.keys())}
    return hashlib.sha256(repr((sorted(seen.items()), versions)).encode()).hexdigest()[:16]


def _parse(package: Path, name: str) -> ast.Module:
    file = _file_of(package, name)
    if file is None:
        raise InputError(f"{package} has no module {name}")
    try:
        return ast.parse(file.read_text())
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{file} is not Python: {error}") from error


def _file_of(package: Path, name: str) -> Path | None:
    """The file of a module; None where there is none of that name."""
    module = package.joinpath(*name.split(".")[1:])
    files = (module / "__init__.py", module.with_name(f"{module.name}.py"))
    return next((file for file in files if file.is_file()), None)


def _imports(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
