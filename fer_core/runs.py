"""What a finished run leaves: the network and how to build it again."""

import dataclasses
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fer_core import methods
from fer_core.errors import InputError
from fer_core.files import read_rows, write_atomically, write_json
from fer_core.inputs import Inputs, inputs_of
from fer_core.methods.base import Method
from fer_core.reading import FaceTable
from fer_core.targets import Counts
from fer_core.training import Trained, TrainingPlan, build_network
from fer_core.world import CPU

DESCRIPTION = "run.json"
NETWORK = "network.safetensors"
FILES = (DESCRIPTION, NETWORK)
PROGRESS = "progress.jsonl"
"""Rows shown while training, with images a second; beside the run's files, as no two runs measure alike."""
PROFILE = "profile.json"
"""Where a step's time went, where somebody asked; beside the run's files likewise."""


@dataclass(frozen=True)
class RunDescription:
    """How to build a run's network and read what it says.

    Attributes:
        frame_is_face: whether the pictures that it was trained on were face crops as they are.
        classes: names of expressions, or of people.
        poses: yaw in degrees of each pose that was trained on.
        class_of_label: for each label that was trained on, the index of its class.
        counts: what the network was built for, fields of targets.Counts.
        history: one row of means an epoch.
        steps: what the objective traced of each of the first steps (at most training.keeping.MOST_STEPS).
    """

    method: str
    method_options: dict[str, Any]
    backbone: str
    face_size: int
    patch: int
    frame_is_face: bool
    classes: list[str]
    poses: list[int]
    class_of_label: list[int]
    counts: dict[str, int]
    history: list[dict[str, float]]
    steps: dict[str, list[float]]

    def build_method(self) -> Method:
        """The method with its options."""
        method = methods.REGISTRY[self.method]
        return method(method.Options(**self.method_options))

    def inputs(self, faces: FaceTable, device: torch.device = CPU) -> Inputs:
        """What the network sees of some faces, on the device.

        Raises:
            InputError: they have another number of landmarks than those that it was trained on.
        """
        inputs = inputs_of(self.build_method().inputs, faces, self.face_size, self.patch, device)
        if inputs.numbers != self.counts["numbers"]:
            own, others = self.counts["numbers"] // 6, inputs.numbers // 6
            raise InputError(f"the model looks at {own} landmarks and {faces.directory.name} has {others} of a face")
        return inputs


def save_run(folder: Path, plan: TrainingPlan, trained: Trained) -> None:
    """Write a run's files."""
    names = {field.name for field in dataclasses.fields(RunDescription)}
    known = vars(plan) | vars(trained) | {"counts": vars(trained.counts)}
    values = {name: value for name, value in known.items() if name in names}
    write_atomically(folder / NETWORK, lambda temporary: save_file(trained.state, temporary))
    write_json(folder / DESCRIPTION, values)
    if trained.profile is not None:
        write_json(folder / PROFILE, trained.profile)


def read_description(folder: Path) -> RunDescription:
    """How the run in `folder` was made."""
    return RunDescription(**json.loads((folder / DESCRIPTION).read_text()))


def profile_of(folder: Path) -> dict[str, list[dict[str, Any]]] | None:
    """Where a step's time went while the run was trained, as training.profiling gives it; None where nobody asked."""
    file = folder / PROFILE
    return json.loads(file.read_text()) if file.exists() else None


def speed_of(folder: Path) -> dict[str, float]:
    """Median images a second while the run was trained; empty where its progress rows are gone."""
    rows = read_rows(folder / PROGRESS)
    return {"images_per_second": statistics.median(row["images_per_second"] for row in rows)} if rows else {}


def seconds_of(folder: Path, batch_size: int) -> float | None:
    """About how long the run was trained for, by its steps and its median speed.

    0 where nothing is trained, None where the progress rows are gone.
    """
    history, speed = read_description(folder).history, speed_of(folder)
    if not history:
        return 0.0
    return history[-1]["step"] * batch_size / speed["images_per_second"] if speed else None


def load_network(folder: Path) -> nn.Module:
    """The run's network in eval mode."""
    run = read_description(folder)
    network = build_network(run.build_method(), run.backbone, run.patch, Counts(**run.counts), seed=0)
    network.load_state_dict(load_file(folder / NETWORK))
    return network.eval()
