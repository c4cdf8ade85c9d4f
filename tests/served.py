"""A registered tiny model with all that is said of it, made in this process in seconds."""

import socket
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa

from fer_core import levels, runs
from fer_core.directories import STARTED, Directory
from fer_core.faces.crop import face_partition
from fer_core.faces.finding import Cropping
from fer_core.files import write_json, write_table
from fer_core.folds import Part
from fer_core.methods import Recipe
from fer_core.reading import read_faces
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard
from fer_core.synthetic import Face, render
from fer_core.training import TrainingPlan, train
from fer_core.world import World
from infra.mlflow_engine import CHAMPION, Candidate, Registry

CLASSES = ("neutral", "happiness", "surprise")
FACE, PATCH, PEOPLE = 32, 28, 6
OPTIONS = {"cnn": {}, "sgm": {"embedding_size": 8}, "verification": {"embedding_size": 8}}
ACCURACY = {"value": 0.75, "low": 0.5, "high": 0.875}
REASON = "the first model of this name"


class NoStore:
    """Nothing is kept: nothing is interrupted."""

    def load(self) -> None:
        return None

    def save(self, state: object, metrics: object) -> None:
        return None


def picture(person: int = 0, expression: str = "happiness", size: int = 96) -> np.ndarray:
    """A drawn person as in a photo, uint8 (size, size, 3) RGB; the detector finds the face."""
    return render(Face(person, expression, 0.8, 0.0, 0), size)[0]


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def finished(folder: Path, build: object) -> Path:
    directory = Directory(folder.parent, folder.name, kind="test", config={}, inputs={}, code="test")
    directory.start()
    build(directory.path)
    directory.finish([path.name for path in directory.path.iterdir() if path.name != STARTED], {})
    return directory.path


def write_faces(home: Path) -> Path:
    """Crops of 6 drawn people with 3 expressions, two takes of each."""
    rows = []
    for person in range(PEOPLE):
        for expression in CLASSES:
            for take in range(2):
                image, marks = render(Face(person, expression, 0.8, 0.0, take), 96)
                known = {"landmarks": marks.ravel().tolist(), "height": 96, "width": 96, "dataset": "synthetic"}
                name = f"{person}-{expression}-{take}"
                who = {"subject_id": f"P{person}", "expression": expression, "sample_id": name, "source_path": name}
                rows.append({**known, **who, "image": png(image)})
    table, _ = face_partition(pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA), Cropping(FACE, (0.0,)))
    return finished(home / "faces" / "drawn", lambda path: write_picture_shard(path, "part-00000.parquet", table))


class Made(NamedTuple):
    """The directories of a trained model."""

    faces: Path
    run: Path
    level: Path


def make_model(home: Path, method: str = "cnn") -> Made:
    """Train a model for a few epochs on drawn people."""
    faces = write_faces(home)
    plan = TrainingPlan(
        faces=faces,
        part=Part(),
        method=method,
        method_options=OPTIONS[method],
        recipe=Recipe(4, 24, lr=3e-3),
        backbone="resnet18",
        patch=PATCH,
        face_size=FACE,
        frame_is_face=False,
        bfloat16=False,
        seed=0,
        checkpoint_steps=1000,
    )
    run = finished(
        home / "runs" / "run",
        lambda path: runs.save_run(path, plan, train(plan, World(), NoStore(), lambda *_: None)),
    )
    table = read_faces(faces, Part(), 0, plan.build_method().label)
    level = finished(home / "levels" / "level", lambda path: levels.make_level(path, run, table, 2, 0, lambda *_: None))
    return Made(faces, run, level)


def register(home: Path, method: str = "cnn", name: str = "fer") -> Registry:
    """Make a model the champion of `name` in the home's own registry, as version 1."""
    faces, run, level = make_model(home, method)
    told = home / "told"
    told.mkdir()
    write_json(told / "metrics.json", {"accuracy": ACCURACY})
    tested = {"sample_id": ["a"], "subject": ["P"], "truth": ["neutral"], "decision": ["neutral"]}
    write_table(told / "predictions.parquet", pa.table(tested))
    tags = {"title": "cnn on drawn faces", "run": run.name, "level": level.name, "test_rows": "none"}
    tags |= {"faces": str(faces), "verdict": "first", "reason": REASON, "git_commit": "unknown"}
    files = [told / "metrics.json", told / "predictions.parquet"]
    registry = Registry(home, None, name)
    version, _ = registry.register(Candidate("0", {}, {"accuracy": 0.75}, tags, [], "0", str(faces), files, run, level))
    registry.set_alias(CHAMPION, version)
    return registry
