"""MLflow runs that hold no model: a table of runs, one below the other."""

import time
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param


class Runs:
    """Runs that hold no model."""

    def __init__(self, client: mlflow.MlflowClient, experiment_id: str) -> None:
        self._client, self._experiment_id = client, experiment_id

    def find(self, digest: str) -> str | None:
        """The id of the run with this tag `digest`, or None."""
        found = self._client.search_runs([self._experiment_id], f"tags.digest = '{digest}'", max_results=1)
        return found[0].info.run_id if found else None

    def start(self, name: str, tags: dict[str, str]) -> str:
        """A new run's id."""
        return self._client.create_run(self._experiment_id, tags=tags, run_name=name).info.run_id

    def log(self, run_id: str, params: dict[str, str], metrics: dict[str, float]) -> None:
        """Parameters and metrics at once."""
        now = int(time.time() * 1000)
        measured = [Metric(name, value, now, 0) for name, value in metrics.items()]
        self._client.log_batch(run_id, metrics=measured, params=[Param(*pair) for pair in params.items()])

    def log_files(self, run_id: str, paths: list[Path]) -> None:
        """Files, and folders under their names."""
        for path in paths:
            if path.is_dir():
                self._client.log_artifacts(run_id, str(path), path.name)
            else:
                self._client.log_artifact(run_id, str(path))

    def tag(self, run_id: str, name: str, value: str) -> None:
        """Tag a run."""
        self._client.set_tag(run_id, name, value)

    def end(self, run_id: str) -> None:
        """Mark it finished."""
        self._client.set_terminated(run_id)


@dataclass(frozen=True)
class MatrixCell:
    """One cell as a run below the table's.

    Attributes:
        name: row and column.
        params, metrics, tags: of the run.
    """

    name: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


def log_matrix(store: Runs, name: str, digest: str, cells: list[MatrixCell], artifacts: list[Path]) -> str:
    """Log a table and its cells, unless that of this digest is logged already; the id of the table's run."""
    known = store.find(digest)
    if known is not None:
        return known
    parent = store.start(name, {"digest-unfinished": digest})
    for cell in cells:
        child = store.start(cell.name, {**cell.tags, "mlflow.parentRunId": parent})
        store.log(child, cell.params, cell.metrics)
        store.end(child)
    store.log_files(parent, artifacts)
    store.tag(parent, "digest", digest)  # last: what is cut off before is logged again
    store.end(parent)
    return parent
