"""The manifests: by the schemas of Kubernetes, by what Ray makes of its cluster, and by our rules."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config

from infra.settings import Settings

INFRA = Path(__file__).parents[2] / "infra"
KUBERNETES = "1.34"
CUSTOMIZATION = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text())
DOCUMENTS = [
    document
    for name in CUSTOMIZATION["resources"]
    for document in yaml.safe_load_all((INFRA / "kubernetes" / name).read_text())
]
OWN_KINDS = [document for document in DOCUMENTS if document["kind"] != "RayCluster"]
RAY = next(document for document in DOCUMENTS if document["kind"] == "RayCluster")
GROUPS = [RAY["spec"]["headGroupSpec"], *RAY["spec"]["workerGroupSpecs"]]


def templates() -> list[dict[str, Any]]:
    deployments = [document for document in DOCUMENTS if document["kind"] == "Deployment"]
    return [*(one["spec"]["template"] for one in deployments), *(group["template"] for group in GROUPS)]


def containers() -> list[dict[str, Any]]:
    return [container for template in templates() for container in template["spec"]["containers"]]


def test_every_manifest_is_listed():
    others = {"kustomization.yaml", *CUSTOMIZATION["configurations"]}
    assert {file.name for file in (INFRA / "kubernetes").iterdir()} == others | set(CUSTOMIZATION["resources"])


@pytest.mark.parametrize("document", OWN_KINDS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_schema(document):
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize("group", GROUPS, ids=lambda one: one.get("groupName", "head"))
def test_pods_of_the_ray_cluster_have_the_schema_of_pods(group):
    template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "ray"}, "template": group["template"]}
    kubernetes_validate.validate(template, KUBERNETES, strict=True)


def test_a_misspelt_field_is_found():
    document = next(one for one in DOCUMENTS if one["kind"] == "NetworkPolicy")
    broken = document | {"spec": document["spec"] | {"podSelectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="podSelectors"):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_ray_reads_the_groups_and_their_bounds():
    config = _derive_autoscaling_config_from_ray_cr(RAY)
    validate_config(config)
    types = config["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert (types["cpu"]["min_workers"], types["cpu"]["max_workers"]) == (2, 8)
    assert types["gpu"]["resources"]["GPU"] == 1


def test_ray_reads_the_cluster_on_machines_of_your_own():
    config = prepare_config(yaml.safe_load((INFRA / "ray-cluster.yaml").read_text()))
    validate_config(config)
    assert config["max_workers"] == len(config["provider"]["worker_ips"])


def test_ray_demands_its_token():
    assert RAY["spec"]["authOptions"] == {"mode": "token", "secretName": "fer-ray"}
    mounts = yaml.safe_load((INFRA / "ray-cluster.yaml").read_text())["file_mounts"]
    assert mounts == {"/home/fer/.ray/auth_token": "~/.ray/auth_token"}


def test_every_container_is_bounded_watched_and_harmless():
    assert len(containers()) == 6
    for container in containers():
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert {"livenessProbe", "readinessProbe"} <= set(container)
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    for template in templates():
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        assert template["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_one_home_for_all_and_sources_that_nobody_writes():
    modes = {one["metadata"]["name"]: one["spec"]["accessModes"] for one in DOCUMENTS if "Claim" in one["kind"]}
    assert modes == {"fer-home": ["ReadWriteMany"], "fer-sources": ["ReadOnlyMany"]}
    for container in containers():
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounts["home"]["mountPath"] == "/app/.fer"
        assert mounts["sources"]["readOnly"]


def test_secrets_are_named_and_not_kept():
    assert not [document for document in DOCUMENTS if document["kind"] == "Secret"]
    maps = {one["metadata"]["name"]: one["data"] for one in DOCUMENTS if one["kind"] == "ConfigMap"}
    for container in containers():
        sources = container["envFrom"]
        assert {source["configMapRef"]["name"] for source in sources if "configMapRef" in source} <= set(maps)
        assert any("secretRef" in source for source in sources)
        assert all("valueFrom" in variable for variable in container.get("env", []))


def test_the_driver_is_told_where_everything_is():
    driver = next(one["data"] for one in DOCUMENTS if one["metadata"]["name"] == "fer-driver")
    read = {str(field.validation_alias) for field in Settings.model_fields.values()}
    assert set(driver) == read - {"FER_SECRETS_BLOCK"}
    assert driver["RAY_ADDRESS"] == f"{RAY['metadata']['name']}-head-svc:6379"
    service = next(one for one in DOCUMENTS if one["kind"] == "Service")
    assert (
        driver["DASK_SCHEDULER_ADDRESS"] == f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    )


def test_nothing_from_outside_reaches_the_pods():
    policy = next(document for document in DOCUMENTS if document["kind"] == "NetworkPolicy")["spec"]
    assert policy["podSelector"] == {}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"from": [{"podSelector": {}}]}]


def test_kustomize_builds_them():
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("no kubectl here")
    built = subprocess.run([kubectl, "kustomize", INFRA / "kubernetes"], capture_output=True, text=True, check=True)
    documents = [document for document in yaml.safe_load_all(built.stdout) if document]
    assert len(documents) == len(DOCUMENTS)
    assert all(one["metadata"].get("namespace", "fer") == "fer" for one in documents)
    assert built.stdout.count("image: fer-pipeline:") == len(containers())
