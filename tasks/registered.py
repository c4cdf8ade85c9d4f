"""Registered models in use: which version, what it is made of, what it was tested on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.directories import MANIFEST, folder_at, read_manifest
from fer_core.errors import InputError
from fer_core.options.stages import CropOptions
from fer_core.predictor import Predictor
from fer_core.runs import DESCRIPTION, RunDescription
from infra.mlflow_engine import CHAMPION, Registry
from infra.mlflow_versions import Versions
from tasks.evaluation import PREDICTIONS
from tasks.registry import open_registry


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a registered model.

    Attributes:
        content: of its run and its level: what depends on the model goes by these.
        description: how its network was made.
    """

    registry: Registry
    version: int
    content: dict[str, str]
    description: RunDescription

    @property
    def name(self) -> str:
        """The model's."""
        return self.registry.model_name

    @property
    def title(self) -> str:
        """What messages and `expression_by` call it."""
        return f"{self.name} version {self.version}"

    @property
    def decides_by(self) -> str:
        """As methods.Method.decides_by."""
        return self.description.build_method().decides_by

    def predictor(self) -> Predictor:
        """Load it."""
        return self.registry.predictor(self.version)

    def faces(self) -> Path | None:
        """The directory of the face crops that it was trained on; None where it is gone."""
        directory = folder_at(self.registry.tags_of(self.version)["faces"])
        return directory if (directory / MANIFEST).exists() else None

    def evaluation(self) -> pa.Table:
        """What it said of the people it was tested on."""
        return pq.read_table(self.registry.artifact(self.version, PREDICTIONS))


@task(cache_policy=NO_CACHE)
def find_model(
    home: Path, name: str, version: int | None, looks_at: Literal["pictures", "points"] = "pictures"
) -> RegisteredModel:
    """Look a model up in the registry.

    Args:
        version: None takes the champion.

    Raises:
        InputError: there is no such version, no champion, or the model does not look at what it is to look at.
    """
    return registered(home, name, version, looks_at)


def registered(
    home: Path, name: str, version: int | None, looks_at: Literal["pictures", "points"] | None = "pictures"
) -> RegisteredModel:
    """As find_model, within a task; `looks_at` None takes a model of either."""
    registry = open_registry(home, name)
    version = version or registry.version_of(CHAMPION)
    if version is None:
        raise _no_champion(registry)
    tags = registry.tags_of(version)
    manifests = {
        part: read_manifest(registry.model_file(version, f"{tags[part]}/{MANIFEST}").parent) for part in _PARTS
    }
    content = {part: manifest.content for part, manifest in manifests.items()}
    described = json.loads(registry.model_file(version, f"{tags['run']}/{DESCRIPTION}").read_text())
    made = RegisteredModel(registry, version, content, RunDescription(**described))
    if looks_at is not None and made.description.build_method().inputs != looks_at:
        raise InputError(f"{made.title} ({made.description.method}) {_OTHERWISE[looks_at]}")
    return made


_PARTS = ("run", "level")
_OTHERWISE = {
    "pictures": "looks at landmarks, not at pictures; `score --task landmarks --landmarks FILE` asks it",
    "points": "looks at pictures, not at landmarks; `score --source FOLDER` asks it",
}


def _no_champion(registry: Registry) -> InputError:
    versions = Versions(registry.uri).all()
    own = [version.title for version in versions if version.name == registry.model_name]
    if own:
        return InputError(
            f"model {registry.model_name} has no champion; promote one of {', '.join(own)}, or name it by its number"
        )
    names = sorted({version.name for version in versions})
    known = f"it holds {', '.join(names)}" if names else "it is empty: run retrain first"
    return InputError(f"there is no model {registry.model_name} in the registry {registry.uri}; {known}")


def labeller_of(options: CropOptions) -> RegisteredModel | None:
    """The expression model that `--expressions estimated` asks; None where it is not given.

    Raises:
        InputError: there is no such model, or it says no expression.
    """
    if options.expression_model is None:
        return None
    model = registered(options.home, options.expression_model, options.expression_version)
    if model.decides_by == "distance":
        raise InputError(f"--expression-model: {model.title} tells people apart and says no expression")
    return model
