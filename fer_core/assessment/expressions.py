"""Testing a model that says expressions: predictions, classification, clusters, retrieval, the view where it has one.

N test pictures, C classes, D embedding size, Y views.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fer_core.assessment.base import Case, Progress
from fer_core.assessment.groups import ByGroup, accuracy_by_group, groups_of
from fer_core.embedding import embed_rows
from fer_core.embedding_table import Embedded
from fer_core.evaluation.bootstrap import Interval, share_interval
from fer_core.evaluation.measure import Evaluation, measure
from fer_core.label_audit.doubts import LabelAudit, audit_labels
from fer_core.predictor import Predictions
from fer_core.report import Table
from fer_core.report.measures import percent
from fer_core.targets import UNKNOWN
from fer_core.world import ALONE, World


@dataclass(frozen=True)
class Assessment:
    """A model's test part: the rows, what the model says of them, and how good that is.

    Attributes:
        label_audit: of the training faces.
        views: what is said of the view; empty where there are fewer than two.
        groups: accuracy by groups of people, where the data set tells them.
        num_right_CY, num_all_CY: rows of a known view that was trained on, by class and view: those whose expression is
            said right, and all.
    """

    rows: np.ndarray
    test: Embedded
    predictions: Predictions
    evaluation: Evaluation
    label_audit: LabelAudit
    views: dict[str, Interval]
    groups: ByGroup
    num_right_CY: np.ndarray
    num_all_CY: np.ndarray


def measure_expressions(case: Case, progress: Progress, world: World = ALONE) -> Assessment:
    """Embed the upright test rows and measure; the gallery are the upright training rows.

    Args:
        world: the workers that share the work; each gets the whole result.
    """
    predictor, faces = case.predictor, case.tested
    rows = faces.rows_of("test", upright=True)
    network, inputs = predictor.network.to(world.device), predictor.description.inputs(faces, world.device)
    made = predictor.predicted(embed_rows(network, inputs, rows, progress, world))
    by_neighbours = predictor.decides_by == "neighbours"
    names, groups = faces.sample_id[rows], faces.group[rows]
    test = Embedded(names, groups, faces.label[rows], made.embedding, None if by_neighbours else made.probability)
    level = predictor.level
    gallery = Embedded(level.sample_id, level.sample_id, level.class_N, level.embedding_ND)
    evaluation = measure(test, gallery, faces.classes, case.seed, case.resamples, world)
    audit = audit_labels(level.embedding_ND, level.class_N, len(predictor.classes), world=world)
    right = evaluation.predicted == test.label
    by_group = accuracy_by_group(right, groups, groups_of(faces, rows), case.seed, case.resamples)
    views = _views(case, rows, made, right)
    return Assessment(rows, test, made, evaluation, audit, views, by_group, *_counts_by_view(case, rows, right))


def _views(case: Case, rows: np.ndarray, made: Predictions, right: np.ndarray) -> dict[str, Interval]:
    """pose_accuracy where the model says the view, and accuracy_view_YAW of the expressions where there are several."""
    faces = case.tested
    pose, group = faces.pose[rows], faces.group[rows]
    known = pose != UNKNOWN
    metrics = {}
    if made.yaw is not None and known.any():
        told = made.yaw[known] == np.array(faces.poses)[pose[known]]
        metrics["pose_accuracy"] = share_interval(told, group[known], case.seed, case.resamples)
    if len(faces.poses) > 1:
        for index in np.unique(pose[known]).tolist():
            own = pose == index
            name = f"accuracy_view_{faces.poses[index]}"
            metrics[name] = share_interval(right[own], group[own], case.seed, case.resamples)
    return metrics


def _counts_by_view(case: Case, rows: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    faces = case.tested
    label, pose = faces.label[rows], faces.pose[rows]
    known = pose != UNKNOWN
    counts = np.zeros((2, len(case.predictor.classes), len(faces.poses)), dtype=np.int64)
    for table_CY, chosen in zip(counts, (known & right, known), strict=True):
        np.add.at(table_CY, (label[chosen], pose[chosen]), 1)
    return counts[0], counts[1]


def view_table(assessment: Assessment, case: Case) -> list[Table]:
    """Right expressions by expression and view, in percent with their images; none where there are no two views."""
    if len(case.tested.poses) < 2 or not assessment.num_all_CY.any():
        return []
    right, images = (_with_totals(counts) for counts in (assessment.num_right_CY, assessment.num_all_CY))
    columns = ["expression", *(f"{yaw:+d}°" if yaw else "0°" for yaw in case.tested.poses), "all views"]
    rows = [
        (name, [f"{percent(r / n)} ({n})" if n else "–" for r, n in zip(right[row], images[row], strict=True)])
        for row, name in enumerate([*case.predictor.classes, "all"])
        if images[row].any()
    ]
    return [Table("Accuracy by expression and view (test images)", columns, rows)]


def _with_totals(counts_CY: np.ndarray) -> np.ndarray:
    with_rows = np.vstack([counts_CY, counts_CY.sum(axis=0)])
    return np.column_stack([with_rows, with_rows.sum(axis=1)])


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
