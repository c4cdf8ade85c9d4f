"""The options of every stage. Each stage's class holds its own and those of the stages before it.

Paper values are the defaults. What we choose ourselves says so ("ours") with the reason.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from fer_core import backbones, methods
from fer_core.datasets.folders import refuse_inside
from fer_core.faces.finding import ROTATIONS, Cropping
from fer_core.folds import Part, with_protocol
from fer_core.methods import Method, Recipe
from fer_core.options.base import Frozen, at_most_one, fields_of, one_of
from fer_core.options.catalog import CatalogOptions as CatalogOptions
from fer_core.options.catalog import DatasetOptions as DatasetOptions
from fer_core.options.catalog import IngestOptions as IngestOptions
from fer_core.options.catalog import ProofOptions as ProofOptions
from fer_core.options.engine import EngineOptions
from fer_core.options.estimate import EstimateOptions
from fer_core.options.gate import GateOptions
from fer_core.options.hold_out import HoldOutOptions
from fer_core.options.home import DirectoriesOptions as DirectoriesOptions
from fer_core.options.home import HomeOptions as HomeOptions
from fer_core.options.home import PromoteOptions as PromoteOptions
from fer_core.options.home import RollbackOptions as RollbackOptions
from fer_core.options.score import ScoreOptions as ScoreOptions
from fer_core.streaming import require_place

MethodOptions: Any = create_model(
    "MethodOptions",
    __base__=Frozen,
    **fields_of({name: method.Options for name, method in methods.REGISTRY.items()}),
)


class CropOptions(CatalogOptions, EstimateOptions):
    """Catalog -> face crops."""

    face_size: int | None = Field(
        None, ge=16, le=1024, description="side of a crop, pixels; unset: 236 (paper), 48 for 48x48 sources"
    )
    rotations: tuple[Annotated[float, Field(ge=-45, le=45)], ...] = Field(
        ROTATIONS, description="degrees of the offline rotations of training rows"
    )
    virtual_rotations: bool = Field(
        False, description="store each picture once and turn it in training, on the device, instead of a row an angle"
    )
    landmarks: Literal["auto", "annotated", "mtcnn"] = Field(
        "auto", description="to crop by; auto: the data set's own, else the frame of a face crop, else found by MTCNN"
    )
    face: Literal["largest", "central"] = Field("largest", description="which of several faces in a picture")
    no_face: Literal["aside", "centre"] = Field(
        "aside", description="a picture without a face is set aside, or its central square taken"
    )
    stream: str | None = Field(
        None,
        description="URI of a folder, such as s3://bucket/faces: the crops are put there sorted by class, and training "
        "reads them from there in blocks",
    )

    @model_validator(mode="after")
    def _upright_is_among_the_rotations(self) -> Self:
        if self.rotations.count(0) != 1 or len(set(self.rotations)) < len(self.rotations):
            raise ValueError(
                "--rotations must be different and have 0 among them: upright rows are embedded and tested"
            )
        return self

    @model_validator(mode="after")
    def _stream_is_a_place(self) -> Self:
        if self.stream is not None:
            require_place(self.stream)
            if self.source is not None and "://" not in self.stream:
                refuse_inside("--stream", Path(self.stream), self.source)
        return self

    @property
    def crop_size(self) -> int:
        """The side of a crop, pixels."""
        return self.face_size or self.form.face_size

    @property
    def cropping(self) -> Cropping:
        """How faces are found and cropped."""
        return Cropping(self.crop_size, self.rotations, self.virtual_rotations, self.landmarks, self.face, self.no_face)


class PrepareOptions(CropOptions, HoldOutOptions, ProofOptions):
    """The prepare command."""

    tuples: Literal["none", "five", "similarity", "questions", "human"] = Field(
        "none",
        description="make five-tuples (dml_net) or similarity triplets (landmark_vae) too; questions: a csv to ask "
        "people by, which is --votes once filled in; human: triplets by people's --votes",
    )
    votes: Path | None = Field(
        None, description="csv with reference, a, b (source paths) and votes_a, votes_b: what people found more similar"
    )
    tuple_epochs: int = Field(1, ge=1, description="five-tuples are drawn anew for every epoch: for how many")
    num_triplets: int | None = Field(None, ge=1, description="similarity triplets; unset: one for each training row")
    seed: int = Field(0, ge=0, lt=2**31, description="of the tuples and of who is held out")

    @model_validator(mode="after")
    def _human_triplets_have_votes(self) -> Self:
        if (self.tuples == "human") != (self.votes is not None):
            raise ValueError("--tuples human and --votes FILE go together")
        if self.votes is not None and not self.votes.is_file():
            raise ValueError(f"--votes {self.votes} does not exist or is not a file")
        return self


class TrainOptions(CropOptions, HoldOutOptions, MethodOptions, EngineOptions):
    """Face crops -> run."""

    method: Annotated[str, one_of(methods.REGISTRY)] = Field(
        "mul_dml", description=f"one of {', '.join(methods.REGISTRY)}"
    )
    backbone: Annotated[str, one_of(backbones.REGISTRY)] | None = Field(
        None, description=f"one of {', '.join(backbones.REGISTRY)}; unset: the paper's of the method"
    )
    weights: Path | None = Field(
        None,
        description="pre-trained backbone: safetensors or a tensors-only torch file, a run's network.safetensors too",
    )
    validation: bool = Field(
        False,
        description="keep an eighth of the training subjects out and show by epoch their loss, of verification how "
        "well they are told apart",
    )
    patch: int | None = Field(
        None,
        ge=16,
        le=1024,
        description="side of a patch; unset: 224, 44 for 48x48 sources, of another --face-size its 224/236",
    )
    epochs: int | None = Field(
        None, ge=1, description="passes over the rotated training rows; unset: the paper's with --weights, else ours"
    )
    batch_size: int | None = Field(None, ge=4, description="rows in a batch over all workers; unset: the paper's")
    lr: float | None = Field(
        None, gt=0, description="learning rate; unset: the paper's with --weights, else ours (the paper's is too small)"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of initial weights, batches, augmentation and folds")

    @model_validator(mode="after")
    def _patch_fits_the_face(self) -> Self:
        if self.patch_size > self.crop_size:
            raise ValueError(f"--patch {self.patch_size} is larger than --face-size {self.crop_size}")
        return self

    @model_validator(mode="after")
    def _weights_are_a_file(self) -> Self:
        if self.weights is not None and methods.REGISTRY[self.method].inputs == "points":
            raise ValueError(f"--weights is of a backbone, and {self.method} has none")
        if self.weights is not None and not self.weights.is_file():
            raise ValueError(f"--weights {self.weights} does not exist or is not a file")
        return self

    @model_validator(mode="after")
    def _every_worker_has_rows(self) -> Self:
        if self.worker_count.most > self.recipe.batch_size:
            raise ValueError(f"--workers {self.workers} share batches of {self.recipe.batch_size}: use fewer")
        return self

    @property
    def patch_size(self) -> int:
        """The side of a patch, pixels; for a face size that is not the data set's own, in the paper's proportion."""
        if self.patch is not None:
            return self.patch
        return self.form.patch if self.crop_size == self.form.face_size else round(self.crop_size * 224 / 236)

    @property
    def method_options(self) -> Frozen:
        """The chosen method's own options."""
        return getattr(self, self.method)

    @property
    def backbone_name(self) -> str:
        """The backbone, the method's own where none is named."""
        return self.backbone or methods.REGISTRY[self.method].backbone

    @property
    def recipe(self) -> Recipe:
        """How the method is trained, the command line's values first."""
        method: type[Method] = methods.REGISTRY[self.method]
        printed = method.from_scratch if self.weights is None else method.paper
        given = {"epochs": self.epochs, "batch_size": self.batch_size, "lr": self.lr}
        return printed.replaced(**{name: value for name, value in given.items() if value is not None})

    @property
    def is_tested_on_pairs(self) -> bool:
        """Whether the model tells people, not expressions."""
        return methods.REGISTRY[self.method].protocol == "pairs"

    def with_protocol(self, part: Part) -> Part:
        """See folds.with_protocol; of a method that is tested on pairs."""
        pairs = self.adapter.pairs if self.is_tested_on_pairs else None
        return with_protocol(part, pairs, self.source)


class SubdivideOptions(TrainOptions):
    """Run -> sub-classes (Algorithm 2)."""

    levels: int = Field(1, ge=1, le=20, description="level l fits l components to each class; the paper ends with 5")
    level_epochs: int | None = Field(
        None, ge=1, description="epochs of each level after the first; unset: as many as the first"
    )


class EvaluateOptions(SubdivideOptions):
    """Model -> metrics, figures, report."""

    folds: int | None = Field(
        None, ge=2, description="subject-disjoint cross-validation; of prescribed pairs by their protocol's own folds"
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="of the bootstrap behind the intervals")

    @model_validator(mode="after")
    def _folds_test_on_everybody(self) -> Self:
        at_most_one(self, "folds", "test_people")
        self.with_protocol(Part(0, self.folds))  # what cannot be is said before any picture is read
        return self

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the cross-validation; none without --folds."""
        return tuple(Part(fold, self.folds) for fold in range(self.folds or 0))


class RetrainOptions(EvaluateOptions, GateOptions):
    """All stages in one."""

    model_name: str = Field("fer", pattern=r"^[A-Za-z0-9_-]+$", description="name in the registry")
