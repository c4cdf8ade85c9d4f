"""A decision as people read it: tables, Markdown, and a page with a picture."""

from collections.abc import Sequence

import numpy as np

from fer_core import figures
from fer_core.evaluation.bootstrap import Interval
from fer_core.gate.classes import least_rows, least_subjects
from fer_core.gate.decision import ClassCheck, CostCheck, Decision
from fer_core.report import Link, Table
from fer_core.report.measures import percent, spoken
from fer_core.report.render import inline, template

OUTCOME_OF = {"improved": "passed", "first": "passed", "regressed": "failed"}
"""Of a verdict in the picture; the others cannot be told."""
UNTOLD = {"pass": "blocks nothing", "refuse": "the candidate is refused"}
"""What becomes of it where a class cannot be told, by --untold-classes."""
WORDS = {"passed": "passed", "failed": "failed", "untold": "cannot be told"}


def title_of(model_name: str, version: int, champion: int | None) -> str:
    """The heading of a decision."""
    rival = "no champion" if champion is None else f"version {champion}"
    return f"{model_name} version {version} against {rival}"


def tables_of(decision: Decision) -> list[Table]:
    """Every number: the same rows, the classes, the floors, the costs; tables without a row are left out."""
    heads = ["Class", "Rows", "Subjects", "Candidate"]
    if decision.rival == "the champion":
        heads += ["Champion", "Difference", "Interval", "Check"]
    classes = Table("Recall by class", heads, [(one.name, _class_cells(one)) for one in decision.classes])
    floors = Table(
        "Floors",
        ["Measure", "Value", "Floor", "Check"],
        [(spoken(one.metric), [f"{one.value:.4f}", f"{one.floor:g}", WORDS[one.outcome]]) for one in decision.floors],
    )
    heads = ["Cost", "Candidate", "Champion", "Ratio", "Interval", "At most", "Check"]
    costs = Table("Speed and size", heads, [(one.cost.name, _cost_cells(one)) for one in decision.costs])
    return [table for table in (_same_rows(decision), classes, floors, costs) if table.rows]


def _same_rows(decision: Decision) -> Table:
    told = [
        ("accuracy of the candidate", percent(decision.accuracy)),
        (f"accuracy of {decision.rival}", percent(decision.rival_accuracy)),
        ("difference, percentage points", f"{100 * decision.difference.value:+.1f}"),
        ("95 % interval, subjects resampled", _points(decision.difference)),
        ("resamples in which the candidate is not better", percent(decision.share_not_better)),
        ("rows that only the candidate is right on", str(decision.mcnemar.num_gained)),
        ("rows that only the other is right on", str(decision.mcnemar.num_lost)),
        ("exact McNemar test, p", f"{decision.mcnemar.p_value:.3g}"),
        ("rows", str(decision.num_rows)),
        ("subjects", str(decision.num_subjects)),
    ]
    return Table("On the same rows", ["Measure", "Value"], [(name, [text]) for name, text in told])


def _class_cells(check: ClassCheck) -> list[str]:
    known = [str(check.num_rows), str(check.num_subjects), percent(check.recall)]
    if check.difference is None or check.champion_recall is None or check.outcome is None:
        return known
    difference = f"{100 * check.difference.value:+.1f}"
    return [*known, percent(check.champion_recall), difference, _points(check.difference), WORDS[check.outcome]]


def _cost_cells(check: CostCheck) -> list[str]:
    cost = check.cost
    digits = 4 if cost.name == "seconds an image" else 0
    values = [f"{value:,.{digits}f}" for value in (cost.candidate, cost.champion)]
    interval = f"{cost.ratio.low:.2f} to {cost.ratio.high:.2f}"
    return [*values, f"{cost.ratio.value:.2f}", interval, f"{check.most:g}", WORDS[check.outcome]]


def _points(difference: Interval) -> str:
    return f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"


def notes_of(decision: Decision) -> list[str]:
    """How to read the numbers, a sentence each."""
    notes = [
        "The interval of the difference decides: subjects are drawn with replacement, as images of one person are "
        "alike. It is the candidate's accuracy less the other's.",
        "McNemar's test takes every row as independent. Where people have several rows its p value is too small, so "
        "it is told and does not decide.",
    ]
    if decision.num_subjects == decision.num_rows:
        notes.append(
            "Every row counts as another person's, as where the data set does not tell who is who: the intervals are "
            "too narrow if some people have several rows."
        )
    if decision.rival == "the champion":
        margin, num_classes = decision.class_margin, len(decision.classes)
        notes += [
            f"The intervals of all {num_classes} classes hold together with 95 % (Bonferroni). A class passes where "
            f"its interval lies above {-100 * margin:+g} points. It fails where a loss is proven that may be larger. "
            f"It cannot be told, and {UNTOLD[decision.untold_classes]}, where the interval holds both. With fewer than "
            f"{least_rows(margin, num_classes)} rows such a loss can stay unseen, and only a proven gain passes; fewer "
            f"than {least_subjects(num_classes)} subjects of a class prove nothing.",
            f"Fewer than {least_subjects(1)} subjects prove no gain: all of them are on one side by chance too often.",
            "Speed: batches of 16 through both networks in turn; the lower end of the ratio's interval decides.",
        ]
    return notes


def markdown_of(title: str, decision: Decision, links: Sequence[Link]) -> str:
    """The decision for a Prefect artifact."""
    parts = [f"# {title}: {decision.verdict}", f"**{headline_of(decision)}**", f"{decision.reason}."]
    for table in tables_of(decision):
        lines = [table.columns, ["---"] + ["---:"] * (len(table.columns) - 1)]
        lines += [[name, *cells] for name, cells in table.rows]
        parts += [f"## {table.heading}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    parts += [f"- {note}" for note in notes_of(decision)]
    parts += [f"[{link.text}]({link.address})" for link in links]
    return "\n\n".join(parts) + "\n"


def headline_of(decision: Decision) -> str:
    """What comes of it, in a few words."""
    return "The candidate may become the champion" if decision.promote else "The candidate is not promoted"


def picture_of(decision: Decision) -> bytes:
    """PNG of the difference and, with a champion, those of the classes, with their intervals."""
    compared = [(one.name, one.difference, one.outcome or "untold") for one in decision.classes if one.difference]
    overall = ("all rows", decision.difference, OUTCOME_OF.get(decision.verdict, "untold"))
    names, intervals, outcomes = zip(overall, *compared, strict=True)
    ends_R3 = np.array([[one.value, one.low, one.high] for one in intervals])
    return figures.differences_chart(names, ends_R3, outcomes, decision.class_margin if compared else None)


def decision_page(title: str, decision: Decision, links: Sequence[Link], framed: bool = False) -> str:
    """The decision as one HTML page that asks nothing of the network; framed: links as report.linked's."""
    caption = f"The candidate's accuracy less that of {decision.rival}, with its 95 % interval."
    if decision.rival == "the champion":
        caption += " By class: the differences of recall, whose intervals hold together."
    return template("decision.html.j2").render(
        title=title,
        decision=decision,
        headline=headline_of(decision),
        tables=tables_of(decision),
        notes=notes_of(decision),
        links=links,
        framed=framed,
        caption=caption,
        picture=inline("Difference", picture_of(decision)),
    )
