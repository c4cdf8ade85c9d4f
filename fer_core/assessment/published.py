"""What the papers print of the same model on the same data: rows of the experiments' tables, where it stands once."""

import functools
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from fer_core.experiments.spec import Experiment, names, read_experiment
from fer_core.experiments.vocabulary import COUNTS
from fer_core.folds import Part
from fer_core.naming import used_options
from fer_core.options.stages import EvaluateOptions
from fer_core.report import Published, PublishedRow

ANY_PICTURES = ("image_folder", "synthetic")
"""Data sets that are no one's: a column of such a folder says nothing of what another one holds."""


def published_for(options: EvaluateOptions, part: Part, tested: str | None = None) -> Published:
    """The published numbers of a run: those of tables that name its data set, protocol, method, options and backbone.

    How long it is trained, and on what size of pictures, may differ; the report says both. Numbers that several tables
    print alike are one row, which names them all.

    Args:
        options: of the run.
        part: who is tested on: the folds, or the number of people held out, must be the table's too.
        tested: the other data set that is tested on; None: none.
    """
    if options.dataset in ANY_PICTURES or options.per_class is not None:
        return Published()
    tables_of: dict[tuple[str, tuple[tuple[str, float], ...]], list[str]] = {}
    deviations: dict[str, None] = {}
    for name, experiment in _experiments().items():
        for row, column in _same(experiment, options, part, tested):
            values = _shares(experiment, row, column)
            tables_of.setdefault((f"{row} on {column}", tuple(values.items())), []).append(name)
            deviations |= dict.fromkeys(experiment.deviations)
    rows = [PublishedRow(f"{label} ({', '.join(tables)})", dict(own)) for (label, own), tables in tables_of.items()]
    return Published(tuple(rows), tuple(deviations))


@functools.cache
def _experiments() -> dict[str, Experiment]:
    return {name: read_experiment(name) for name in names()}


def _same(
    experiment: Experiment, options: EvaluateOptions, part: Part, tested: str | None
) -> Iterator[tuple[str, str]]:
    """The rows and columns with numbers whose cells are the run."""
    for row in experiment.rows:
        for column, own in experiment.columns.items():
            if (own.data, own.test) == (options.dataset, tested) and _shares(experiment, row, column):
                cell = _options_of(experiment, row, column, options)
                if cell is not None and _told(cell, cell.folds, cell.test_people) == _told(
                    options, part.folds, part.test_people
                ):
                    yield row, column


def _options_of(experiment: Experiment, row: str, column: str, options: EvaluateOptions) -> EvaluateOptions | None:
    """A cell's options with the run's source; None where they lack what only the user can name."""
    place = {"home": options.home, "source": options.source}
    try:
        return EvaluateOptions.model_validate({**experiment.options_of(row, column, smoke=False), **place})
    except ValidationError:
        return None


def _told(options: EvaluateOptions, folds: int | None, test_people: int | None) -> tuple[Any, ...]:
    model = options.method, used_options(options), options.backbone_name, options.levels
    return *model, options.own, folds, test_people


def _shares(experiment: Experiment, row: str, column: str) -> dict[str, float]:
    numbers = experiment.published.get(row, {}).get(column, {})
    unit = 100 if experiment.unit == "percent" else 1
    return {metric: value / unit for metric, value in numbers.items() if metric not in COUNTS}
