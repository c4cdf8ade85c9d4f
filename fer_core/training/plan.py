"""What is trained, by whom, and what comes of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fer_core import methods
from fer_core.folds import Part
from fer_core.landmarks.table import with_points
from fer_core.methods.base import Method, Recipe
from fer_core.reading import FaceTable, read_faces, read_tested
from fer_core.targets import Counts


@dataclass(frozen=True)
class TrainingPlan:
    """All that determines a run's numbers.

    Attributes:
        faces: the faces directory.
        part: who is tested on; the rest is trained on.
        method, method_options, recipe: what is learnt and how.
        backbone, weights, start: the network; `start` is the network file of the level before.
        sub_labels: level folder whose groups are the labels, None for the classes.
        patch, face_size: pixels.
        frame_is_face: whether the pictures were face crops as they are; not used in training, but told with the model.
        bfloat16: whether products are computed in bfloat16.
        validation: whether the loss on validation rows is shown after each epoch; where identities are learnt, how well
            pairs of validation people are told apart.
        seed: of everything drawn.
        checkpoint_steps: steps from one checkpoint to the next.
        micro_batch: most rows that a worker puts through the network at once, None: its whole share of a batch. Batch
            norm takes its statistics over as many rows of each worker; nothing else of a step changes but rounding.
        compiled: whether the network is compiled by torch.compile.
    """

    faces: Path
    part: Part
    method: str
    method_options: dict[str, Any]
    recipe: Recipe
    backbone: str
    patch: int
    face_size: int
    frame_is_face: bool
    bfloat16: bool
    seed: int
    checkpoint_steps: int
    micro_batch: int | None = None
    compiled: bool = False
    validation: bool = False
    weights: Path | None = None
    start: Path | None = None
    sub_labels: Path | None = None

    def build_method(self) -> Method:
        """The method with its options."""
        method = methods.REGISTRY[self.method]
        return method(method.Options(**self.method_options))

    def read_faces(self) -> FaceTable:
        """The rows, divided as the method needs."""
        method = self.build_method()
        validation = self.validation or method.needs_validation
        unlabelled = method.human_triplets is not None
        faces = read_faces(self.faces, self.part, self.seed, method.label, validation, unlabelled)
        return with_points(faces) if method.inputs == "points" else faces

    def read_tested(self, directory: Path, trained: FaceTable) -> FaceTable:
        """The rows of another data set that a model of this plan, trained on `trained`, can be tested on."""
        faces = read_tested(directory, trained.classes, trained.poses)
        return with_points(faces) if self.build_method().inputs == "points" else faces


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        state: of the network.
        history: one row of means an epoch.
        steps: what the objective traced of each of the first steps.
        classes, poses: what it was trained to tell apart.
        class_of_label: the class of each label that was trained on.
        counts: what the network was built for.
        profile: where a step's time went, as profiling.Profile.rows gives it; None where nobody asked.
    """

    state: dict[str, Tensor]
    history: list[dict[str, float]]
    steps: dict[str, list[float]]
    classes: tuple[str, ...]
    poses: tuple[int, ...]
    class_of_label: list[int]
    counts: Counts
    profile: dict[str, list[dict[str, Any]]] | None = None
