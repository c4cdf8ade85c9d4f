"""The figures of an experiment: the chart of its results, those that compare cells, those of the evaluations."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from fer_core import figures
from fer_core.assessment.base import Drawn
from fer_core.evaluation.classification import confusion_matrix
from fer_core.experiments.cell_files import CellFiles
from fer_core.experiments.comparisons import COMPARED
from fer_core.experiments.results import Cell
from fer_core.experiments.spec import Experiment
from fer_core.experiments.vocabulary import COUNTS, OF_A_CELL
from fer_core.vocabulary import LABELS


class Undrawn(NamedTuple):
    """A figure that the experiment names and that could not be drawn, of some or all cells, and why not."""

    figure: str
    reason: str


def draw(
    experiment: Experiment, cells: Sequence[Cell], files: Sequence[CellFiles]
) -> tuple[list[Drawn], list[Undrawn]]:
    """The chart of all results, then what the experiment names; what there is nothing to show of, with the reason."""
    run = [one for one in files if one.run is not None]
    if not run:
        return [], [Undrawn(name, "no cell was run") for name in experiment.figures]
    drawn, undrawn = _results(experiment, cells), []
    for name in experiment.figures:
        found, reason = _of_cells(name, run) if name in OF_A_CELL else _of_all(name, run)
        drawn += found
        undrawn += [Undrawn(name, reason)] if reason else []
    return drawn, undrawn


def _of_all(name: str, run: list[CellFiles]) -> tuple[list[Drawn], str]:
    drawn = COMPARED[name].draw(run)
    return drawn, "" if drawn else COMPARED[name].lacking


def _results(experiment: Experiment, cells: Sequence[Cell]) -> list[Drawn]:
    heads = [(column, metric) for column in experiment.columns for metric in experiment.metrics_of(column)]
    heads = [head for head in heads if head[1] not in COUNTS]
    if not heads:
        return []
    cell_of = {(cell.row, cell.column): cell for cell in cells}
    cited = [row for row in experiment.published if row not in experiment.rows]
    ours = [[_value(cell_of.get((row, column)), metric) for column, metric in heads] for row in experiment.rows]
    paper, others = (
        [[_published(experiment, row, *head) for head in heads] for row in rows] for rows in (experiment.rows, cited)
    )
    sheet = figures.results_chart(
        list(experiment.rows),
        [f"{column} {metric.replace('_', ' ')}" for column, metric in heads],
        np.array(ours, dtype=float).reshape(len(experiment.rows), len(heads), 3),
        np.array(paper, dtype=float).reshape(len(experiment.rows), len(heads)),
        cited,
        np.array(others, dtype=float).reshape(len(cited), len(heads)),
    )
    caption = "Ours with 95 % intervals beside the published numbers, which are of other training; see the deviations."
    return [Drawn("results", "Results", caption, sheet)]


def _value(cell: Cell | None, metric: str) -> list[float]:
    measured = None if cell is None else cell.metric(metric)
    return [np.nan] * 3 if measured is None else [measured.value, measured.low, measured.high]


def _published(experiment: Experiment, row: str, column: str, metric: str) -> float:
    value = experiment.published.get(row, {}).get(column, {}).get(metric, np.nan)
    return value / 100 if experiment.unit == "percent" else value


def _of_cells(name: str, run: list[CellFiles]) -> tuple[list[Drawn], str]:
    """A figure of the cells' own evaluations, one a cell that has it, and which cells have none."""
    found = {one: drawn for number, one in enumerate(run) if (drawn := _of_cell(name, number, one)) is not None}
    without = [one.title for one in run if one not in found]
    if not without:
        return [*found.values()], ""
    where = f"the evaluation of {'; '.join(without)} has no" if found else "no evaluation here has a"
    return [*found.values()], f"{where} picture of it, which is drawn {OF_A_CELL[name]}"


def _of_cell(name: str, number: int, one: CellFiles) -> Drawn | None:
    """Of folds the confusion is that of all of them together, any other figure that of the first."""
    assert one.evaluation is not None
    heading = f"{name.replace('_', ' ').capitalize()}: {one.title}"
    picture = one.evaluation / "figures" / f"{name}.png"
    if not picture.exists():
        return None
    if name == "confusion" and one.folds:
        caption = f"Of {len(one.folds)} folds together. Rows are the labels, columns what the models say."
        return Drawn(f"{name}-{number}", heading, caption, _confusion_of_folds(one))
    caption = f"Of the {f'first of {len(one.folds)} folds, ' if one.folds else ''}evaluation {one.evaluation.name}."
    return Drawn(f"{name}-{number}", heading, caption, picture.read_bytes())


def _confusion_of_folds(one: CellFiles) -> bytes:
    tables = [pq.read_table(fold / "predictions.parquet", columns=["truth", "decision"]) for fold in one.folds]
    told = [[label for table in tables for label in table[name].to_pylist()] for name in ("truth", "decision")]
    classes = [name for name in LABELS if name in {*chain(*told)}]  # one fold alone may lack some
    truth, decision = (np.array([classes.index(label) for label in labels]) for labels in told)
    return figures.confusion_matrix(confusion_matrix(truth, decision, len(classes)), classes)
