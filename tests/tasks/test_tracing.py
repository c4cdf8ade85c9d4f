"""From a version to what it is made of and back, with a real registry."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from lineage_homes import Home, make_home, write_run

from fer_core.consent.withdrawals import add_withdrawals, withdrawal_of
from fer_core.errors import InputError
from fer_core.lineage.ancestry import Ancestry, network_of
from fer_core.lineage.uses import Person, people_of
from fer_core.options.lineage import LineageOptions
from flows import descent
from infra.mlflow_engine import EXPERIMENT, Registry, store_file
from infra.mlflow_versions import ModelVersion, Versions
from tasks.lineage import RECORD, Traced, read_ancestry, trace_pictures, trace_version
from tasks.registry import all_versions

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # SQLAlchemy's own


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Version 1, the champion, of `run`; version 2 of a run that began from its network, under another name too."""
    folder = tmp_path_factory.mktemp("lineage")
    home = make_home(folder / "home", tiny.write_ck_plus(folder))
    weights = network_of(home.made["run"])
    child = write_run(home.path, "kdef-cnn", b"child", weights=weights, faces="those of another data set")
    tags = {"run": home.made["run"].name, "level": home.made["level"].name, "evaluation": home.made["evaluation"].name}
    tags |= {"config": json.dumps({"source": "CK+48"}), "network_sha256": weights, "decided_against": "none"}
    register(home.path, "fer", tags)
    register(home.path, "fer", {"run": child.name})
    register(home.path, "other", {"run": child.name})
    Registry(home.path, None, "fer")._client.set_registered_model_alias("fer", "champion", "1")
    return home


def register(home: Path, name: str, tags: dict[str, str]) -> None:
    registry = Registry(home, None, name)
    run_id = registry.runs(EXPERIMENT).start("a run", {})
    if name not in [version.name for version in all_versions(home)]:
        registry._client.create_registered_model(name)
    registry._client.create_model_version(name, str(home), run_id, tags=tags)


@pytest.fixture
def copy(made: Home, tmp_path: Path) -> Path:
    """The home, to be broken."""
    return Path(shutil.copytree(made.path, tmp_path / "home"))


def version_2(home: Path) -> ModelVersion:
    return next(version for version in all_versions(home) if version.title == "fer version 2")


def traced(home: Path, **asked: object) -> Traced:
    return trace_version.fn(LineageOptions(home=home, **asked))


def titles(versions: list) -> list[tuple[str, tuple[str, ...]]]:
    return [(version.title, version.aliases) for version in versions]


def test_every_version_with_its_aliases(made: Home) -> None:
    assert sorted(titles(all_versions(made.path))) == [
        ("fer version 1", ("champion",)),
        ("fer version 2", ()),
        ("other version 1", ()),
    ]


def test_the_champion_by_default_to_the_bytes_of_its_files(made: Home) -> None:
    found = traced(made.path)
    assert found.version.title == "fer version 1"
    assert set(found.condition.values()) == {"whole"}
    values = descent.of_version(found)
    assert {made.path / origin["name"] for origin in values["made_of"]} == set(made.made.values())
    (run,) = [origin for origin in values["made_of"] if origin["kind"] == "run"]
    assert run["files"]["network.safetensors"]["sha256"] == network_of(made.made["run"])
    assert values["source"] == {"folder": "CK+48", "fingerprint": "fingerprint of the source"}
    assert (values["gone"], values["withdrawn"]) == ([], 0)
    assert values["environment"] is None
    json.dumps(values)


