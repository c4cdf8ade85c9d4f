"""An experiment as one HTML page."""

from collections import Counter
from collections.abc import Sequence

from fer_core.assessment.base import Drawn
from fer_core.experiments.drawing import Undrawn
from fer_core.experiments.results import Cell, Order, cost_of, number, total_seconds
from fer_core.experiments.settings import Asked, divided
from fer_core.experiments.spec import Experiment
from fer_core.experiments.vocabulary import OF_ALL_CELLS
from fer_core.options.text import plain
from fer_core.report.measures import spoken
from fer_core.report.render import inline, template


def experiment_page(
    experiment: Experiment,
    cells: Sequence[Cell],
    orders: Sequence[Order],
    drawn: Sequence[Drawn],
    undrawn: Sequence[Undrawn],
    asked: Asked,
) -> str:
    """The page: the table beside the published numbers, whether orders agree, figures, how it was run, time, cost."""
    heads = [(column, metric) for column in experiment.columns for metric in experiment.metrics_of(column)]
    cited = [row for row in experiment.published if row not in experiment.rows]
    cell_of = {(cell.row, cell.column): cell for cell in cells}
    run = [cell for cell in cells if cell.runs]
    return template("experiment.html.j2").render(
        experiment=experiment,
        heads=[(column, spoken(metric)) for column, metric in heads],
        rows=[
            (row, [_texts(experiment, row, *head, cell_of.get((row, head[0]))) for head in heads])
            for row in experiment.rows
        ],
        cited=[(row, [_published(experiment, row, *head) for head in heads]) for row in cited],
        missing=sorted({cell.missing for cell in cells if cell.missing}),
        orders=[(order, spoken(order.metric), _difference(order, experiment)) for order in orders],
        verdicts=Counter(order.verdict for order in orders),
        wide=[_figure(one) for one in drawn if _is_of_all(one)],
        narrow=[_figure(one) for one in drawn if not _is_of_all(one)],
        intervals=sorted({cell.interval_by for cell in run}),
        failed=[(f"{cell.row}, {cell.column}", cell.failed) for cell in cells if cell.failed],
        undrawn=undrawn,
        seeds=", ".join(map(str, asked.seeds)),
        given=" ".join(asked.arguments),
        settings=[(whose, [(name, plain(value)) for name, value in own.items()]) for whose, own in divided(cells)],
        times=[
            (cell.row, cell.column, len(cell.runs), *_time_and_cost(cell.seconds, asked.cost_per_hour)) for cell in run
        ],
        total=_time_and_cost(total_seconds(run), asked.cost_per_hour),
        cost_per_hour=asked.cost_per_hour,
        smoke=asked.smoke,
    )


def _time_and_cost(seconds: float | None, cost_per_hour: float | None) -> tuple[str, str]:
    """(minutes, cost), a dash for what is not known."""
    cost = cost_of(seconds, cost_per_hour)
    return "–" if seconds is None else f"{seconds / 60:.1f}", "–" if cost is None else f"{cost:.2f}"


def _figure(one: Drawn) -> tuple[str, str, str]:
    return one.heading, one.caption, inline(one.heading, one.png)


def _is_of_all(one: Drawn) -> bool:
    """Whether it compares cells, and so is wide."""
    return one.name.split("-")[0] in ("results", *OF_ALL_CELLS)


def _texts(experiment: Experiment, row: str, column: str, metric: str, cell: Cell | None) -> tuple[str, str, str]:
    """(ours, its interval, the published number)."""
    own = None if cell is None else cell.metric(metric)
    theirs = _published(experiment, row, column, metric)
    if own is None:
        return "failed" if cell and cell.failed else "–", "", theirs
    low, value, high = (number(one, metric, experiment.unit) for one in (own.low, own.value, own.high))
    return value, "" if low == high else f"{low} to {high}", theirs


def _published(experiment: Experiment, row: str, column: str, metric: str) -> str:
    value = experiment.published.get(row, {}).get(column, {}).get(metric)
    return "" if value is None else f"{value:g}"


def _difference(order: Order, experiment: Experiment) -> str:
    one = order.difference
    value, low, high = (number(part, order.metric, experiment.unit) for part in (one.value, one.low, one.high))
    return value if low == high else f"{value} ({low} to {high})"
