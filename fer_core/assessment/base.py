"""What is tested, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from fer_core.datasets.base import Pair
from fer_core.evaluation.bootstrap import Interval
from fer_core.predictor import Predictor
from fer_core.reading import FaceTable
from fer_core.report import Table
from fer_core.training import TrainingPlan

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Case:
    """A model and what it is tested on.

    Attributes:
        predictor: the model.
        tested: its test rows are tested on.
        trained: the rows it was trained on; the same table, unless another data set is tested.
        seed: of clusters, resamples and drawn subsets.
        resamples: of the bootstrap.
        pairs: of the data set's verification protocol, or None where it has none.
        human_triplets: directory of people's triplets that a model of landmarks is tested by; None: those by labels.
    """

    predictor: Predictor
    tested: FaceTable
    trained: FaceTable
    seed: int
    resamples: int
    pairs: Sequence[Pair] | None = None
    human_triplets: Path | None = None


@dataclass(frozen=True)
class CasePlan:
    """How a case is made, for workers that each make it.

    Attributes:
        run, level: folders of the model.
        training: what it was trained by.
        tested: folder of the faces of another data set that is tested on; None: the plan's own.
        seed, resamples, pairs: as in Case.
    """

    run: Path
    level: Path
    training: TrainingPlan
    tested: Path | None
    seed: int
    resamples: int
    pairs: Sequence[Pair] | None

    def made(self) -> Case:
        """The case."""
        trained = self.training.read_faces()
        table = trained if self.tested is None else self.training.read_tested(self.tested, trained)
        triplets = self.training.build_method().human_triplets
        predictor = Predictor(self.run, self.level)
        return Case(predictor, table, trained, self.seed, self.resamples, self.pairs, triplets)


@dataclass(frozen=True)
class Drawn:
    """A figure: file name without ending, heading, caption, PNG bytes."""

    name: str
    heading: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Assessed:
    """What a model did on its test rows.

    Attributes:
        metrics: name -> value with its 95 % interval.
        predictions: one row a test case with sample_id, subject, truth and decision: what the gate compares.
        embeddings: sample_id, embedding of the test rows.
        facts: (label, value) of what was tested, for people.
        notes: sentences on how it was measured.
        tables: further ones for the report.
        draw: makes the figures.
        files: makes what else is kept: file name -> content.
    """

    metrics: dict[str, Interval]
    predictions: pa.Table
    embeddings: pa.Table
    facts: list[tuple[str, object]]
    notes: list[str]
    draw: Callable[[], list[Drawn]]
    files: Callable[[], dict[str, bytes]] = field(default=dict)
    tables: Sequence[Table] = ()
