"""The experiment command as a person runs it: a table of one's own, reuse, a kill, two networks at once, all tables."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from whole_commands import killed_when, run, start

from fer_core.experiments import spec
from infra.mlflow_engine import Registry
from infra.mlflow_runs import PARENT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy
]
OWN: dict[str, Any] = {
    "title": "Our own",
    "question": "Is the manifold better than a classifier?",
    "metrics": ["accuracy", "knn_accuracy"],
    "unit": "percent",
    "base": {
        "backbone": "resnet18",
        "face_size": 32,
        "batch_size": 16,
        "epochs": 2,
        "rotations": [0],
        "resamples": 100,
        "synthetic": {"identities": 6, "takes": 1},
    },
    "columns": {"drawn": {"data": "synthetic"}, "CK+": {"data": "ck_plus"}},
    "rows": {"Classifier": {"method": "cnn"}, "Manifold": {"method": "sgm"}},
    "published": {"Classifier": {"drawn": {"accuracy": 40}}, "Manifold": {"drawn": {"accuracy": 50}}},
    "deviations": ["Two epochs on six people who were never born."],
    "figures": ["confusion", "roc"],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    own = tmp_path_factory.mktemp("own") / "our own.yaml"
    own.write_text(yaml.safe_dump(OWN, sort_keys=False))
    return str(own)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, file: str) -> tuple[Path, dict[str, Any]]:
    home = tmp_path_factory.mktemp("home")
    return home, run(home, "experiment", file, "--json", "--cost-per-hour", "3600").values


def measured(values: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """What must not differ from run to run."""
    return [(cell["row"], cell["column"], cell["ours"], cell["evaluations"]) for cell in values["cells"]]


def made_at(home: Path, pattern: str) -> dict[str, int]:
    """When each file of some directories was made; a manifest is touched where it is used."""
    files = [file for file in home.glob(f"{pattern}/*") if file.suffix in (".safetensors", ".parquet", ".html")]
    return {file.relative_to(home).as_posix(): file.stat().st_mtime_ns for file in files}


def test_a_table_of_ones_own(undisturbed: tuple[Path, dict[str, Any]]) -> None:
    _, values = undisturbed
    (classifier, empty, manifold, other) = values["cells"]
    for cell in (classifier, manifold):
        assert cell["runs"] == 1
        assert cell["missing"] is None
        assert set(cell["ours"]) == {"accuracy", "knn_accuracy"}
        assert cell["seconds"] > 0
        assert cell["cost"] == pytest.approx(cell["seconds"])
    for cell in (empty, other):
        assert (cell["missing"], cell["ours"], cell["seconds"]) == ("ck_plus", {}, None)
    assert values["training_seconds"] == pytest.approx(classifier["seconds"] + manifold["seconds"])
    assert values["cost"] == pytest.approx(values["training_seconds"])
    assert values["reused"] == []
    assert [line.split("  ")[0] for line in values["table"]] == ["", "Classifier", "Manifold"]
    assert values["orders"][0]["better"] == "Manifold"
    assert Path(values["directory"]).name.startswith("our-own-")
    page = Path(values["report"]).read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "not at hand: ck_plus" in page
    stored = json.loads((Path(values["directory"]) / "results.json").read_text())
    assert stored.items() <= values.items()
    assert values["seeds"] == [0]
    assert values["deviations"] == OWN["deviations"]
    common, *of_rows = values["settings"]
    assert (common["of"], common["settings"]["epochs"], common["settings"]["weights"]) == ("all", 2, "random")
    assert {one["of"]: one["settings"]["method"] for one in of_rows} == {"row Classifier": "cnn", "row Manifold": "sgm"}
    assert classifier["settings"]["training_faces"] == manifold["settings"]["training_faces"]
    assert values["undrawn"] == [{"figure": "roc", "reason": "no cell here was tested on pairs"}]
    assert "Not drawn: roc" in page
    assert OWN["deviations"][0] in page


def test_the_table_is_an_mlflow_run_with_two_below_it(undisturbed: tuple[Path, dict[str, Any]]) -> None:
    home, values = undisturbed
    store = Registry(home, None, "fer").runs("fer-experiments")
    assert store.find("digest", Path(values["directory"]).name, "FINISHED") == [values["mlflow_run"]]
    assert len(store.find(PARENT, values["mlflow_run"], "FINISHED")) == 2


def test_the_same_command_again_trains_nothing(undisturbed: tuple[Path, dict[str, Any]], file: str) -> None:
    home, values = undisturbed
    before = made_at(home, "*/*")
    again = run(home, "experiment", file, "--json", "--cost-per-hour", "3600").values
    assert {"train", "subdivide", "evaluate", "table"} <= set(again["reused"])
    assert made_at(home, "*/*") == before
    same = ("cells", "orders", "table", "directory", "mlflow_run", "training_seconds", "cost")
    assert {name: again[name] for name in same} == {name: values[name] for name in same}


def test_a_killed_experiment_goes_on_with_the_cell_it_was_in(
    tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]], file: str
) -> None:
    process = start(tmp_path, "experiment", file, "--json")
    killed_when(process, tmp_path, "runs/synthetic-sgm-*/started.json")
    first = made_at(tmp_path, "*/synthetic-cnn-*")
    assert {file.split("/")[0] for file in first} == {"runs", "subdivisions", "evaluations"}
    assert not made_at(tmp_path, "runs/synthetic-sgm-*")
    values = run(tmp_path, "experiment", file, "--json").values
    assert first.items() <= made_at(tmp_path, "*/*").items()
    assert measured(values) == measured(undisturbed[1])
    assert values["table"] == undisturbed[1]["table"]
    assert (values["cost"], values["cells"][0]["cost"]) == (None, None)


def test_networks_that_are_trained_at_once_give_the_same_table(
    tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]], file: str
) -> None:
    values = run(tmp_path, "experiment", file, "--json", "--parallel", "2").values
    assert measured(values) == measured(undisturbed[1])
    assert values["table"] == undisturbed[1]["table"]
    assert "train" in values["reused"], "the cells find their networks made"


def test_a_cell_that_fails_is_named_and_tried_again(tmp_path: Path) -> None:
    rows = {"Views": {"method": "dml_net"}, "Classifier": {"method": "cnn"}}
    own = tmp_path / "fails.yaml"
    own.write_text(yaml.safe_dump({**OWN, "rows": rows, "published": {"Views": {"drawn": {"accuracy": 50}}}}))
    arguments = ("experiment", str(own), "--columns", "drawn", "--json")
    home = tmp_path / "home"
    for _ in range(2):
        told = run(home, *arguments, code=1)
        classifier, views = told.values["cells"]
        assert (views["ours"], views["runs"], classifier["failed"]) == ({}, 0, None)
        assert told.values["failed"] == [{"row": "Views", "column": "drawn", "error": views["failed"]}]
        assert "there is only one pose" in views["failed"]
        assert f"failed: Views, drawn: {views['failed']}" in told.err
        assert classifier["ours"]["accuracy"]
        assert "Views, drawn failed" in Path(told.values["report"]).read_text()
    assert run(home, *arguments, "--rows", "Classifier").values["failed"] == []


def test_a_dry_run_makes_nothing(tmp_path: Path, file: str) -> None:
    told = run(tmp_path, "experiment", file, "--dry-run", "--set", "mul_dml.thresholds=[0.2,0.4]")
    assert "Classifier, CK+: left empty, no --data ck_plus=FOLDER" in told.out
    assert "--mul-dml.thresholds 0.2,0.4" in told.out
    assert not list(tmp_path.glob("*/*/manifest.json"))


NEED_MORE = {"training", "label_audit", "identity_clusters"}
"""Figures of which one epoch on a few faces may show nothing."""
UNTOLD = {"tar_at_far_0.001", "tar_at_far_0.0001", *(f"satisfied_triplets_{votes}" for votes in (5, 3, 1))}
"""Metrics that a few pairs cannot tell, and those of people's answers, which nobody gave on drawn faces."""


