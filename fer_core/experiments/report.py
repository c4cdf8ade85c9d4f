"""All that is said of an experiment that was run: what programs read, and what the text for people is made of."""

from collections.abc import Sequence
from typing import Any

from fer_core.experiments.drawing import Undrawn
from fer_core.experiments.results import Cell, as_json, cost_of, orders, table_lines, total_seconds
from fer_core.experiments.settings import Asked, divided
from fer_core.experiments.spec import Experiment


def as_report(
    experiment: Experiment, cells: Sequence[Cell], asked: Asked, undrawn: Sequence[Undrawn]
) -> dict[str, Any]:
    """Title, results with their orders, how they were run and how that differs from the paper, what is lacking.

    Keys: title, question; seeds and `given`, what was chosen on the command line; settings, see `divided`; deviations;
    cells, see `as_json`; orders; `failed`, cells with their errors; `undrawn`, figures with the reasons;
    training_seconds, cost; table, lines of text.
    """
    trained = total_seconds(cells)
    return {
        "title": experiment.title,
        "question": experiment.question,
        "seeds": list(asked.seeds),
        "given": {
            "smoke": asked.smoke, "rows": list(asked.rows), "columns": list(asked.columns), "set": asked.set,
            "arguments": asked.arguments,
        },
        "settings": [{"of": whose, "settings": own} for whose, own in divided(cells)],
        "deviations": list(experiment.deviations),
        "cells": as_json(experiment, cells, asked.cost_per_hour),
        "orders": [{**vars(one), "difference": vars(one.difference)} for one in orders(experiment, cells)],
        "failed": [{"row": one.row, "column": one.column, "error": one.failed} for one in cells if one.failed],
        "undrawn": [one._asdict() for one in undrawn],
        "training_seconds": trained,
        "cost": cost_of(trained, asked.cost_per_hour),
        "table": table_lines(experiment, cells),
    }  # fmt: skip
