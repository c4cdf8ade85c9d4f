"""What is tested, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fer_core.datasets.base import Pair
from fer_core.evaluation.bootstrap import Interval
from fer_core.predictor import Predictor
from fer_core.reading import FaceTable

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
    """

    predictor: Predictor
    tested: FaceTable
    trained: FaceTable
    seed: int
    resamples: int
    pairs: Sequence[Pair] | None = None


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
