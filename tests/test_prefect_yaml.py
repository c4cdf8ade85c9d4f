"""The deployments say only what Prefect knows, which passes over unknown keys, of flows that take their options."""

import copy
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.exceptions import ParameterTypeError
from prefect.flows import Flow
from prefect.settings import Settings
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError as SchemaError
from prefect.utilities.schema_tools.validation import validate
from prefect.workers.process import ProcessVariables
from pydantic import BaseModel, ValidationError

from fer_core.errors import InputError
from infra import prefect_events
from infra.settings import engine_environment

ROOT = Path(__file__).parents[1]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {one["name"]: one for one in FILE["deployments"]}
OF_THE_COMMAND_LINE = {"PREFECT_HOME", "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "PREFECT_SERVER_ANALYTICS_ENABLED"}
"""What a worker's process does not take from us: it has a server, a home for its settings and a console of its own."""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project folder with what the parameters name, which all are relative to it."""
    monkeypatch.chdir(tmp_path)
    for name in (".fer", "incoming"):
        (tmp_path / name).mkdir()
    (tmp_path / "incoming" / "face.png").touch()


def known(model: type[BaseModel]) -> set[str]:
    return {name for field, info in model.model_fields.items() for name in (info.alias or field,)}


def unknown(where: str, model: type[BaseModel], given: dict[str, Any]) -> Iterator[str]:
    yield from (f"{where}{key}: unknown" for key in given if key not in known(model))
    try:
        model.model_validate(given)
    except ValidationError as error:
        yield from (f"{where}{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())


def faults(file: dict[str, Any]) -> Iterator[str]:
    """What Prefect does not know or take, at every level."""
    yield from unknown("", PrefectYamlModel, file)
    for one in file["deployments"]:
        where = f"{one.get('name')}."
        yield from unknown(where, DeploymentConfig, one)
        pool = one["work_pool"]
        yield from unknown(f"{where}work_pool.", WorkPoolConfig, pool)
        yield from unknown(f"{where}job_variables.", ProcessVariables, pool.get("job_variables", {}))
        yield from unknown_settings(f"{where}env.", pool["job_variables"]["env"])
        limit = dict(one["concurrency_limit"])
        yield from unknown(f"{where}concurrency_limit.", ConcurrencyLimitSpec, limit)
        if limit.pop("limit", None) != 1:
            yield f"{where}concurrency_limit.limit: not 1"
        yield from unknown(f"{where}concurrency_limit.", ConcurrencyOptions, limit)
        for schedule in one.get("schedules", []):
            yield from unknown(f"{where}schedules.", RawScheduleConfig, schedule)
            clock = {name: schedule.get(name) for name in ("cron", "timezone")}
            yield from unknown(f"{where}schedules.", CronSchedule, clock)
        for trigger in one.get("triggers", []):
            yield from unknown(f"{where}triggers.", DeploymentEventTrigger, trigger)
        if not all(isinstance(tag, str) for tag in one["tags"]):
            yield f"{where}tags: not texts"
        yield from wrong_flow(where, one)


def unknown_settings(where: str, env: dict[str, Any]) -> Iterator[str]:
    ours = engine_environment(Path(".fer"), verbose=False)
    theirs = set(variables(Settings, "PREFECT"))
    for name, value in env.items():
        if not isinstance(value, str):
            yield f"{where}{name}: not a text"
        if name not in ours and name not in theirs:
            yield f"{where}{name}: unknown"


def variables(settings: type[BaseModel], prefix: str) -> Iterator[str]:
    """The variables of Prefect's settings, which are nested."""
    for name, field in settings.model_fields.items():
        own = field.annotation
        is_section = inspect.isclass(own) and issubclass(own, BaseModel)
        yield from variables(own, f"{prefix}_{name}") if is_section else [f"{prefix}_{name}".upper()]


def wrong_flow(where: str, deployment: dict[str, Any]) -> Iterator[str]:
    try:
        flow = flow_of(deployment)
    except (ImportError, AttributeError) as error:
        yield f"{where}entrypoint: {error}"
        return
    if not isinstance(flow, Flow):
        yield f"{where}entrypoint: not a flow"
        return
    try:
        validate(deployment["parameters"], parameter_schema(flow).model_dump_for_openapi(), raise_on_error=True)
        flow.validate_parameters(deployment["parameters"])
    except (SchemaError, ParameterTypeError) as error:
        yield f"{where}parameters: {error}"


def flow_of(deployment: dict[str, Any]) -> Any:
    file, name = deployment["entrypoint"].split(":")
    return getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)


