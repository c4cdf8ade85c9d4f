"""The image and the compose file: each by its own tool or schema, and by rules that no schema knows."""

import copy
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import Settings, engine_environment

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text())
DOCKERFILE = (INFRA / "Dockerfile").read_text().replace("\\\n", "")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
REQUIREMENTS = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==(\S+)", (ROOT / "requirements.txt").read_text(), re.M))
DEMANDED = re.compile(r"\$\{(\w+):\?make up creates it in infra/\.env\}")
NOT_DEMANDED = " is not demanded of the environment"
SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|AUTH_STRING|CLI_?AUTH")


def violations(compose: dict[str, Any]) -> Iterator[str]:
    """What breaks our rules: 'service: rule'."""
    services = compose["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: port {port} is not on loopback"
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if not {"cpus", "memory"} <= set(limits):
            yield f"{name}: no limits"
        if "healthcheck" not in service and service.get("restart") != "no":
            yield f"{name}: no health check"
        if not re.search(r":[^/]*\d", service["image"].replace("${FER_TAG:-", "").rstrip("}")):
            yield f"{name}: image {service['image']} is not pinned"
        for variable, value in service.get("environment", {}).items():
            secret = SECRET.search(variable) or re.search(r"://[^/@]*:[^/@]*@", DEMANDED.sub("x", str(value)))
            if secret and not DEMANDED.search(str(value)):
                yield f"{name}: {variable}{NOT_DEMANDED}"
        for volume in service.get("volumes", []):
            if not isinstance(volume, str) and volume["target"] == "/sources" and not volume.get("read_only"):
                yield f"{name}: the sources can be written to"
        for other in service.get("depends_on", {}):
            if not set(service["networks"]) & set(services[other]["networks"]):
                yield f"{name}: no network with {other}"


def test_compose_is_what_the_specification_says():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, INFRA / "compose.yaml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_docker_compose_reads_it():
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("Docker has no compose plugin here")
    secrets = dict.fromkeys(demanded(), "x")
    subprocess.run([docker, "compose", "--file", INFRA / "compose.yaml", "config", "--quiet"], env=secrets, check=True)


def test_compose_keeps_our_rules():
    assert list(violations(COMPOSE)) == []


@pytest.mark.parametrize(
    ("service", "change", "message"),
    [
        ("mlflow", {"ports": ["5000:5000"]}, "mlflow: port 5000:5000 is not on loopback"),
        ("mlflow", {"ports": ["0.0.0.0:5000:5000"]}, "mlflow: port 0.0.0.0:5000:5000 is not on loopback"),
        ("redis", {"deploy": {"resources": {"limits": {"cpus": "1"}}}}, "redis: no limits"),
        ("bucket", {"restart": "always"}, "bucket: no health check"),
        ("redis", {"image": "redis"}, "redis: image redis is not pinned"),
        ("redis", {"image": "redis:latest"}, "redis: image redis:latest is not pinned"),
        ("redis", {"environment": {"REDISCLI_AUTH": "redis"}}, "redis: REDISCLI_AUTH" + NOT_DEMANDED),
        ("ray-head", {"environment": {"RAY_AUTH_TOKEN": "${T:-x}"}}, "ray-head: RAY_AUTH_TOKEN" + NOT_DEMANDED),
        ("mlflow", {"environment": {"URI": "http://a:b@c"}}, "mlflow: URI" + NOT_DEMANDED),
        ("ray-head", {"volumes": [{"target": "/sources"}]}, "ray-head: the sources can be written to"),
        ("mlflow", {"networks": ["engines"]}, "mlflow: no network with mlflow-db"),
    ],
)  # fmt: skip
def test_the_rules_find(service, change, message):
    broken = copy.deepcopy(COMPOSE)
    broken["services"][service] |= change
    assert list(violations(broken)) == [message]


def demanded() -> set[str]:
    return set(DEMANDED.findall((INFRA / "compose.yaml").read_text()))


def test_make_up_makes_all_that_is_demanded_once_and_for_the_owner_alone(tmp_path):
    (tmp_path / "infra").mkdir()
    make = ["make", "--silent", f"--file={ROOT / 'Makefile'}", "infra/.env"]
    subprocess.run(make, cwd=tmp_path, check=True)
    file = tmp_path / "infra" / ".env"
    text = file.read_text()
    made = dict(line.split("=") for line in text.splitlines())
    assert set(made) == demanded()
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in made.values())
    assert file.stat().st_mode & 0o777 == 0o600
    subprocess.run(make, cwd=tmp_path, check=True)
    assert file.read_text() == text


