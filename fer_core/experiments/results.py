"""What came of an experiment's cells: means with intervals, beside the published numbers, and whether orders agree."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

from fer_core.evaluation.bootstrap import Interval
from fer_core.experiments.spec import Experiment
from fer_core.experiments.vocabulary import COUNTS, LOWER_IS_BETTER

CONFIDENCE = 0.95
FEWEST_FOLDS = 5
"""Whose spread says something: the 95 % interval by Student's t over two is nine standard deviations to each side."""


@dataclass(frozen=True)
class Cell:
    """One row and column of an experiment.

    Attributes:
        row, column: their names.
        runs: metric -> interval of each run: of each seed, and of each fold of a cross-validation.
        num_seeds: how many seeds the runs are of.
        missing: why there is no run: what the user lacks; None where there are runs.
        failed: why there is no run: the error that ended it; None where there are runs.
        settings: what it was run with, see settings.settings_of; empty where data are missing.
        trained: name of each run -> seconds that it was trained for, None where that is not known. Cells that differ in
            what they are tested on share runs.
        evaluations: name of each evaluation directory -> digest of its content.
    """

    row: str
    column: str
    runs: tuple[dict[str, Interval], ...] = ()
    num_seeds: int = 1
    missing: str | None = None
    failed: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    trained: dict[str, float | None] = field(default_factory=dict)
    evaluations: dict[str, str] = field(default_factory=dict)

    def metric(self, name: str) -> Interval | None:
        """The mean over the runs, with its 95 % interval; None where a run lacks the metric.

        Of five folds and more the interval is over the folds. Of fewer it is put together of the runs' own: each fold
        tests other people, so that the variances of their mean add; several seeds widen it by their spread.
        """
        runs = [run[name] for run in self.runs if name in run]
        if not runs or len(runs) < len(self.runs):
            return None
        if len(runs) == 1:
            return runs[0]
        values_SF = self.values(name)
        if self.num_folds >= FEWEST_FOLDS:
            return over_runs(values_SF)
        ends_SF2 = np.array([(run.value - run.low, run.high - run.value) for run in runs]).reshape(*values_SF.shape, 2)
        sides_2 = (np.linalg.norm(ends_SF2, axis=1) / self.num_folds).mean(axis=0)
        value_S = values_SF.mean(axis=1)
        if self.num_seeds > 1:
            over_seeds = mean_interval(value_S)
            sides_2 = np.hypot(sides_2, over_seeds.high - over_seeds.value)
        value = float(value_S.mean())
        return Interval(value, value - float(sides_2[0]), value + float(sides_2[1]))

    def values(self, name: str) -> np.ndarray:
        """(seeds, folds) of a metric that every run has."""
        return np.array([run[name].value for run in self.runs]).reshape(self.num_seeds, -1)

    @property
    def num_folds(self) -> int:
        """Of the cross-validation; 1 without one."""
        return len(self.runs) // self.num_seeds

    @property
    def seconds(self) -> float | None:
        """That the networks of the cell were trained for; None where that is not known of one of them."""
        return _sum(self.trained.values())

    @property
    def interval_by(self) -> str:
        """What the interval is over."""
        if self.num_folds >= FEWEST_FOLDS:
            folds = f"{self.num_folds} folds"
            return folds if self.num_seeds == 1 else f"{folds} of each of {self.num_seeds} seeds"
        subjects = "test subjects" if self.num_folds == 1 else f"test subjects of {self.num_folds} folds"
        return subjects if self.num_seeds == 1 else f"{subjects} and {self.num_seeds} seeds"


@dataclass(frozen=True)
class Order:
    """Two rows that follow each other in the published order, the better one first, and what is ours of them.

    Attributes:
        difference: ours, better minus worse, with its 95 % interval: over the same folds where there are five and more,
            else of two independent measurements, which is too wide where the test rows are the same.
        verdict: "holds", "reversed", or "cannot be told apart" where the interval holds 0.
    """

    column: str
    metric: str
    better: str
    worse: str
    difference: Interval
    verdict: str


def total_seconds(cells: Sequence[Cell]) -> float | None:
    """That all networks were trained for, each counted once; None where that is not known of one of them."""
    trained = {name: seconds for cell in cells for name, seconds in cell.trained.items()}
    return _sum(trained.values())


def cost_of(seconds: float | None, per_hour: float | None) -> float | None:
    """Money for so much training; None where either is not known."""
    return None if seconds is None or per_hour is None else seconds / 3600 * per_hour