def test_prefect_knows_all_of_it() -> None:
    assert list(faults(FILE)) == []


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "top": (lambda file: file.update(deployment=[]), "deployment: unknown"),
    "deployment": (lambda file: retrain(file).update(shedules=[]), "retrain.shedules: unknown"),
    "schedule": (lambda file: schedule(file).update(crom="0 3 * * 1"), "retrain.schedules.crom: unknown"),
    "cron": (lambda file: schedule(file).update(cron="61 3 * * 1"), "retrain.schedules.cron: "),
    "zone": (lambda file: schedule(file).update(timezone="Mars"), "retrain.schedules.timezone: "),
    "pool": (lambda file: retrain(file)["work_pool"].update(queue="a"), "retrain.work_pool.queue: unknown"),
    "job": (lambda file: job(file).update(image="a"), "retrain.job_variables.image: unknown"),
    "number": (lambda file: job(file)["env"].update(DO_NOT_TRACK=True), "retrain.env.DO_NOT_TRACK: not a text"),
    "setting": (
        lambda file: job(file)["env"].update(PREFECT_FLOWS_RETRIES="1"),
        "retrain.env.PREFECT_FLOWS_RETRIES: unknown",
    ),
    "limit": (
        lambda file: retrain(file)["concurrency_limit"].update(strategy="ENQUEUE"),
        "retrain.concurrency_limit.strategy: unknown",
    ),
    "strategy": (
        lambda file: retrain(file)["concurrency_limit"].update(collision_strategy="WAIT"),
        "retrain.concurrency_limit.collision_strategy: ",
    ),
    "trigger": (lambda file: retrain(file)["triggers"][0].update(expects=["a"]), "retrain.triggers.expects: unknown"),
    "tag": (lambda file: retrain(file)["tags"].append(1), "retrain.tags: not texts"),
    "flow": (lambda file: retrain(file).update(entrypoint="flows/commands.py:again"), "retrain.entrypoint: "),
    "no flow": (lambda file: retrain(file).update(entrypoint="flows/commands.py:Summary"), "retrain.entrypoint: "),
    "option": (lambda file: retrain(file)["parameters"]["options"].update(epoch=3), "retrain.parameters: "),
    "value": (lambda file: retrain(file)["parameters"]["options"].update(epochs=0), "retrain.parameters: "),
}


def retrain(file: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in file["deployments"] if one["name"] == "retrain")


def schedule(file: dict[str, Any]) -> dict[str, Any]:
    return retrain(file)["schedules"][0]


def job(file: dict[str, Any]) -> dict[str, Any]:
    return retrain(file)["work_pool"]["job_variables"]


@pytest.mark.parametrize(("change", "fault"), CHANGES.values(), ids=CHANGES)
def test_a_mistake_at_any_level_is_found(change: Callable[[dict[str, Any]], object], fault: str) -> None:
    file = json.loads(json.dumps(copy.deepcopy(FILE)))  # without the anchors' sharing
    change(file)
    assert any(found.startswith(fault) for found in faults(file)), list(faults(file))


def test_all_that_is_done_on_schedule_or_by_hand_is_deployed() -> None:
    wanted = ["ingest", "retrain", "watch", "evaluate", "experiment", "promote", "rollback", "score", "clean-up"]
    assert list(DEPLOYMENTS) == wanted


@pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_workers_get_what_the_command_line_sets(deployment: dict[str, Any]) -> None:
    env = deployment["work_pool"]["job_variables"]["env"]
    wanted = engine_environment(Path(".fer"), verbose=False)
    assert {name: env.get(name) for name in wanted.keys() - OF_THE_COMMAND_LINE} == {
        name: value for name, value in wanted.items() if name not in OF_THE_COMMAND_LINE
    }
    assert flow_of(deployment).fn.__wrapped__, "without @with_secrets"


def test_retries_are_prefects_own_setting() -> None:
    """A deployment has no key for them; a flow that says nothing takes the process's."""
    env = DEPLOYMENTS["retrain"]["work_pool"]["job_variables"]["env"]
    code = "import prefect; f = prefect.flow(lambda: 1); print(f.retries, f.retry_delay_seconds)"
    asked = subprocess.run([sys.executable, "-c", code], env={**env, "HOME": "."}, capture_output=True, text=True)
    assert asked.stdout.split() == ["1", "60"], asked.stderr
    once = DEPLOYMENTS["rollback"]["work_pool"]["job_variables"]["env"]
    assert once["PREFECT_FLOWS_DEFAULT_RETRIES"] == "0"


def test_retrain_hears_what_watch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(prefect_events, "emit_event", lambda event, resource, payload: said.append((event, resource)))
    watch = DEPLOYMENTS["watch"]["parameters"]["options"]
    assert watch["retrain_by"] == "event"
    with pytest.raises(InputError, match="set PREFECT_API_URL"):  # nobody took it
        prefect_events.ask_for_retrain(watch.get("model_name", "fer"), {})
    (trigger,) = DEPLOYMENTS["retrain"]["triggers"]
    assert said == [(trigger["expect"][0], trigger["match"])]
    assert DEPLOYMENTS["retrain"]["parameters"]["options"].items() <= watch.items()
