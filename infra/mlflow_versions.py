"""What a model store holds: its versions with their aliases and runs, and the papers that go with one."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException

from fer_core.errors import InputError
from infra.mlflow_engine import client_of
from infra.mlflow_refusals import plainly


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model.

    Attributes:
        run_id: of the MLflow run that logged it; None: it was registered by other means.
        created: seconds since the epoch.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run_id: str | None
    created: float

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.name} version {self.version}"


class Versions:
    """All versions of all model names of a store.

    Args:
        uri: of the store.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client = client_of(uri)

    def all(self) -> list[ModelVersion]:
        """By name, the newest first.

        Raises:
            InputError: the registry does not answer.
        """
        found: list[ModelVersion] = []
        token = None
        while True:
            try:
                with plainly(self.uri):
                    page = self._client.search_registered_models(page_token=token)
                    for model in page:
                        found += self._of(model.name, model.aliases)
            except MlflowException as error:
                raise InputError(f"the model registry does not say what it holds: {error.message}") from error
            token = page.token
            if not token:
                return found

    def _of(self, name: str, version_of: dict[str, str]) -> list[ModelVersion]:
        found, token = [], None
        while True:
            page = self._client.search_model_versions(f"name='{name}'", page_token=token)
            for made in page:
                number, created = int(made.version), made.creation_timestamp / 1000
                aliases = tuple(sorted(alias for alias, named in version_of.items() if int(named) == number))
                found.append(ModelVersion(name, number, aliases, made.tags, made.run_id, created))
            token = page.token
            if not token:
                return found

    def paper(self, version: ModelVersion, name: str) -> str | None:
        """The text of a file that was logged with the run of a version; None where there is none."""
        if version.run_id is None:
            return None
        with plainly(self.uri), tempfile.TemporaryDirectory() as folder:
            if name not in [file.path for file in self._client.list_artifacts(version.run_id)]:
                return None
            return Path(self._client.download_artifacts(version.run_id, name, folder)).read_text()

    def page_of(self, version: ModelVersion, name: str) -> str:
        """Where MLflow's own pages show a file that was logged with the run of a version."""
        assert version.run_id is not None
        with plainly(self.uri):
            experiment = self._client.get_run(version.run_id).info.experiment_id
        return f"#/experiments/{experiment}/runs/{version.run_id}/artifacts/{name}"

    def log_papers(self, version: ModelVersion, papers: list[Path], description: str) -> None:
        """Log files with the run of a version, and say in a few sentences what the version is."""
        assert version.run_id is not None
        with plainly(self.uri):
            for paper in papers:
                self._client.log_artifact(version.run_id, str(paper))
            self._client.update_model_version(version.name, str(version.version), description)
