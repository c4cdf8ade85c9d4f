"""The report of one evaluated model."""

from collections.abc import Mapping, Sequence

from fer_core.assessment.base import Assessed, Drawn
from fer_core.report import Published, ReportPage, render_report

ELSEWHERE = (
    "Was a model version registered with this evaluation, and judged by the gate? Then decision.html, below decisions/ "
    "in the home, leads here, to MLflow and to Prefect, and the copy of this page in the version's MLflow run has "
    "their addresses. The version's tag evaluation is the name of this page's folder."
)
"""What a page cannot link to itself."""


def page(
    title: str,
    assessed: Assessed,
    drawn: Sequence[Drawn],
    details: Mapping[str, object],
    set_aside: Mapping[str, int],
    published: Published,
    notes: Sequence[str] = (),
) -> str:
    """The report as one HTML text.

    Args:
        title: what was run, see naming.title_of.
        details: the configuration.
        set_aside: reason -> how many pictures.
        published: what the papers print of the same model on the same data.
        notes: sentences that go before those of the assessment, and of where more is found.
    """
    aside = ", ".join(f"{count} {reason}" for reason, count in set_aside.items()) or "none"
    return render_report(
        ReportPage(
            title=title,
            summary=assessed.facts,
            metrics=assessed.metrics,
            tables=assessed.tables,
            published=published,
            figures=[(figure.heading, figure.caption, figure.png) for figure in drawn],
            details=[("Configuration", list(details.items())), ("Data", [("set aside", aside)])],
            notes=[*notes, *assessed.notes, ELSEWHERE],
        )
    )
