"""The deployments name flows that exist, with parameters those flows take."""

from pathlib import Path

import pytest
import yaml

from fer_core import config

DEPLOYMENTS = yaml.safe_load((Path(__file__).parents[1] / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=[one["name"] for one in DEPLOYMENTS])
def test_entrypoint_and_parameters(deployment: dict) -> None:
    file, name = deployment["entrypoint"].split(":")
    assert f"\ndef {name}(options: {name.title()}Options)" in Path(__file__).parents[1].joinpath(file).read_text()
    options = getattr(config, f"{name.title()}Options")
    assert options.model_validate(deployment["parameters"]["options"]).home == Path(".fer")
