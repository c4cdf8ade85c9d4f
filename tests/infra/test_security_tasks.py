"""No task or flow persists what it returns: Prefect would pickle it."""

import importlib
from pathlib import Path

import pytest
from prefect import Flow, Task

from infra.settings import engine_environment

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    f"{folder}.{file.stem}"
    for folder in ("tasks", "flows")
    for file in (ROOT / folder).glob("*.py")
    if "__" not in file.name
)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_persisted(module: str) -> None:
    for name, value in vars(importlib.import_module(module)).items():
        if isinstance(value, Task | Flow):
            assert value.persist_result in (None, False), name
            assert value.result_serializer in (None, "json"), name
        if isinstance(value, Task):
            assert value.cache_policy.compute_key(None, {}, {}) is None, name


def test_tasks_and_flows_are_found() -> None:
    found = [value for module in MODULES for value in vars(importlib.import_module(module)).values()]
    assert sum(isinstance(value, Task) for value in found) > 10
    assert sum(isinstance(value, Flow) for value in found) > 10


def test_whatever_the_user_has_set(tmp_path: Path) -> None:
    made = engine_environment(tmp_path, verbose=False)
    assert made["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "false"
    assert made["PREFECT_RESULTS_DEFAULT_SERIALIZER"] == "json"
    assert made["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert made["RAY_AUTH_MODE"] == "token"
