"""The report of one evaluated model."""

from collections.abc import Mapping

from fer_core.assessment.base import Assessed, Drawn
from fer_core.report import PublishedRow, ReportPage, render_report

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


def page(
    assessed: Assessed,
    drawn: list[Drawn],
    details: Mapping[str, object],
    set_aside: Mapping[str, int],
    has_subjects: bool,
) -> str:
    """The report as one HTML text.

    Args:
        details: the configuration; `dataset` and `method` are in it.
        set_aside: reason -> how many pictures.
        has_subjects: whether people were held out, and not an official part.
    """
    dataset, method = str(details["dataset"]), str(details["method"])
    aside = ", ".join(f"{count} {reason}" for reason, count in set_aside.items()) or "none"
    published = PUBLISHED.get((dataset, method))
    return render_report(
        ReportPage(
            title=f"{method} on {dataset}",
            summary=assessed.facts,
            metrics=assessed.metrics,
            published=[published] if published else [],
            figures=[(figure.heading, figure.caption, figure.png) for figure in drawn],
            details=[("Configuration", list(details.items())), ("Data", [("set aside", aside)])],
            notes=[
                *assessed.notes,
                *_deviations(published, has_subjects),
            ],
        )
    )


def _deviations(published: PublishedRow | None, has_subjects: bool) -> list[str]:
    if published is None:
        return []
    split = "one part of held-out subjects" if has_subjects else "the official split"
    return [
        "The published figures are of networks pre-trained on other faces and trained for longer; ours start from "
        f"random weights unless weights are named above, and are measured on {split}."
    ]
