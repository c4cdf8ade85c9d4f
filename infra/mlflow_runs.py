"""MLflow runs that hold no model: a table of runs, one below the other."""

import time
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, RunTag

PARENT = "mlflow.parentRunId"
"""The tag by which MLflow shows a run below another."""


class Runs:
    """Runs that hold no model."""

    def __init__(self, client: mlflow.MlflowClient, experiment_id: str) -> None:
        self._client, self._experiment_id = client, experiment_id

    def find(self, tag: str, value: str, status: str) -> list[str]:
        """The ids of the runs of this tag and status."""
        wanted = f"tags.`{tag}` = '{value}' and attributes.status = '{status}'"
        return [found.info.run_id for found in self._client.search_runs([self._experiment_id], wanted)]

    def start(self, name: str, tags: dict[str, str]) -> str:
        """A new run's id."""
        return self._client.create_run(self._experiment_id, tags=tags, run_name=name).info.run_id

    def log(self, run_id: str, params: dict[str, str], metrics: dict[str, float]) -> None:
        """Parameters and metrics at once."""
        now = int(time.time() * 1000)
        measured = [Metric(name, value, now, 0) for name, value in metrics.items()]
        self._client.log_batch(run_id, metrics=measured, params=[Param(*pair) for pair in params.items()])

    def set_tags(self, run_id: str, tags: dict[str, str]) -> None:
        """Tag a run."""
        self._client.log_batch(run_id, tags=[RunTag(*pair) for pair in tags.items()])

    def log_files(self, run_id: str, paths: list[Path]) -> None:
        """Files, and folders under their names."""
        for path in paths:
            if path.is_dir():
                self._client.log_artifacts(run_id, str(path), path.name)
            else:
                self._client.log_artifact(run_id, str(path))

    def end(self, run_id: str, status: str = "FINISHED") -> None:
        """Mark it finished, or what else it is."""
        self._client.set_terminated(run_id, status)


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
    """Log a table and its cells, unless that of this digest is logged already; the id of the table's run.

    What was cut off before its end is marked as killed and logged again. One process at a time may log a digest.

    Args:
        digest: letters, digits and hyphens.
    """
    logged = store.find("digest", digest, "FINISHED")
    if logged:
        return logged[0]
    for parent in store.find("digest", digest, "RUNNING"):
        for run in (*store.find(PARENT, parent, "RUNNING"), parent):
            store.end(run, "KILLED")
    parent = store.start(name, {"digest": digest})
    for cell in cells:
        child = store.start(cell.name, {**cell.tags, PARENT: parent})
        store.log(child, cell.params, cell.metrics)
        store.end(child)
    store.log_files(parent, artifacts)
    store.end(parent)  # last: what is cut off before is logged again
    return parent
