"""How a model is logged to MLflow: as code and plain files, with what it takes, gives and needs."""

import importlib.metadata
import warnings
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from fer_core.code_digest import PACKAGE
from fer_core.files import digest_of, file_sha256
from fer_core.runs import read_description

MODEL_CODE = Path(__file__).resolve().with_name("registered_model.py")
PROJECT = MODEL_CODE.parents[1]
LOGGED_CODE = (f"code/{PACKAGE}", MODEL_CODE.name)
"""Where it is in a logged model."""
REQUIREMENTS = (
    "torch",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pyarrow",
    "safetensors",
    "albumentations",
    "scikit-learn",
    "pydantic",
    "universal-pathlib",
    "isal",
    "lz4",
    "mtcnn",
)
"""What fer_core.predictor imports, at any depth."""
INPUTS = {
    "pictures": Schema(
        [ColSpec(DataType.binary, "image"), ColSpec(Array(DataType.double), "landmarks", required=False)]
    ),
    "points": Schema(
        [
            ColSpec(Array(DataType.double), "landmarks"),
            ColSpec(DataType.double, "pose_yaw", required=False),
            ColSpec(Array(DataType.double), "neutral_landmarks", required=False),
            ColSpec(DataType.double, "neutral_pose_yaw", required=False),
        ]
    ),
}
"""By methods.Method.inputs."""
OUTPUTS = Schema(
    [
        ColSpec(DataType.string, "expression", required=False),
        ColSpec(Array(DataType.double), "probabilities", required=False),
        ColSpec(Array(DataType.double), "embedding"),
        ColSpec(DataType.string, "sub_class", required=False),
        ColSpec(DataType.double, "yaw", required=False),
    ]
)


def log_model(run: Path, level: Path) -> tuple[str, str]:
    """Log a run and its level to the current MLflow run as a model of code and plain files; its URI and id."""
    inputs = INPUTS[read_description(run).build_method().inputs]
    with warnings.catch_warnings():  # an example would be a picture of somebody; the signature is given
        warnings.simplefilter("ignore", UserWarning)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(MODEL_CODE),
            artifacts={"run": str(run), "level": str(level)},
            code_paths=[str(PROJECT / PACKAGE)],
            signature=ModelSignature(inputs=inputs, outputs=OUTPUTS),
            pip_requirements=[_pinned(name) for name in REQUIREMENTS],
        )
    return logged.model_uri, logged.model_id


def logged_code_digest(package: Path, model_code: Path) -> str:
    """Of the code that was logged with a model, byte by byte: the copy of fer_core and the file that MLflow runs."""
    files = [file for file in package.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    digests = {file.relative_to(package).as_posix(): file_sha256(file) for file in files}
    return digest_of({**digests, "model_code": file_sha256(model_code)})


def _pinned(distribution: str) -> str:
    return f"{distribution}=={importlib.metadata.version(distribution)}"
