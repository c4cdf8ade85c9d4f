"""A tiny run over Ray workers: what it is of, and the processes it takes. Workers import this file."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fer_core.folds import Part
from fer_core.methods import Recipe
from fer_core.options.engine import EngineOptions
from fer_core.training import TrainingPlan
from infra.ray_engine import train_with_ray

STEPS = 64
STEP_SECONDS = 0.1
"""At least, so that something can happen to it."""


@dataclass(frozen=True)
class PacedRecipe(Recipe):
    """A recipe whose steps take their time; the first that comes to a step hangs there, once.

    Attributes:
        hang: file that says that it has happened; None: nobody hangs.
        hang_step: where.
    """

    hang: Path | None = None
    hang_step: int = 30

    def rate(self, step: int, num_steps: int) -> float:
        """The learning rate, later."""
        time.sleep(STEP_SECONDS)
        if self.hang and step == self.hang_step:
            try:
                self.hang.touch(exist_ok=False)
                time.sleep(3600)
            except FileExistsError:
                pass
        return super().rate(step, num_steps)


def plan_of(faces: Path, hang: Path | None = None, epochs: int = 4, **other: object) -> TrainingPlan:
    """64 steps of a small network, a checkpoint every fourth."""
    values = {
        "faces": faces,
        "part": Part(),
        "method": "cnn",
        "method_options": {},
        "recipe": PacedRecipe(epochs, 8, lr=1e-3, one_cycle=True, weight_decay=0.05, hang=hang),
        "backbone": "fmpnet",
        "patch": 24,
        "face_size": 48,
        "frame_is_face": True,
        "bfloat16": False,
        "seed": 3,
        "checkpoint_steps": 4,
    }
    return TrainingPlan(**{**values, **other})


def worker_processes() -> list[int]:
    """The training workers that run below this process, the oldest first."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            names[int(folder.name)] = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
    ours = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sorted(process for process in ours if "RayTrainWorker" in names.get(process, ""))


if __name__ == "__main__":
    FACES, FOLDER, ADDRESS = sys.argv[1:]
    train_with_ray(plan_of(Path(FACES)), Path(FOLDER), EngineOptions(workers="2"), ADDRESS, print, print)
