"""The figures and the page of one evaluated model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fer_core import figures
from fer_core.assess import Assessment
from fer_core.predictor import Predictor
from fer_core.reading import FaceTable
from fer_core.report import PublishedRow, ReportPage, render_report
from fer_core.subdivision import top_k

GALLERY_SIZE = 16
MOST_MISTAKES = 24
LEAST_FOR_TSNE = 4
PUBLISHED: Mapping[tuple[str, str], PublishedRow] = {
    ("ck_plus", "mul_dml"): PublishedRow("Mul-DML, table III, CK+ 10-fold", {"accuracy": 0.9849}),
    ("ck_plus", "cnn"): PublishedRow("CNN, Mul-DML's table III, CK+ 10-fold", {"accuracy": 0.9399}),
    ("ferplus", "sgm"): PublishedRow(
        "SGM ResNet18, tables 1 and 2, FER+ test",
        {"accuracy": 0.87631, "precision": 0.88614, "recall": 0.68724, "nmi": 0.6884},
    ),
    ("ferplus", "cnn"): PublishedRow(
        "CNN ResNet18, SGM's table 2, FER+ test",
        {"knn_accuracy": 0.87695, "knn_precision": 0.85956, "knn_recall": 0.69659},
    ),
}
"""The papers' figures by (data set, method). SGM's printed F1 is left out: it is the harmonic mean of macro precision
and macro recall, ours the mean of the classes' F1."""


@dataclass(frozen=True)
class Drawn:
    """A figure: file name without ending, heading, caption, PNG bytes."""

    name: str
    heading: str
    caption: str
    png: bytes


def draw(assessment: Assessment, predictor: Predictor, faces: FaceTable, seed: int) -> list[Drawn]:
    """All figures of an evaluation."""
    test, evaluation, classes = assessment.test, assessment.evaluation, predictor.classes
    at_k = {
        name: {
            int(metric.rsplit("_", 1)[1]): interval.value
            for metric, interval in evaluation.metrics.items()
            if metric.startswith(f"{name}_at_")
        }
        for name in ("recall", "acc")
    }
    drawn = [
        Drawn(
            "confusion",
            "Confusion",
            "Rows are the labels of the test part, columns what the model says.",
            figures.confusion_matrix(evaluation.confusion, classes),
        ),
        Drawn(
            "f1_over_k",
            "F1 over K",
            "Macro F1 of the nearest-neighbour vote for other K. K = 11 was fixed beforehand; this chooses nothing.",
            figures.f1_over_k(evaluation.knn_f1_over_k),
        ),
        Drawn(
            "galleries",
            "Sub-classes",
            f"The training faces nearest the medoid of each sub-class, the medoid first; {GALLERY_SIZE} each.",
            figures.galleries(_gallery_images(predictor, faces)),
        ),
    ]
    if len(test) >= LEAST_FOR_TSNE:
        caption = "t-SNE of the test part's embeddings; near points look alike to the model."
        drawn.insert(1, Drawn("tsne", "Embedding", caption, figures.tsne(test.embedding, test.label, classes, seed)))
    if at_k["recall"]:
        caption = "Recall@K: one of the K nearest test faces shares the expression. Acc@K: the share that does."
        curves = figures.retrieval_curves(at_k["recall"], at_k["acc"])
        drawn.insert(-2, Drawn("retrieval", "Retrieval", caption, curves))
    if len(predictor.description.history) > 1:
        caption = "Means over each epoch of the last training; patches and offline rotations included."
        curves = figures.training_curves(predictor.description.history)
        drawn.append(Drawn("training", "Training", caption, curves))
    return drawn + _mistakes(assessment, predictor, faces)


def _gallery_images(predictor: Predictor, faces: FaceTable) -> dict[str, list[np.ndarray]]:
    level = predictor.level
    row_of = {name: row for row, name in enumerate(faces.sample_id.tolist()) if faces.rotation[row] == 0}
    nearest = top_k(level.embedding_ND, level.group_N, GALLERY_SIZE)
    return {
        level.name_of(group, predictor.classes): list(
            faces.images([row_of[name] for name in level.sample_id[members].tolist()])
        )
        for group, members in sorted(nearest.items())
    }


def _mistakes(assessment: Assessment, predictor: Predictor, faces: FaceTable) -> list[Drawn]:
    """The test faces the model is surest of and wrong about; nothing where it makes no mistake."""
    predicted, truth = assessment.evaluation.predicted, assessment.test.label
    wrong = np.flatnonzero(predicted != truth)
    if not len(wrong):
        return []
    sureness = assessment.predictions.probability[wrong, predicted[wrong]]
    shown = wrong[np.argsort(-sureness, kind="stable")][:MOST_MISTAKES]
    titles = [f"{predictor.classes[truth[at]]} -> {predictor.classes[predicted[at]]}" for at in shown]
    sheet = figures.thumbnails(list(faces.images(assessment.rows[shown])), titles)
    caption = f"Label -> what the model says: {len(shown)} of {len(wrong)} mistakes, the surest first."
    return [Drawn("mistakes", "Mistakes", caption, sheet)]


def page(
    assessment: Assessment,
    predictor: Predictor,
    faces: FaceTable,
    drawn: list[Drawn],
    details: Mapping[str, object],
    set_aside: Mapping[str, int],
) -> str:
    """The report as one HTML text."""
    evaluation, level = assessment.evaluation, predictor.level
    dataset, method = str(details["dataset"]), str(details["method"])
    aside = ", ".join(f"{count} {reason}" for reason, count in set_aside.items()) or "none"
    by = "subjects" if evaluation.resampled_by == "subject" else "pictures (the data set names no subjects)"
    published = PUBLISHED.get((dataset, method))
    return render_report(
        ReportPage(
            title=f"{method} on {dataset}",
            summary=[
                ("training faces", len(level.sample_id)),
                ("test faces", len(assessment.test)),
                ("classes", ", ".join(predictor.classes)),
                ("sub-classes", len(level.group_G)),
                ("decides by", predictor.decides_by),
            ],
            metrics=evaluation.metrics,
            published=[published] if published else [],
            figures=[(figure.heading, figure.caption, figure.png) for figure in drawn],
            details=[("Configuration", list(details.items())), ("Data", [("set aside", aside)])],
            notes=[
                f"Intervals are 95 % by a bootstrap over {evaluation.num_subjects} {by}.",
                "No epoch, threshold or other choice was made on the test part: the model is the one after the last "
                "epoch, and K = 11 is fixed.",
                *_deviations(published, faces),
            ],
        )
    )


def _deviations(published: PublishedRow | None, faces: FaceTable) -> list[str]:
    if published is None:
        return []
    split = "one part of held-out subjects" if faces.has_subjects else "the official split"
    return [
        "The published figures are of networks pre-trained on other faces and trained for longer; ours start from "
        f"random weights unless weights are named above, and are measured on {split}."
    ]
