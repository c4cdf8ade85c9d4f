"""What a model is made of, and what is left of it."""

import json
import os
import platform
import shutil
from pathlib import Path

import pytest
from lineage_homes import Home, content, link, make_home, write_run

from fer_core.directories import read_manifest
from fer_core.files import file_sha256
from fer_core.lineage.ancestry import Ancestry, Parent, ancestry_of, condition_of, network_of, registration_tags

STAGES = ["catalog", "faces", "run", "subdivision", "evaluation"]


@pytest.fixture
def home(tmp_path: Path, tiny_ck_plus: Path) -> Home:
    return make_home(tmp_path / "home", tiny_ck_plus)


def test_all_that_a_model_is_made_of_in_the_order_of_the_stages(home: Home) -> None:
    write_run(home.path, "ck_plus-sgm", b"of nobody here", faces=content(home.made["faces"]))
    found = ancestry_of(home.path, home.names, {})
    assert [origin.kind for origin in found.origins] == STAGES
    assert {home.path / origin.name for origin in found.origins} == set(home.made.values())
    assert (found.source, found.parents, found.gone) == ("fingerprint of the source", [], [])
    assert "the name of a person" not in found.to_json()
    assert [origin.summary.get("rows") for origin in found.origins] == [48, 144, None, None, None]
    for origin in found.origins:
        shards = read_manifest(home.path / origin.name).shards
        assert origin.files == shards
        assert all(file_sha256(home.path / origin.name / name) == file["sha256"] for name, file in shards.items())
        assert condition_of(home.path, origin) == "whole"


def test_what_is_gone_is_said_and_so_is_what_only_it_knew(home: Home) -> None:
    digest = content(home.made["faces"])
    shutil.rmtree(home.made["faces"])
    found = ancestry_of(home.path, home.names, {})
    assert [origin.kind for origin in found.origins] == ["run", "subdivision", "evaluation"]
    assert found.source is None
    run = home.made["run"].name
    assert f"the faces directory that runs/{run} is made from is gone (content {digest})" in found.gone
    assert len(found.gone) == 3, "the run, the level and the evaluation are all made from it"


def test_a_copy_tells_of_a_directory_that_is_gone(home: Home) -> None:
    name = f"runs/{home.made['run'].name}"
    copy = shutil.copytree(home.made["run"], home.path / "copy of the run")
    shutil.rmtree(home.made["run"])
    assert f"{name} is gone" in ancestry_of(home.path, home.names, {}).gone
    found = ancestry_of(home.path, home.names, {name: copy})
    assert [origin.kind for origin in found.origins] == STAGES
    assert f"{name} is gone" not in found.gone


@pytest.mark.parametrize(("days_of_first", "source"), [(1, "fingerprint of the source"), (3, "touched")])
def test_of_two_sources_with_the_same_pictures_the_last_used_is_said(
    home: Home, days_of_first: int, source: str
) -> None:
    catalog = home.made["catalog"]
    other = shutil.copytree(catalog, catalog.with_name(f"ck_plus-{'0' * 16}"))
    link(other, source="touched")
    for path, days in ((catalog, days_of_first), (other, 2)):
        os.utime(path / "manifest.json", times=(1e9, 1e9 - 86_400 * days))
    assert ancestry_of(home.path, home.names, {}).source == source


def test_the_models_before_it(home: Home) -> None:
    of_faces = {"faces": content(home.made["faces"])}
    labeller = write_run(home.path, "kdef-cnn", b"labels")
    link(home.made["faces"], expression_run=content(labeller), expression_level="any")
    first = write_run(home.path, "ck_plus-cnn", b"first", weights=network_of(home.made["run"]), **of_faces)
    second = write_run(home.path, "ck_plus-cnn", b"second", start=content(first), **of_faces)
    found = ancestry_of(home.path, {"runs": second.name}, {})
    assert set(found.parents) == {
        Parent("labels", content(labeller), f"runs/{labeller.name}"),
        Parent("weights", network_of(home.made["run"]), f"runs/{home.made['run'].name}"),
        Parent("start", content(first), f"runs/{first.name}"),
    }
    assert {origin.name for origin in found.origins if origin.kind == "run"} == {
        f"runs/{first.name}",
        f"runs/{second.name}",
    }
    assert found.gone == []


def test_weights_of_no_run_of_this_home(home: Home) -> None:
    run = write_run(home.path, "ck_plus-cnn", b"x", weights="0" * 64, faces=content(home.made["faces"]))
    assert ancestry_of(home.path, {"runs": run.name}, {}).parents == [Parent("weights", "0" * 64, None)]


def test_what_is_recorded_can_be_read_again(home: Home) -> None:
    write_run(home.path, "ck_plus-cnn", b"x", weights="0" * 64)
    found = ancestry_of(home.path, home.names, {})
    assert Ancestry.from_json(found.to_json()) == found


def test_what_is_left_of_a_directory(home: Home) -> None:
    recorded = ancestry_of(home.path, home.names, {})
    shutil.rmtree(home.made["catalog"])
    (home.made["run"] / "network.safetensors").write_bytes(b"another size")
    (home.made["level"] / "manifest.json").write_text("{")
    other = read_manifest(home.made["evaluation"])
    shutil.rmtree(home.made["faces"])
    shutil.copytree(home.made["evaluation"], home.made["faces"])
    assert other.content == content(home.made["faces"])
    conditions = {origin.kind: condition_of(home.path, origin) for origin in recorded.origins}
    assert conditions == {
        "catalog": "gone",
        "faces": "changed",
        "run": "damaged",
        "subdivision": "damaged",
        "evaluation": "whole",
    }


def test_what_a_version_is_tagged_with(home: Home) -> None:
    tags = registration_tags(home.made["run"])
    assert tags["network_sha256"] == file_sha256(home.made["run"] / "network.safetensors")
    environment = json.loads(tags["environment"])
    assert environment["python"] == platform.python_version()
    assert {"torch", "numpy", "pyarrow"} <= environment["packages"].keys()
