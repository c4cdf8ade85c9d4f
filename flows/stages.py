"""The stages as flows: each turns the finished directories before it into its own."""

from prefect import flow

from fer_core.config import EvaluateOptions, IngestOptions, PrepareOptions, SubdivideOptions, TrainOptions
from fer_core.folds import Part
from tasks.data import write_catalog, write_faces
from tasks.evaluation import write_evaluation
from tasks.made import Made
from tasks.model import train_run, write_level

HOLD_OUT = Part()
"""The official split, or the subjects held out for good."""


@flow
def ingest(options: IngestOptions) -> Made:
    """Source folder -> catalog."""
    return write_catalog(options)


@flow
def prepare(options: PrepareOptions, catalog: Made) -> Made:
    """Catalog -> face crops."""
    return write_faces(options, catalog)


@flow
def train(options: TrainOptions, faces: Made, part: Part = HOLD_OUT) -> Made:
    """Face crops -> run: level 1 of Algorithm 2."""
    return train_run(options, faces, part)


@flow
def subdivide(options: SubdivideOptions, faces: Made, run: Made, part: Part = HOLD_OUT) -> list[Made]:
    """Run -> (run, level) of each level in turn: Algorithm 2 of sgm, one iteration a level."""
    level = write_level(options, faces, run, 1, part)
    made = [run, level]
    for number in range(2, options.levels + 1):
        run = train_run(options, faces, part, start=run, labels=level)
        level = write_level(options, faces, run, number, part)
        made += [run, level]
    return made


@flow
def evaluate(options: EvaluateOptions, faces: Made, run: Made, level: Made, part: Part = HOLD_OUT) -> Made:
    """Run and level -> metrics, figures, report."""
    return write_evaluation(options, faces, run, level, part)


@flow
def cross_validate(options: EvaluateOptions, faces: Made) -> list[Made]:
    """Face crops -> the evaluations of all folds."""
    evaluations = []
    for part in options.parts:
        run = train(options, faces, part)
        *_, run, level = subdivide(options, faces, run, part)
        evaluations.append(evaluate(options, faces, run, level, part))
    return evaluations
