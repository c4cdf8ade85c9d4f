"""A version is promoted only if its data, files, test results and code are what they were: each is tampered with."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import promotion_steps
import pytest
from promotion_fixtures import home as home
from promotion_fixtures import template as template
from promotion_steps import aliases, decisions, promote

from fer_core.directories import MANIFEST
from infra.mlflow_engine import Registry
from infra.mlflow_models import LOGGED_CODE, logged_code_digest
from tasks import promotion
from tasks.evaluation import METRICS, PREDICTIONS
from tasks.proof import doubt_of
from tasks.registry import open_registry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy
]


@pytest.fixture
def registry(home: Path) -> Registry:
    return open_registry(home, "fer")


@pytest.fixture
def as_it_was() -> Iterator[Callable[[Path], Path]]:
    """Keeps a file or folder that a test will tamper with, and puts it back: the template is shared."""
    kept: list[tuple[Path, Path]] = []

    def keep(path: Path) -> Path:
        copy = path.with_name(f"{path.name}.kept")
        path.rename(copy)
        (shutil.copytree if copy.is_dir() else shutil.copy)(copy, path)
        kept.append((path, copy))
        return path

    yield keep
    for path, copy in kept:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        copy.rename(path)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_version_as_it_was_registered_is_proven(registry: Registry) -> None:
    assert [doubt_of(registry, version) for version in (1, 2, 3)] == [None] * 3


def logged_now(registry: Registry) -> str:
    return logged_code_digest(*(registry.model_part(1, name) for name in LOGGED_CODE))


def artifact(name: str, version: int = 1) -> Callable[[Registry], Path]:
    """The stored file, of which Registry.artifact gives a copy."""

    def find(registry: Registry) -> Path:
        folder = registry._client.get_run(registry.run_of(version)).info.artifact_uri
        return Path(folder.removeprefix("file://")) / name

    return find


def of_model(tag: str, name: str) -> Callable[[Registry], Path]:
    return lambda registry: registry.model_file(1, f"{registry.tags_of(1)[tag]}/{name}")


def part(name: str) -> Callable[[Registry], Path]:
    return lambda registry: registry.model_part(1, name)


def of_faces(name: str) -> Callable[[Registry], Path]:
    return lambda registry: Path(registry.tags_of(1)["faces"]) / name


@pytest.mark.parametrize(
    ("find", "said"),
    [
        (artifact(PREDICTIONS), "predictions.parquet in MLflow is not the evaluation's"),
        (artifact(METRICS), "metrics.json in MLflow is not the evaluation's"),
        (of_faces("part-00000.parquet"), "part-00000.parquet missing or damaged; run `prepare --repair`"),
        (of_model("run", "network.safetensors"), "the run in MLflow: network.safetensors missing or damaged"),
        (of_model("run", "run.json"), "the run in MLflow: run.json missing or damaged"),
        (of_model("level", "labels.parquet"), "the level in MLflow: labels.parquet missing or damaged"),
        (part("code/fer_core/predictor.py"), "the code in MLflow is not what was logged"),
        (part("registered_model.py"), "the code in MLflow is not what was logged"),
    ],
)
@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_file_that_was_tampered_with(
    registry: Registry,
    as_it_was: Callable[[Path], Path],
    find: Callable[[Registry], Path],
    said: str,
    damage: Callable[[Path], None],
) -> None:
    damage(as_it_was(find(registry)))
    doubt = doubt_of(registry, 1)
    assert doubt is not None
    assert said in doubt or (damage is Path.unlink and "has lost its file" in doubt)
    assert damage is not flip or said in doubt


@pytest.mark.parametrize(
    ("find", "old", "new", "said"),
    [
        (artifact(MANIFEST), '"number": 1', '"number": 9', "manifest.json in MLflow is not that of evaluations-"),
        (of_model("run", MANIFEST), '"config": {}', '"config": {"lr": 1}', "the run in MLflow is not the one"),
        (of_model("run", MANIFEST), '"sha256": "', '"sha256": "0', "the run in MLflow is not the one"),
        (of_model("level", MANIFEST), '"sha256": "', '"sha256": "0', "the level in MLflow is not the one"),
        (of_faces(MANIFEST), '"sha256": "', '"sha256": "0', "are no longer those that the model was trained on"),
        (part("requirements.txt"), "numpy==", "numpy==0", "the run was made by other code or libraries"),
    ],
)
def test_a_text_that_was_tampered_with(
    registry: Registry,
    as_it_was: Callable[[Path], Path],
    find: Callable[[Registry], Path],
    old: str,
    new: str,
    said: str,
) -> None:
    file = as_it_was(find(registry))
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    assert said in str(doubt_of(registry, 1))


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("data_digest", "made from other faces than the tag data_digest says"),
        ("evaluation", "is not that of other"),
        ("evaluation_digest", "is not that of evaluations-"),
        ("code_digest", "the code in MLflow is not what was logged"),
        ("faces", "has no manifest.json"),
    ],
)
def test_a_tag_that_was_tampered_with(registry: Registry, tag: str, said: str) -> None:
    registry.set_tag(1, tag, "other")
    assert said in str(doubt_of(registry, 1))
    registry.set_tag(1, tag, None)
    assert f"version 1 has no tag {tag}" in str(doubt_of(registry, 1))


def test_code_that_was_changed_between_training_and_registering(
    registry: Registry, as_it_was: Callable[[Path], Path]
) -> None:
    file = as_it_was(registry.model_part(1, "code/fer_core/sampling/balanced.py"))
    file.write_text(f"{file.read_text()}\n\nMORE = 1\n")
    registry.set_tag(1, "code_digest", logged_now(registry))
    assert "the run was made by other code" in str(doubt_of(registry, 1))
    file.write_text("def (")
    registry.set_tag(1, "code_digest", logged_now(registry))
    assert "is not Python" in str(doubt_of(registry, 1))


def test_what_cannot_be_proven_is_not_promoted_until_it_can(
    home: Path, registry: Registry, as_it_was: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    promotion_steps.use_table(monkeypatch)
    promote(home, 1)
    monkeypatch.setattr(promotion, "doubt_of", doubt_of)
    file = as_it_was(artifact(PREDICTIONS, 2)(registry))
    content = file.read_bytes()
    flip(file)
    made = promote(home, 2)
    assert (made.verdict, made.champion) == ("unproven", 1)
    assert made.reason.startswith("cannot be proven: predictions.parquet")
    assert aliases(home) == (1, 2, None)
    assert decisions(home) == [("promote", 1), ("refuse", 2)]
    file.write_bytes(content)
    assert promote(home, 2).champion == 2
