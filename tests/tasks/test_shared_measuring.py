"""When a level and an evaluation are made by the workers that a command is given."""

import pytest

from fer_core.assessment.protocols import Protocol, measured
from fer_core.options.engine import EngineOptions
from fer_core.options.stages import EvaluateOptions
from tasks import evaluation
from tasks.model import ROWS_FOR_WORKERS, worth_workers


@pytest.mark.parametrize(
    ("workers", "num_rows", "expected"),
    [
        ("0", 10 * ROWS_FOR_WORKERS, False),
        ("2", ROWS_FOR_WORKERS - 1, False),
        ("2", ROWS_FOR_WORKERS, True),
        ("1:4", ROWS_FOR_WORKERS, True),
    ],
)
def test_workers_are_worth_their_start_for_many_rows(workers, num_rows, expected):
    assert worth_workers(EngineOptions(workers=workers), num_rows) is expected


class Faces:
    """Of so many upright rows."""

    def __init__(self, num_rows):
        self.num_rows = num_rows

    def rows_of(self, role, upright):
        return range(self.num_rows)


class Asked(Exception):
    """Workers were asked for."""


def asked(function, arguments, engine, address, say):
    raise Asked(function, engine.workers)


class Plan:
    """Of a case that is tested by counting."""

    def __init__(self, num_tested, num_trained):
        predictor = type("Predictor", (), {"level": type("Level", (), {"sample_id": range(num_trained)})})
        self.case = type("Case", (), {"tested": Faces(num_tested), "predictor": predictor})

    def made(self):
        return self.case


def test_an_evaluation_counts_the_tested_and_the_training_rows(monkeypatch):
    options = EvaluateOptions(workers="2")
    monkeypatch.setattr(evaluation, "on_workers", asked)
    here = Protocol(lambda case, progress, world: world.size, lambda case, found: found)
    monkeypatch.setattr(evaluation, "protocol_of", lambda case: here)
    with pytest.raises(Asked) as error:
        evaluation._assessed(options, Plan(ROWS_FOR_WORKERS - 5, 5))
    assert error.value.args == (measured, "2")
    assert evaluation._assessed(options, Plan(ROWS_FOR_WORKERS - 6, 5)) == 1