@pytest.fixture(scope="module")
def smoke_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tables, which share catalogs and faces."""
    return tmp_path_factory.mktemp("smoke")


@pytest.mark.parametrize("name", spec.names())
def test_every_table_has_a_smoke_run_of_two_minutes(smoke_home: Path, name: str) -> None:
    ended = run(smoke_home, "experiment", name, "--smoke", "--json")
    values = ended.values
    matrix = spec.read_experiment(name).of_size(smoke=True)
    assert ended.processor_seconds is not None
    assert ended.processor_seconds < 120
    ours = [cell for cell in values["cells"] if not cell.get("cited")]
    assert len(ours) == len(matrix.rows) * len(matrix.columns)
    assert all(cell["runs"] >= 1 and cell["missing"] is None for cell in ours)
    for column in matrix.columns:
        told = {metric for cell in ours if cell["column"] == column for metric in cell["ours"]}
        assert set(matrix.metrics_of(column)) - told <= UNTOLD
    drawn = {picture.stem.split("-")[0] for picture in Path(values["directory"]).glob("figures/*.png")}
    assert set(matrix.figures) - drawn <= NEED_MORE
    assert set(matrix.figures) - drawn <= {one["figure"] for one in values["undrawn"]}
    assert values["failed"] == []
    assert "its numbers say nothing" in Path(values["report"]).read_text()
    assert values["mlflow_run"]