def _sum(seconds: Collection[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None


def over_runs(values_SF: np.ndarray) -> Interval:
    """The mean over seeds and folds with its 95 % interval: over the folds, else over the seeds.

    Each seed deals the same people to folds anew, so that more seeds are not more people: of several seeds with folds
    the interval is the mean of each seed's own.
    """
    if values_SF.shape[1] == 1:
        return mean_interval(values_SF[:, 0])
    each = [mean_interval(values_F) for values_F in values_SF]
    value, low, high = (float(np.mean([getattr(one, name) for one in each])) for name in ("value", "low", "high"))
    return Interval(value, low, high)


def mean_interval(values: np.ndarray) -> Interval:
    """The mean of at least two values and its 95 % interval by Student's t."""
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def orders(experiment: Experiment, cells: Sequence[Cell]) -> list[Order]:
    """Whether the published order of the rows holds, for each column and metric with numbers of two of them."""
    cell_of = {(cell.row, cell.column): cell for cell in cells}
    found = []
    for column in experiment.columns:
        for metric in experiment.metrics_of(column):
            ranked = _ranked(experiment, column, metric, cell_of)
            found += [
                _order(column, metric, cell_of[one, column], cell_of[two, column]) for one, two in pairwise(ranked)
            ]
    return found


def _ranked(experiment: Experiment, column: str, metric: str, cell_of: dict[tuple[str, str], Cell]) -> list[str]:
    """The rows with a published and a measured number, the published best first; lower is better for an error."""
    known = {
        row: cells[column][metric]
        for row, cells in experiment.published.items()
        if metric in cells.get(column, {}) and (row, column) in cell_of and cell_of[row, column].metric(metric)
    }
    return sorted(known, key=lambda row: known[row], reverse=metric not in LOWER_IS_BETTER)


def _order(column: str, metric: str, better: Cell, worse: Cell) -> Order:
    values_SF = [cell.values(metric) for cell in (better, worse)]
    one, other = (cell.metric(metric) for cell in (better, worse))
    assert one is not None
    assert other is not None
    if values_SF[0].shape == values_SF[1].shape and better.num_folds >= FEWEST_FOLDS:
        difference = over_runs(values_SF[0] - values_SF[1])
    else:
        own = one.value - other.value
        below, above = (
            math.hypot(one.value - one.low, other.high - other.value),
            math.hypot(one.high - one.value, other.value - other.low),
        )
        difference = Interval(own, own - below, own + above)
    in_favour = (
        difference if metric not in LOWER_IS_BETTER else Interval(-difference.value, -difference.high, -difference.low)
    )
    verdict = "holds" if in_favour.low > 0 else "reversed" if in_favour.high < 0 else "cannot be told apart"
    return Order(column, metric, better.row, worse.row, difference, verdict)


def number(value: float, metric: str, unit: str) -> str:
    """A measured share or count as it is printed: in the unit of the published numbers."""
    if metric in COUNTS:
        return f"{value:.0f}"
    return f"{100 * value:.2f}" if unit == "percent" else f"{value:.3f}"


def as_json(experiment: Experiment, cells: Sequence[Cell], cost_per_hour: float | None) -> list[dict[str, Any]]:
    """One object a row and column: ours with its interval, the published number, both as shares; time and cost."""
    cell_of = {(cell.row, cell.column): cell for cell in cells}
    rows = [*experiment.rows, *(row for row in experiment.published if row not in experiment.rows)]
    return [
        _described(experiment, row, column, cell_of.get((row, column)), cost_per_hour)
        for row in rows
        for column in experiment.columns
        if (row, column) in cell_of or experiment.published.get(row, {}).get(column)
    ]


def _described(
    experiment: Experiment, row: str, column: str, cell: Cell | None, cost_per_hour: float | None
) -> dict[str, Any]:
    scale = 100 if experiment.unit == "percent" else 1
    printed = experiment.published.get(row, {}).get(column, {})
    published = {name: value / (1 if name in COUNTS else scale) for name, value in printed.items()}
    described: dict[str, Any] = {"row": row, "column": column, "published": published, "ours": {}}
    if cell is None:
        return described | {"cited": True}
    measured = {name: cell.metric(name) for name in experiment.metrics_of(column)}
    described["ours"] = {name: vars(value) for name, value in measured.items() if value}
    return described | {
        "missing": cell.missing,
        "failed": cell.failed,
        "settings": cell.settings,
        "seconds": cell.seconds if cell.runs else None,
        "cost": cost_of(cell.seconds, cost_per_hour) if cell.runs else None,
        "runs": len(cell.runs),
        "interval_by": cell.interval_by if cell.runs else None,
        "evaluations": list(cell.evaluations),
    }


def table_lines(experiment: Experiment, cells: Sequence[Cell]) -> list[str]:
    """The table as text: ours with its interval, and the published number in brackets."""
    cell_of = {(cell.row, cell.column): cell for cell in cells}
    heads = [(column, metric) for column in experiment.columns for metric in experiment.metrics_of(column)]
    several = len({metric for _, metric in heads}) > 1
    header = ["", *(f"{column} {metric}" if several else column for column, metric in heads)]
    rows = [*experiment.rows, *(row for row in experiment.published if row not in experiment.rows)]
    lines = [header]
    for row in rows:
        lines.append([row, *(_text(experiment, row, *head, cell_of.get((row, head[0]))) for head in heads)])
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _text(experiment: Experiment, row: str, column: str, metric: str, cell: Cell | None) -> str:
    printed = experiment.published.get(row, {}).get(column, {}).get(metric)
    theirs = "" if printed is None else f" [{printed:g}]"
    own = cell.metric(metric) if cell else None
    if own is None:
        lacking = "failed" if cell and cell.failed else "-" if cell or not theirs else ""
        return lacking + theirs
    low, value, high = (number(one, metric, experiment.unit) for one in (own.low, own.value, own.high))
    return value + (f" ({low} to {high})" if low != high else "") + theirs
