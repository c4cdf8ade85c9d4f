"""Testing a model that says expressions: predictions, classification, clusters, retrieval, the view where it has one.

N test pictures, C classes, D embedding size.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fer_core.assessment.base import Case, Progress
from fer_core.embedding import embed_rows
from fer_core.embedding_table import Embedded
from fer_core.evaluation.bootstrap import Interval, SubjectBootstrap
from fer_core.evaluation.measure import Evaluation, measure
from fer_core.predictor import Predictions
from fer_core.targets import UNKNOWN


@dataclass(frozen=True)
class Assessment:
    """A model's test part: the rows, what the model says of them, and how good that is.

    Attributes:
        pose_accuracy: share of the rows of a known view that was trained on whose view is said right, or None where
            the model says no view or no row has such a one.
    """

    rows: np.ndarray
    test: Embedded
    predictions: Predictions
    evaluation: Evaluation
    pose_accuracy: Interval | None = None


def measure_expressions(case: Case, progress: Progress) -> Assessment:
    """Embed the upright test rows and measure; the gallery are the upright training rows."""
    predictor, faces = case.predictor, case.tested
    rows = faces.rows_of("test", upright=True)
    made = predictor.predicted(embed_rows(predictor.network, predictor.description.inputs(faces), rows, progress))
    by_neighbours = predictor.decides_by == "neighbours"
    names, groups = faces.sample_id[rows], faces.group[rows]
    test = Embedded(names, groups, faces.label[rows], made.embedding, None if by_neighbours else made.probability)
    level = predictor.level
    gallery = Embedded(level.sample_id, level.sample_id, level.class_N, level.embedding_ND)
    evaluation = measure(test, gallery, faces.classes, case.seed, case.resamples)
    return Assessment(rows, test, made, evaluation, _pose_accuracy(case, rows, made))


def _pose_accuracy(case: Case, rows: np.ndarray, made: Predictions) -> Interval | None:
    known = case.tested.pose[rows] != UNKNOWN
    if made.yaw is None or not known.any():
        return None
    right = made.yaw[known] == np.array(case.tested.poses)[case.tested.pose[rows][known]]
    bootstrap = SubjectBootstrap(case.tested.group[rows][known], case.seed, case.resamples)
    sums = bootstrap.sums(np.column_stack([right, np.ones(len(right))]))
    return bootstrap.interval(float(right.mean()), sums[:, 0] / sums[:, 1])


def predictions_table(assessment: Assessment, case: Case) -> pa.Table:
    """One row a test picture: what the gate compares, and what a person looks through."""
    test, made, predictor = assessment.test, assessment.predictions, case.predictor
    classes = np.array(predictor.classes)
    columns = {
        "sample_id": test.sample_id,
        "subject": test.subject,
        "truth": classes[test.label],
        "decision": classes[assessment.evaluation.predicted],
        "probability": list(made.probability),
        "sub_class": [predictor.level.name_of(int(group), predictor.classes) for group in made.group],
    }
    return pa.table(columns if made.yaw is None else {**columns, "yaw": made.yaw})