def test_secrets_enter_neither_git_nor_the_image():
    assert "infra/.env*" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert [line for line in ignored if line.startswith("!infra")] == ["!infra/*.py", "!infra/mlflow-auth.ini"]
    assert not SECRET.search(DOCKERFILE)
    assert "password" not in re.sub(r"^;.*", "", (INFRA / "mlflow-auth.ini").read_text(), flags=re.M)


def test_every_service_that_is_named_is_there_and_listens():
    ports = {"prefect-server": 4200, "minio": 9000, "prefect-db": 5432, "mlflow-db": 5432, "redis": 6379}
    for name, service in COMPOSE["services"].items():
        if port := re.search(r"--port=(\d+)", str(service.get("command"))):
            ports[name] = int(port[1])
    text = (INFRA / "compose.yaml").read_text()
    named = re.findall(r"(?:://|@|=|: )((?!127|localhost|0)[a-z-]+):(\d{4,5})\b", text)
    assert len(named) > 10
    for host, port in named:
        assert ports[host] == int(port)


def test_the_driver_is_told_where_everything_is():
    told = COMPOSE["services"]["prefect-worker"]["environment"]
    read = {str(field.validation_alias) for field in Settings.model_fields.values()}
    assert read - {"FER_SECRETS_BLOCK"} <= set(told)  # the secrets are in the environment
    assert {"RAY_AUTH_TOKEN", "AWS_ENDPOINT_URL", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_AUTH_STRING"} <= set(told)


def test_the_image_sets_what_the_commands_set():
    stated = dict(pair.split("=", 1) for line in re.findall(r"^ENV (.+)$", DOCKERFILE, re.M) for pair in line.split())
    assert stated["PYTHONPATH"] == re.findall(r"^WORKDIR (\S+)", DOCKERFILE, re.M)[0]  # for `dask`, `ray`, `prefect`
    expected = engine_environment(Path(stated["FER_HOME"]), verbose=False)
    assert {name: value for name, value in expected.items() if "LOGGING" not in name}.items() <= stated.items()


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sysconfig.get_path("scripts"), "hadolint")
    said = subprocess.run([hadolint, "--format", "json", INFRA / "Dockerfile"], capture_output=True, text=True)
    assert json.loads(said.stdout) == []


def test_the_image_holds_what_it_copies_and_nothing_for_tests(tmp_path):
    allowed = (INFRA / "Dockerfile.dockerignore").read_text()
    for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M):
        for source in line.split():
            assert (ROOT / source).exists()
            assert f"!{source}\n" in allowed or f"!{source}/" in allowed
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    subprocess.run(re.findall(r"sed -i '.+?' requirements.txt", DOCKERFILE)[0], shell=True, cwd=tmp_path, check=True)
    kept = (tmp_path / "requirements.txt").read_text()
    assert all(name in kept for name in ("prefect==", "psycopg", "PyYAML=="))
    assert not any(name in kept for name in ("pytest", "ruff", "hadolint"))


def test_nobody_is_root():
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.M) == ["1000"]
    assert not any("user" in service or service.get("privileged") for service in COMPOSE["services"].values())
    ours = [service for service in COMPOSE["services"].values() if "fer-pipeline" in service["image"]]
    assert len(ours) > 8
    assert all(service["cap_drop"] == ["ALL"] for service in ours)


def test_versions_are_those_of_the_project():
    assert re.search(r"^FROM python:(3\.11)\.\d+-slim", DOCKERFILE, re.M)
    used = re.findall(r"fer-pipeline:(?:\$\{FER_TAG:-)?([\d.]+\d)", DOCKERFILE + (INFRA / "compose.yaml").read_text())
    used += re.findall(r"fer-pipeline:([\d.]+\d)", (INFRA / "ray-cluster.yaml").read_text())
    used += re.findall(r"newTag: ([\d.]+\d)", (INFRA / "kubernetes" / "kustomization.yaml").read_text())
    assert len(used) >= 5
    assert set(used) == {VERSION}
    assert yaml.safe_load((INFRA / "kubernetes" / "ray.yaml").read_text())["spec"]["rayVersion"] == REQUIREMENTS["ray"]
    assert yaml.safe_load((ROOT / "prefect.yaml").read_text())["prefect-version"] == REQUIREMENTS["prefect"]
