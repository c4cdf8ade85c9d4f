"""Evaluating a model on the test part: predictions, metrics with intervals, and what the figures show."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fer_core.embedding import embed_rows
from fer_core.embedding_table import Embedded
from fer_core.evaluation.measure import Evaluation, measure
from fer_core.predictor import Predictions, Predictor
from fer_core.reading import FaceTable


@dataclass(frozen=True)
class Assessment:
    """A model's test part: the rows, what the model says of them, and how good that is."""

    rows: np.ndarray
    test: Embedded
    predictions: Predictions
    evaluation: Evaluation


def assess(
    predictor: Predictor, faces: FaceTable, seed: int, resamples: int, progress: Callable[[int, int], None]
) -> Assessment:
    """Embed the upright test rows and measure; the gallery are the upright training rows."""
    rows = faces.rows_of("test", upright=True)
    made = predictor.predicted(embed_rows(predictor.network, predictor.description.inputs(faces), rows, progress))
    by_neighbours = predictor.decides_by == "neighbours"
    names, groups = faces.sample_id[rows], faces.group[rows]
    test = Embedded(names, groups, faces.label[rows], made.embedding, None if by_neighbours else made.probability)
    level = predictor.level
    gallery = Embedded(level.sample_id, level.sample_id, level.class_N, level.embedding_ND)
    return Assessment(rows, test, made, measure(test, gallery, faces.classes, seed, resamples))


def predictions_table(assessment: Assessment, predictor: Predictor) -> pa.Table:
    """One row a test picture: what the gate compares, and what a person looks through."""
    test, made, classes = assessment.test, assessment.predictions, np.array(predictor.classes)
    return pa.table(
        {
            "sample_id": test.sample_id,
            "subject": test.subject,
            "truth": classes[test.label],
            "expression": classes[assessment.evaluation.predicted],
            "probability": list(made.probability),
            "sub_class": [predictor.level.name_of(int(group), predictor.classes) for group in made.group],
        }
    )
