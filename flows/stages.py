"""The stages as flows: each turns the finished directories before it into its own.

A stage without a `part` is of the official split or the hold-out.
"""

from typing import TypeVar

from prefect import flow
from prefect.states import Completed

from fer_core.folds import Part
from fer_core.options.stages import (
    CatalogOptions,
    CropOptions,
    EvaluateOptions,
    PrepareOptions,
    SubdivideOptions,
    TrainOptions,
)
from tasks.data import publish_faces, write_catalog, write_faces
from tasks.evaluation import Tested, write_evaluation
from tasks.made import Fold, Level, Made
from tasks.model import train_run, write_level
from tasks.tuples import write_tuples

Value = TypeVar("Value")


@flow
def ingest(options: CatalogOptions, repair: bool = False) -> Made:
    """Source folder -> catalog."""
    return write_catalog(options, repair)


@flow
def prepare(options: CropOptions, catalog: Made, repair: bool = False) -> Made:
    """Catalog -> face crops, with `--stream` on an object store."""
    faces = write_faces(options, catalog, repair)
    return publish_faces(options, faces, repair) if options.stream else faces


@flow
def draw_tuples(options: PrepareOptions, faces: Made, repair: bool = False) -> Made:
    """Face crops -> five-tuples or similarity triplets, an epoch a shard."""
    return write_tuples(options, faces, options.hold_out, repair)


@flow
def train(options: TrainOptions, faces: Made, part: Part | None = None) -> Made:
    """Face crops -> run: level 1 of Algorithm 2."""
    run = train_run(options, faces, part or options.hold_out)
    return _told(run, run)


@flow
def subdivide(options: SubdivideOptions, faces: Made, run: Made, part: Part | None = None) -> list[Level]:
    """Run -> run and groups of each level: Algorithm 2 of sgm, one iteration a level."""
    part = part or options.hold_out
    levels = [Level(run, write_level(options, faces, run, 1, part))]
    for number in range(2, options.levels + 1):
        run = train_run(options, faces, part, before=levels[-1])
        levels.append(Level(run, write_level(options, faces, run, number, part)))
    return _told(levels, *(level.run for level in levels[1:]))


@flow
def evaluate(
    options: EvaluateOptions, faces: Made, level: Level, part: Part | None = None, tested: Tested | None = None
) -> Made:
    """Level -> metrics, figures, report; on the test part, or on another data set."""
    return write_evaluation(options, faces, level, part or options.hold_out, tested)


@flow
def cross_validate(options: EvaluateOptions, faces: Made) -> list[Fold]:
    """Face crops -> the levels and the evaluation of each fold."""
    folds = []
    for part in options.parts:
        run = train(options, faces, part)
        levels = subdivide(options, faces, run, part)
        folds.append(Fold(levels, evaluate(options, faces, levels[-1], part)))
    return folds


def _told(value: Value, *runs: Made) -> Value:
    """A flow's value, with a final state that says how often the runs had to go on; its caller gets the value."""
    restarts = [sentence for run in runs for sentence in run.restarts]
    if not restarts:
        return value
    number = f"{len(restarts)} restart{'s' * (len(restarts) > 1)}"
    return Completed(data=value, message=f"trained with {number}: {'; '.join(restarts)}")  # type: ignore[return-value]
