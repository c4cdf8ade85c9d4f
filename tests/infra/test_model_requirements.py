"""What a registered model asks to be installed is what its code imports."""

import ast
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

from infra.mlflow_models import REQUIREMENTS

LOADED = "import json, sys, fer_core.predictor; print(json.dumps([n for n in sys.modules if n.startswith('fer_core')]))"


def test_all_that_the_predictor_imports_is_required():
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    imported = {name for module in json.loads(loaded.stdout) for name in imports_of(module)}
    distributions_of = importlib.metadata.packages_distributions()
    needed = {distribution for name in imported for distribution in distributions_of.get(name, [])}
    plain = {name.lower().replace("_", "-") for name in needed}
    assert plain - {name.lower() for name in REQUIREMENTS} <= {"scipy"}  # which scikit-learn brings
    assert {"isal", "universal-pathlib", "torch", "opencv-python-headless"} <= plain


def imports_of(module: str) -> set[str]:
    """The top-level packages that a module imports, those within functions included."""
    path = Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    return names
