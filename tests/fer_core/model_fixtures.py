"""Tiny faces, plans and runs that the tests of the model side share.

A test file imports the fixtures it uses by name; what is written once lies under pytest's own temporary folder.
"""

import io

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from fer_core import levels, runs
from fer_core.backbones.base import Backbone
from fer_core.directories import STARTED, Directory
from fer_core.folds import Part
from fer_core.methods import Recipe
from fer_core.reading import read_faces
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard
from fer_core.training import TrainingPlan, train
from fer_core.world import World

FACE, PATCH, TAKES, ROTATIONS = 32, 24, 2, (0.0, 5.0)
CLASSES = ("happiness", "surprise", "anger")
SUBJECTS = ("S01", "S02", "S03", "S04", "S14", "S22")  # folds.hold_out tests on the last two
OPTIONS = {
    "cnn": {},
    "sgm": {"embedding_size": 8},
    "mul_dml": {"thresholds": [0.2, 0.5], "slice_size": 8},
    "verification": {"embedding_size": 4},
}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums are split over threads, so bit-identical numbers need a fixed number of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def faces_path(tmp_path_factory):
    """A faces directory: 3 expressions of 6 people, 2 takes, upright and turned; 48 rows to train on, 12 to test on."""
    root = tmp_path_factory.getbasetemp() / "model"
    directory = finished(root, "faces", lambda path: write_picture_shard(path, "part-00000.parquet", face_rows()))
    return directory.path


@pytest.fixture(scope="session")
def make_run(tmp_path_factory, faces_path):
    """method -> (folder of a trained run, folder of its level of two components a class)."""

    def make(method):
        root = tmp_path_factory.getbasetemp() / "model"
        run = finished(root, f"run-{method}", lambda path: save_trained(path, plan_of(faces_path, method)))
        level = finished(root, f"level-{method}", lambda path: write_level(path, run.path, faces_path))
        return run.path, level.path

    return make


def finished(root, name, build):
    directory = Directory(root, name, kind="test", config={}, inputs={}, code="")
    if not directory.finished():
        directory.start()
        build(directory.path)
        directory.finish([path.name for path in directory.path.iterdir() if path.name != STARTED], {})
    return directory


def face_rows():
    rng = np.random.default_rng(0)
    rows = []
    for subject in SUBJECTS:
        tone = rng.integers(60, 160)
        for kind, expression in enumerate(CLASSES):
            for take in range(TAKES):
                image = draw_face(rng, kind, tone)
                known = {"subject_id": subject, "expression": expression, "dataset": "ck_plus"}
                name = f"{subject}-{expression}-{take}"
                for rotation in ROTATIONS:
                    turned = np.roll(image, int(rotation) // 5, axis=1)
                    encoded = cv2.imencode(".png", cv2.cvtColor(turned, cv2.COLOR_RGB2BGR))[1].tobytes()
                    size = {"height": FACE, "width": FACE}
                    rows.append({**known, **size, "sample_id": name, "rotation": rotation, "image": encoded})
    return pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)


def posed_rows():
    """The rows of `face_rows`, each person's first take of an expression frontal and the second turned."""
    table = face_rows()
    pose = [0 if name.endswith("-0") else 45 for name in table["sample_id"].to_pylist()]
    place = table.schema.get_field_index("pose_bin")
    return table.set_column(place, table.schema.field(place), pa.array(pose, table.schema.field(place).type))


def draw_face(rng, kind, tone):
    """A bright bar whose place goes by the expression, on a person's tone, with noise: uint8 (FACE, FACE, 3)."""
    image = np.full((FACE, FACE, 3), tone, dtype=float)
    at = 6 + 8 * kind
    image[at : at + 5, 8:24] += 90
    return np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)


def plan_of(faces, method, epochs=3, batch_size=24, **other):
    recipe = Recipe(epochs, batch_size, lr=1e-3, one_cycle=True, weight_decay=0.05)
    values = {
        "faces": faces,
        "part": Part(),
        "method": method,
        "method_options": OPTIONS[method],
        "recipe": recipe,
        "backbone": "resnet18",
        "patch": PATCH,
        "face_size": FACE,
        "frame_is_face": True,
        "bfloat16": False,
        "seed": 3,
        "checkpoint_steps": 1000,
    }
    return TrainingPlan(**{**values, **other})


def save_trained(folder, plan):
    runs.save_run(folder, plan, train(plan, World(), MemoryStore(), silent))


def write_level(folder, run, faces, num_components=2):
    table = read_faces(faces, Part(), 3)
    return levels.make_level(folder, run, table, num_components, seed=0, progress=silent)


def silent(*_):
    """Progress that nobody looks at."""


class TinyBackbone(Backbone):
    """One convolution with batch norm: trained and compiled in a moment."""

    num_features = 8

    def __init__(self, patch):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 5, stride=4, bias=False), nn.BatchNorm2d(8)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3))


class Stopped(Exception):
    """What a kill is to the loop."""


class MemoryStore:
    """Checkpoints as bytes; raises once a save is whole where `stops` says so."""

    def __init__(self, stops=False):
        self.stops, self.data, self.num_saves = stops, None, 0

    def load(self):
        return None if self.data is None else torch.load(io.BytesIO(self.data), weights_only=True)

    def save(self, state, metrics):
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.data = buffer.getvalue()
        self.num_saves += 1
        if self.stops:
            raise Stopped


def train_with_stops(plan):
    """(what was trained, the store): each save, of which the store holds the number, stops it, and it goes on there."""
    store = MemoryStore(stops=True)
    while True:
        try:
            return train(plan, World(), store, silent), store
        except Stopped:
            pass
