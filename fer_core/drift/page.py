"""Drift as one HTML page."""

from collections.abc import Sequence

from fer_core.drift.two_samples import MOST_ROWS, PERMUTATIONS, Drift
from fer_core.report import ReportPage, render_report

_MEANS = {
    "embeddings": "energy distance; its size is the share of the mean distance between the two samples",
    "classes": "chi-square of what the model says; its size is the share of rows that would have to change class",
}


def drift_page(title: str, drift: Drift, alpha: float, rows: tuple[int, int], figures: tuple[bytes, bytes]) -> str:
    """The page: whether there is drift at level `alpha`, the pictures, every number, how it was measured.

    Args:
        rows: of the reference and of what was scored, before they were drawn from.
        figures: drawn by figures.drift, as PNG: of the embeddings and of the classes.
    """
    fired = [shift.kind for shift in drift.shifts if shift.adjusted_p <= alpha]
    verdict = f"Drift in {' and '.join(fired)}." if fired else "No drift can be seen."
    samples: Sequence[tuple[str, object]] = [
        ("test part", f"{len(drift.reference.label_N):,} of {rows[0]:,} rows, {drift.reference.num_groups:,} groups"),
        ("scored", f"{len(drift.recent.label_N):,} of {rows[1]:,} rows, {drift.recent.num_groups:,} groups"),
        ("level", alpha),
    ]
    details = [
        (
            shift.kind.capitalize(),
            [
                ("test", _MEANS[shift.kind]),
                ("statistic", shift.statistic),
                ("size, 0 to 1", round(shift.size, 4)),
                ("p value", shift.p_value),
                ("adjusted for two tests (Holm)", shift.adjusted_p),
            ],
        )
        for shift in drift.shifts
    ]
    notes = [
        f"p values by {PERMUTATIONS:,} permutations of whole groups (people, videos, folders), not of rows.",
        f"At most {MOST_ROWS:,} rows of a sample are drawn, and of no group more than is usual in the other sample.",
        "Drift says that the pictures, or the people on them, are others than those the model was tested on. It does "
        "not say that the model is wrong: that takes labels.",
    ]
    captions = (
        ("Embeddings", "First two principal components of both samples together."),
        ("Expressions said", "How often the model says each expression."),
    )
    drawn = [(*texts, figure) for texts, figure in zip(captions, figures, strict=True)]
    return render_report(ReportPage(title, verdict, samples, figures=drawn, details=details, notes=notes))
