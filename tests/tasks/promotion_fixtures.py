"""A home with versions in a real registry, made once and copied; their files are small and their digests true."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fer_core.code_digest import code_digest
from fer_core.directories import Directory
from fer_core.files import write_json, write_table
from fer_core.options.stages import RetrainOptions
from fer_core.report import ReportPage, render_report
from fer_core.runs import DESCRIPTION, NETWORK, RunDescription
from infra.mlflow_engine import store_file
from tasks.evaluation import EVALUATION_CODE, FIGURES, METRICS, PREDICTIONS, REPORT
from tasks.made import Level, Made
from tasks.model import LEVEL_CODE, RUN_CODE, code_of
from tasks.registry import register_model

VERSIONS = (1, 2, 3)
CHOSEN = code_of("cnn", "resnet18")
DESCRIBED = RunDescription(
    method="cnn",
    method_options={},
    backbone="resnet18",
    face_size=32,
    patch=24,
    frame_is_face=True,
    classes=["anger", "happiness"],
    poses=[],
    class_of_label=[0, 1],
    counts={},
    history=[{"epoch": 1, "step": 1, "loss": 0.5}],
    steps={},
)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three registered versions and no aliases; not to be changed."""
    home = tmp_path_factory.getbasetemp() / "promotions"
    if not home.exists():
        faces = finished(home, "faces", {}, "", {"part-00000.parquet": table("faces")})
        run = finished(
            home,
            "runs",
            {"faces": faces.content},
            code_digest(*RUN_CODE, *CHOSEN),
            {DESCRIPTION: lambda file: write_json(file, vars(DESCRIBED)), NETWORK: lambda file: text(file, "network")},
        )
        level = finished(
            home,
            "subdivisions",
            {"faces": faces.content, "run": run.content},
            code_digest(*LEVEL_CODE, *CHOSEN),
            {"labels.parquet": table("labels")},
        )
        for number in VERSIONS:
            evaluate_and_register(home, faces, Level(run, level), number)
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    """A copy of the template's registry, whose versions' files are the template's."""
    store_file(tmp_path).parent.mkdir()
    shutil.copy(store_file(template), store_file(tmp_path))
    return tmp_path


def finished(
    home: Path,
    folder: str,
    inputs: dict[str, str],
    code: str,
    files: dict[str, Callable[[Path], None]],
    config: dict[str, Any] | None = None,
) -> Made:
    directory = Directory(home / folder, folder, kind=folder, config=config or {}, inputs=inputs, code=code)
    directory.start()
    for name, write in files.items():
        write(directory.path / name)
    manifest = directory.finish(files, {})
    return Made(folder, directory.path, manifest.content, False, 0.0, {"accuracy": 0.5})


def evaluate_and_register(home: Path, faces: Made, level: Level, number: int) -> None:
    files = {
        PREDICTIONS: table(f"row of {number}"),
        METRICS: lambda file: text(file, "{}"),
        REPORT: lambda file: text(file, render_report(ReportPage("page"))),
    }
    inputs = {"faces": faces.content, "run": level.run.content, "level": level.groups.content}
    code = code_digest(*EVALUATION_CODE, *CHOSEN)
    evaluation = finished(home, "evaluations", inputs, code, files, {"number": number})
    (evaluation.path / FIGURES).mkdir()
    options = RetrainOptions(home=home, method="cnn")
    assert register_model.fn(options, faces, level, evaluation, {}).version == number


def table(name: str) -> Callable[[Path], None]:
    return lambda file: write_table(file, pa.table({"sample_id": [name], "truth": ["anger"]}))


def text(file: Path, content: str) -> None:
    file.write_text(content)
