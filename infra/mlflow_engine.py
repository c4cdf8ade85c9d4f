"""MLflow's runs, lineage and registry."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import mlflow.data.meta_dataset
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from fer_core.code_digest import PACKAGE
from fer_core.errors import InputError
from fer_core.files import write_atomically
from fer_core.locks import alone
from fer_core.predictor import Predictor
from fer_core.promotions import Aliases
from infra.mlflow_models import MODEL_CODE, PROJECT, log_model, logged_code_digest
from infra.mlflow_refusals import plainly
from infra.mlflow_runs import Runs
from infra.settings import PICKLES_REFUSED, environment

EXPERIMENT = "fer"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"


def store_file(home: Path) -> Path:
    """The SQLite store of a home."""
    return home.absolute() / "mlflow" / "mlflow.db"


def own_uri(home: Path) -> str:
    """Of that store."""
    return f"sqlite:///{store_file(home)}"


def make_store(home: Path) -> None:
    """Make the SQLite store of a new home.

    Processes that open a half-made file at once ruin it: so one at a time looks, makes the tables under another name
    and renames the file when it is whole.
    """
    folder = store_file(home).parent
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / "store.lock"):
        if not store_file(home).exists():
            write_atomically(store_file(home), _make_tables)


def _make_tables(file: Path) -> None:
    client_of(f"sqlite:///{file}").search_experiments()


def client_of(uri: str) -> mlflow.MlflowClient:
    """A client of a store, which tells of nothing but trouble."""
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def _pointed_at(uri: str) -> Iterator[None]:
    """MLflow's own functions use this store, and unpickle nothing that they find there.

    MLflow keeps the store in the environment as well, where the next command that this process runs or starts, for
    another home, would take it for the user's wish: so that is put back.

    Raises:
        InputError: the server refuses the user.
    """
    with environment({"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri, **PICKLES_REFUSED}), plainly(uri):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        yield


@contextmanager
def _but_for(error_code: str) -> Iterator[None]:
    """Whatever MLflow raises but this, which is no fault where it is asked."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != error_code:
            raise


@dataclass(frozen=True)
class Candidate:
    """What is logged and registered of an evaluated model.

    Attributes:
        digest: of the evaluation; a version with it is not registered again.
        params, metrics, tags: of the run; tags are the version's too, which also has the digest and that of the code.
        history: one row of training means an epoch.
        data_digest, data_source: of the faces that were trained on.
        artifacts: files and folders that are logged beside the model.
        run, level: folders of the model's files.
    """

    digest: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    history: list[dict[str, float]]
    data_digest: str
    data_source: str
    artifacts: list[Path]
    run: Path
    level: Path


