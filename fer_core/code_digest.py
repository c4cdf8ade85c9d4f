"""The digest of the code a stage runs, so that an edit redoes exactly what depends on it.

Comments, formatting and docstrings do not count. Followed are imports within this package; of everything else the
installed version counts.
"""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path

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
    pending, seen, libraries = list(modules), dict[str, str](), set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name in REGISTRIES:
            continue
        tree = _parse(name)
        seen[name] = hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest()
        for imported in _imports(tree):
            if imported.split(".")[0] != PACKAGE:
                libraries.add(imported.split(".")[0])
            elif _is_module(imported):
                pending.append(imported)
    versions = {name: importlib.metadata.version(LIBRARIES[name]) for name in sorted(libraries & LIBRARIES.keys())}
    return hashlib.sha256(repr((sorted(seen.items()), versions)).encode()).hexdigest()[:16]


def _parse(name: str) -> ast.Module:
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    assert spec.origin is not None, name
    return ast.parse(Path(spec.origin).read_text())


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the parent is a module, so `name` is one of its functions
        return False


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
