"""A table of runs, one below the other, in a store of its own."""

import os
from pathlib import Path

import mlflow
import pytest

from fer_core.errors import InputError
from infra.mlflow_engine import Registry
from infra.mlflow_runs import PARENT, MatrixCell, Runs, log_matrix

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy
]
EXPERIMENT = "tables"
CELLS = [
    MatrixCell("one, CK+", {"method": "cnn"}, {"accuracy": 0.5, "tar_at_far_0.01": 0.25}, {"interval_by": "10 folds"}),
    MatrixCell("two, CK+ (48 pixels)", {"method": "sgm"}, {"accuracy": 0.75}, {"interval_by": "10 folds"}),
]


class Cut(Exception):
    """What a kill is."""


class CutStore(Runs):
    """Is cut off at a call."""

    def __init__(self, store: Runs, method: str, number: int) -> None:
        super().__init__(store._client, store._experiment_id)
        self.method, self.left = method, number

    def _count(self, method: str) -> None:
        self.left -= method == self.method
        if not self.left:
            raise Cut

    def start(self, name: str, tags: dict[str, str]) -> str:
        self._count("start")
        return super().start(name, tags)

    def log(self, run_id: str, params: dict[str, str], metrics: dict[str, float]) -> None:
        self._count("log")
        super().log(run_id, params, metrics)

    def log_files(self, run_id: str, paths: list[Path]) -> None:
        self._count("log_files")
        super().log_files(run_id, paths)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def store(home: Path) -> Runs:
    return Registry(home, None, "fer").runs(EXPERIMENT)


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Path]:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "results.png").write_bytes(b"picture")
    (tmp_path / "report.html").write_text("page")
    return [tmp_path / "report.html", tmp_path / "figures"]


def runs_of(store: Runs, where: str) -> list[mlflow.entities.Run]:
    return list(store._client.search_runs([store._experiment_id], where))


def below(store: Runs, parent: str) -> list[mlflow.entities.Run]:
    return runs_of(store, f"tags.`{PARENT}` = '{parent}'")


def test_a_table_is_a_run_with_a_run_below_it_for_each_cell(home: Path, store: Runs, artifacts: list[Path]) -> None:
    parent = log_matrix(store, "own.yaml", "own-1", CELLS, artifacts)
    logged = store._client.get_run(parent)
    assert (logged.info.run_name, logged.info.status, logged.data.tags["digest"]) == ("own.yaml", "FINISHED", "own-1")
    children = {run.info.run_name: run for run in below(store, parent)}
    assert [*sorted(children)] == [cell.name for cell in CELLS]
    for cell in CELLS:
        run = children[cell.name]
        assert (run.data.params, run.data.metrics, run.info.status) == (cell.params, cell.metrics, "FINISHED")
        assert run.data.tags["interval_by"] == "10 folds"
    files = [artifact.path for artifact in store._client.list_artifacts(parent)]
    assert files == ["figures", "report.html"]
    assert [artifact.path for artifact in store._client.list_artifacts(parent, "figures")] == ["figures/results.png"]
    assert list((home / "mlflow" / "artifacts").rglob("results.png"))


def test_the_same_table_is_logged_once(store: Runs, artifacts: list[Path]) -> None:
    first = log_matrix(store, "own.yaml", "own-2", CELLS, artifacts)
    assert log_matrix(store, "own.yaml", "own-2", CELLS, artifacts) == first
    assert len(below(store, first)) == 2
    other = log_matrix(store, "own.yaml", "own-3", CELLS[:1], artifacts)
    assert other != first
    assert len(below(store, other)) == 1


@pytest.mark.parametrize(("method", "number"), [("start", 3), ("log", 2), ("log_files", 1)])
def test_what_was_cut_off_is_marked_and_logged_again(
    store: Runs, artifacts: list[Path], method: str, number: int
) -> None:
    digest = f"cut-{method}"
    with pytest.raises(Cut):
        log_matrix(CutStore(store, method, number), "own.yaml", digest, CELLS, artifacts)
    (left,) = runs_of(store, f"tags.digest = '{digest}'")
    assert left.info.status == "RUNNING"
    parent = log_matrix(store, "own.yaml", digest, CELLS, artifacts)
    assert parent != left.info.run_id
    assert len(below(store, parent)) == 2
    assert {run.info.status for run in below(store, parent)} == {"FINISHED"}
    assert store._client.get_run(left.info.run_id).info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in below(store, left.info.run_id)}
    assert log_matrix(store, "own.yaml", digest, CELLS, artifacts) == parent


def test_a_long_list_of_options_and_a_table_without_cells(store: Runs, artifacts: list[Path]) -> None:
    long = MatrixCell("long", {"synthetic": "x" * 10_000}, {}, {"evaluations": "y" * 20_000})
    (child,) = below(store, log_matrix(store, "own.yaml", "long-1", [long], artifacts))
    assert child.data.params["synthetic"].startswith("xxx")
    assert below(store, log_matrix(store, "own.yaml", "empty-1", [], artifacts)) == []


@pytest.mark.parametrize("wished", [None, "http://127.0.0.1:9"])
def test_the_store_that_is_used_is_not_left_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wished: str | None
) -> None:
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    for name in names:
        monkeypatch.delenv(name, raising=False)
        if wished is not None:
            monkeypatch.setenv(name, wished)
    with pytest.raises(InputError, match="has lost its file run/model"):
        Registry(tmp_path, None, "fer").model_file(1, "run/model")
    assert {os.environ.get(name) for name in names} == {wished}
