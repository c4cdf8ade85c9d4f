"""A report page as one HTML file that asks nothing of the network."""

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from fer_core.evaluation.bootstrap import Interval
from fer_core.report.measures import GROUPS, grouped, spoken
from fer_core.report.page import Link, ReportPage

_PNG = b"\x89PNG\r\n\x1a\n"


def render_report(page: ReportPage) -> str:
    """The page as HTML: pictures and styles inside, no script, every text escaped.

    Raises ValueError for a figure that is not a PNG.
    """
    columns = _published_columns(page)
    return template("template.html.j2").render(
        page=page,
        groups=grouped(page.metrics),
        has_bars=any(isinstance(value, Interval) for value in page.metrics.values()),
        published_columns=[spoken(name) for name in columns],
        published_ours=[_ours(page.metrics.get(name)) for name in columns],
        published_rows=[
            (row.source, [_theirs(row.values.get(name)) for name in columns]) for row in page.published.rows
        ],
        figures=[(heading, caption, inline(heading, png)) for heading, caption, png in page.figures],
    )


def linked(page: str, links: Sequence[Link]) -> str:
    """A report with the addresses of the other pages of its model at its head, to copy: MLflow's frame follows none."""
    return page.replace("</header>", f"{template('elsewhere.html.j2').render(links=links, framed=True)}</header>", 1)


def template(name: str) -> Template:
    """A page's template, beside this file; every text that is put in is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = lambda value: f"{value:.6g}" if isinstance(value, float) else str(value)
    return environment.get_template(name)


def _published_columns(page: ReportPage) -> list[str]:
    named = {name: None for row in page.published.rows for name in row.values}
    order = [name for group in GROUPS.values() for name in group]
    return sorted(named, key=lambda name: order.index(name) if name in order else len(order))


def _ours(measured: Interval | float | None) -> str:
    if measured is None:
        return "–"
    return f"{100 * (measured.value if isinstance(measured, Interval) else measured):.1f}"


def _theirs(share: float | None) -> str:
    """With the digits that the papers print."""
    return "–" if share is None else f"{100 * share:.3f}".rstrip("0").rstrip(".")


def inline(heading: str, png: bytes) -> str:
    """A picture as the source of an image.

    Raises ValueError for a figure that is not a PNG.
    """
    if not png.startswith(_PNG):
        raise ValueError(f"The figure {heading!r} is not a PNG.")
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