def test_a_version_that_began_from_another(made: Home) -> None:
    (parent,) = descent.of_version(traced(made.path, version=2))["parents"]
    assert (parent["how"], parent["versions"]) == ("weights", ["fer version 1"])
    assert parent["run"] == f"runs/{made.made['run'].name}"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"version": 7}, "model fer has no version 7; its versions are"),
        ({"alias": "challenger"}, "model fer has no alias challenger; its versions are .*1 champion"),
        ({"model_name": "none"}, "model none has no alias champion; there is none of that name"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(made: Home, asked: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        traced(made.path, **asked)


def test_what_is_gone_is_said_in_values_and_lines(copy: Path, made: Home) -> None:
    shutil.rmtree(copy / "faces" / made.made["faces"].name)
    found = traced(copy)
    said = f"the faces directory that runs/{made.made['run'].name} is made from is gone"
    assert not found.recorded
    values = descent.of_version(found)
    assert any(said in line for line in values["gone"])
    lines = descent.lines(values)
    assert any(said in line for line in lines)
    assert any("nothing was recorded" in line for line in lines)
    assert any(line.split() == ["fingerprint", "not", "known"] for line in lines)


def test_what_was_recorded_is_told_when_the_directories_are_gone(copy: Path, made: Home, tmp_path: Path) -> None:
    version = next(version for version in all_versions(copy) if version.version == 1 and version.name == "fer")
    recorded, _ = read_ancestry(copy, version)
    (tmp_path / RECORD).write_text(recorded.to_json())
    store = Versions(Registry(copy, None, "fer").uri)
    store.log_papers(version, [tmp_path / RECORD], "a description")
    shutil.rmtree(copy / "catalogs")
    (copy / "runs" / made.made["run"].name / "network.safetensors").write_bytes(b"x")
    found = traced(copy)
    assert found.recorded
    assert found.ancestry == recorded
    assert Ancestry.from_json(store.paper(version, RECORD) or "") == recorded
    gone = descent.of_version(found)["gone"]
    assert gone == [
        f"catalogs/{made.made['catalog'].name} is gone",
        f"runs/{made.made['run'].name} is damaged",
    ]
    described = Registry(copy, None, "fer")._client.get_model_version("fer", "1")
    assert described.description == "a description"
    assert store.page_of(version, RECORD).endswith(f"runs/{version.run_id}/artifacts/{RECORD}")


def test_a_person_who_was_trained_on_and_one_who_was_tested_on(made: Home) -> None:
    found = trace_pictures.fn(LineageOptions(home=made.path, subject=made.trained))
    assert found.people == [Person("ck_plus", made.trained)]
    assert sorted(titles(found.models)) == [
        ("fer version 1", ("champion",)),
        ("fer version 2", ()),
        ("other version 1", ()),
    ]
    assert found.tested == []
    other = trace_pictures.fn(LineageOptions(home=made.path, subject=made.tested, dataset="ck_plus"))
    assert (other.models, titles(other.tested)) == ([], [("fer version 1", ("champion",))])
    lines = descent.lines(descent.of_pictures(other))
    assert lines[0] == f"{made.tested} of ck_plus"
    assert lines[-2:] == [
        "models that learnt from them  none",
        "models tested by them         fer version 1 (champion)",
    ]


def test_one_picture(made: Home) -> None:
    sample = min(people_of(made.path)[Person("ck_plus", made.trained)])
    found = trace_pictures.fn(LineageOptions(home=made.path, sample=sample))
    assert {use.pictures for use in found.uses if use.role != "start"} == {1}
    assert found.people == []
    assert len(found.models) == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"subject": "S0100"}, r"nobody in .* is called S0100; did you mean .*S010"),
        ({"subject": "S010", "dataset": "kdef"}, r"nobody of kdef in .* is called S010"),
        ({"sample": "none"}, r"nothing in .* has to do with a picture of sample_id none"),
    ],
)
def test_who_is_not_there_is_told_with_who_is(made: Home, asked: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        trace_pictures.fn(LineageOptions(home=made.path, **asked))


def test_somebody_who_has_withdrawn_is_told_with_the_models_that_had_learnt_from_them(copy: Path, made: Home) -> None:
    told = {"runs": (made.made["run"].name,), "unsure": (version_2(copy).tags["run"],)}
    add_withdrawals(copy, [replace(withdrawal_of("ck_plus", "Somebody"), **told)])
    found = trace_pictures.fn(LineageOptions(home=copy, subject="Somebody"))
    assert sorted(titles(found.models)) == [
        ("fer version 1", ("champion",)),
        ("fer version 2", ()),
        ("other version 1", ()),
    ]
    assert (found.people, found.uses, len(found.withdrawn)) == ([], [], 1)
    values = descent.of_version(traced(copy))
    assert values["withdrawn"] == 1
    assert traced(copy, version=2).withdrawn == 0, "it may have, which is not to say that it had"
    assert "1 of the people it learnt from have withdrawn" in descent.lines(values)


def test_looking_makes_no_registry(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", tiny.write_ck_plus(tmp_path))
    found = trace_pictures.fn(LineageOptions(home=home.path, subject=home.trained))
    assert found.models == []
    assert not store_file(home.path).parent.exists()