class Registry:
    """The runs and the versions of one model name.

    Args:
        home: where the SQLite store and the artifacts are, unless `uri` is set.
        uri: of a team's MLflow server.
        model_name: the registered model.
    """

    def __init__(self, home: Path, uri: str | None, model_name: str) -> None:
        if uri is None:
            make_store(home)
        self.uri = uri or own_uri(home)
        self.model_name = model_name
        self._home = home.absolute()
        self._client = client_of(self.uri)

    def register(self, candidate: Candidate) -> tuple[int, bool]:
        """Log a run with the model and register it: the version, and whether one with the digest was there before."""
        with self.locked():
            return self._register(candidate)

    def _register(self, candidate: Candidate) -> tuple[int, bool]:
        known = self._client.search_model_versions(f"name='{self.model_name}' and tags.digest='{candidate.digest}'")
        if known:
            return int(known[0].version), True
        code_digest = logged_code_digest(PROJECT / PACKAGE, MODEL_CODE)  # an edit from here on leaves it unproven
        with mlflow.start_run(experiment_id=self._experiment(), run_name=candidate.tags["title"]) as run:
            self._log(run.info.run_id, candidate)
            model_uri, model_id = log_model(candidate.run, candidate.level)
        with _but_for("RESOURCE_ALREADY_EXISTS"):
            self._client.create_registered_model(self.model_name)
        tags = {**candidate.tags, "digest": candidate.digest, "code_digest": code_digest}
        version = self._client.create_model_version(
            self.model_name, model_uri, run.info.run_id, tags=tags, model_id=model_id
        )
        return int(version.version), False

    def aliases(self) -> Aliases:
        """What the aliases point at, read at once. A registry that does not answer raises: it is not an empty one."""
        found: dict[str, str] = {}
        with _pointed_at(self.uri), _but_for("RESOURCE_DOES_NOT_EXIST"):
            found = self._client.get_registered_model(self.model_name).aliases
        return Aliases(**{name: int(found[name]) for name in (CHAMPION, CHALLENGER, PREVIOUS) if name in found})

    def version_of(self, alias: str) -> int | None:
        """The version that one of these aliases points at, or None."""
        return getattr(self.aliases(), alias)

    def tags_of(self, version: int) -> dict[str, str]:
        """The tags of a version.

        Raises:
            InputError: there is no such version.
        """
        with _pointed_at(self.uri), _but_for("RESOURCE_DOES_NOT_EXIST"):
            return self._client.get_model_version(self.model_name, str(version)).tags
        raise InputError(f"model {self.model_name} has no version {version}")

    def set_tag(self, version: int, name: str, value: str | None) -> None:
        """Tag a version; None takes the tag away, if it is set."""
        if value is not None:
            self._client.set_model_version_tag(self.model_name, str(version), name, value)
        elif name in self.tags_of(version):
            self._client.delete_model_version_tag(self.model_name, str(version), name)

    def set_alias(self, alias: str, version: int | None) -> None:
        """Point an alias at a version; None takes it away, if it is set."""
        if version is not None:
            self._client.set_registered_model_alias(self.model_name, alias, str(version))
        elif getattr(self.aliases(), alias) is not None:
            self._client.delete_registered_model_alias(self.model_name, alias)

    def artifact(self, version: int, name: str) -> Path:
        """A local copy of an artifact of the run that made a version.

        Raises:
            InputError: it is not there.
        """
        return self._copy_of(f"runs:/{self.run_of(version)}/{name}", version, name)

    def run_of(self, version: int) -> str:
        """The id of the run that made a version."""
        return str(self._client.get_model_version(self.model_name, str(version)).run_id)

    def model_file(self, version: int, name: str) -> Path:
        """A local copy of one of the files that a version's model was logged with, or of a folder of them.

        Args:
            name: the folder it was logged from, and the file.

        Raises:
            InputError: it is not there.
        """
        return self._copy_of(f"models:/{self.model_name}/{version}/artifacts/{name}", version, name)

    def model_part(self, version: int, name: str) -> Path:
        """A local copy of what MLflow keeps beside those files: the folder `code`, `requirements.txt`.

        Raises:
            InputError: it is not there.
        """
        return self._copy_of(f"models:/{self.model_name}/{version}/{name}", version, name)

    def _copy_of(self, uri: str, version: int, name: str) -> Path:
        try:
            with _pointed_at(self.uri):
                return Path(mlflow.artifacts.download_artifacts(uri))
        except (MlflowException, OSError) as error:
            raise InputError(f"model {self.model_name} version {version} has lost its file {name}: {error}") from error

    def predictor(self, version: int) -> Predictor:
        """A version's model, loaded as any user of it would; its code is run.

        Raises:
            InputError: it cannot be loaded, as where it is a pickle, or has lost a file.
        """
        try:
            with _pointed_at(self.uri):
                loaded = mlflow.pyfunc.load_model(f"models:/{self.model_name}/{version}")
        except InputError:
            raise
        except Exception as error:  # its own code was run on its own files, and may raise anything
            raise InputError(f"model {self.model_name} version {version} cannot be loaded: {error}") from error
        return loaded.unwrap_python_model().predictor

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among the processes of this home: reading the champion and moving its alias are one step."""
        with alone(self._home / "mlflow" / f"{self.model_name}.lock"), _pointed_at(self.uri):
            yield

    def runs(self, experiment: str) -> Runs:
        """The plain runs of an experiment of this store."""
        return Runs(self._client, self._experiment(experiment))

    def _experiment(self, name: str = EXPERIMENT) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        here = (self._home / "mlflow" / "artifacts").as_uri() if self.uri.startswith("sqlite:") else None
        return self._client.create_experiment(name, artifact_location=here)

    def _log(self, run_id: str, candidate: Candidate) -> None:
        now = int(time.time() * 1000)
        final = [Metric(name, value, now, 0) for name, value in candidate.metrics.items()]
        course = [
            Metric(f"train_{name}", value, now, int(row["epoch"]))
            for row in candidate.history
            for name, value in row.items()
            if name not in ("epoch", "step", "steps")
        ]
        params = [Param(name, value) for name, value in candidate.params.items()]
        tags = [RunTag(name, value) for name, value in candidate.tags.items()]
        for start in range(0, len(final + course), 1000):
            self._client.log_batch(run_id, metrics=(final + course)[start : start + 1000])
        self._client.log_batch(run_id, params=params, tags=tags)
        with warnings.catch_warnings():  # MLflow registers local folders twice and warns of the choice
            warnings.simplefilter("ignore", UserWarning)
            source = resolve_dataset_source(candidate.data_source)
        faces = mlflow.data.meta_dataset.MetaDataset(  # type: ignore[abstract]
            source, name="faces", digest=candidate.data_digest
        )
        mlflow.log_input(faces, context="training")
        self.runs(EXPERIMENT).log_files(run_id, candidate.artifacts)
