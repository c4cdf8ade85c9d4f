"""What the gate compares: two models on the same rows, of pictures that neither was trained on."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import Interval
from fer_core.options.gate import GateOptions
from fer_core.runs import NETWORK
from tasks import gate
from tasks.evaluation import METRICS, PREDICTIONS
from tasks.gate import require_never_seen

NUM = 300
NAMES = [f"row {number}" for number in range(NUM)]
TRUTH = np.array(["anger", "fear"])[np.arange(NUM) % 2]
WRONG = np.array(["fear", "anger"])[np.arange(NUM) % 2]
RIGHT_OF = {1: 0.5, 2: 0.9, 3: 0.5}
"""By version: the share of rows that it is right on."""


class FakeRegistry:
    """Versions that were tested on rows of a table; 1 and 2 on the same, 3 on others."""

    model_name = "fer"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.protocol = dict.fromkeys(RIGHT_OF, "expressions")
        self.trained: list[str] = []
        for version, share in RIGHT_OF.items():
            own = folder / str(version)
            own.mkdir()
            order = np.random.default_rng(version).permutation(NUM)
            decision = np.where(np.arange(NUM) < share * NUM, TRUTH, WRONG)
            table = {"sample_id": NAMES, "subject": np.arange(NUM) % 30, "truth": TRUTH, "decision": decision}
            pq.write_table(pa.table(table).take(order), own / PREDICTIONS)
            (own / METRICS).write_text(json.dumps({"accuracy": {"value": share, "low": 0, "high": 1}}))
            (own / NETWORK).write_bytes(b"0" * 100 * version)

    def artifact(self, version: int, name: str) -> Path:
        return self.folder / str(version) / name

    def model_file(self, version: int, name: str) -> Path:
        return self.folder / str(version) / name.removeprefix("run/")

    def tags_of(self, version: int) -> dict[str, str]:
        return {"test_rows": "others" if version == 3 else "same", "faces": "faces", "run": "run"}

    def predictor(self, version: int) -> Any:
        method = SimpleNamespace(protocol=self.protocol[version])
        level = SimpleNamespace(sample_id=np.array(self.trained, dtype=str))
        return SimpleNamespace(version=version, description=SimpleNamespace(build_method=lambda: method), level=level)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(gate, "seconds_of_both", lambda own, rival: (0.2, 0.1, Interval(2.0, 1.4, 2.2)))
    return FakeRegistry(tmp_path)


def test_rows_of_one_digest_are_matched_by_name(registry: Any) -> None:
    decision = gate.judge(registry, 2, 1, GateOptions())
    assert (decision.verdict, decision.promote) == ("improved", True)
    assert (decision.accuracy, decision.rival_accuracy) == (0.9, 0.5)
    assert (decision.mcnemar.num_gained, decision.mcnemar.num_lost) == (120, 0)
    assert (decision.num_rows, decision.num_subjects) == (NUM, 30)
    assert gate.judge(registry, 1, 2, GateOptions()).verdict == "regressed"


def test_on_other_rows_the_champion_is_asked_anew(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(rival: Any, faces: Path, own: pa.Table) -> np.ndarray:
        assert (rival.version, str(faces)) == (1, "faces")
        return np.array(own["truth"].to_pylist())

    monkeypatch.setattr(gate, "decisions_of", said)
    assert gate.judge(registry, 3, 1, GateOptions()).rival_accuracy == 1
    registry.trained = [NAMES[7]]
    with pytest.raises(InputError, match="version 1 was trained on pictures that version 3 is tested on"):
        gate.judge(registry, 3, 1, GateOptions())
    assert gate.judge(registry, 2, 1, GateOptions()).rival_accuracy == 0.5, "its own evaluation was on these rows"


def test_speed_and_size_are_of_both_models(registry: Any) -> None:
    seconds, size = gate.judge(registry, 2, 1, GateOptions()).costs
    assert (seconds.cost.candidate, seconds.cost.champion, seconds.outcome) == (0.2, 0.1, "passed")
    assert (size.cost.candidate, size.cost.champion, size.cost.ratio) == (200, 100, Interval(2, 2, 2))
    assert not gate.judge(registry, 2, 1, GateOptions(max_slowdown=1.3)).promote
    assert not gate.judge(registry, 2, 1, GateOptions(max_growth=1.9)).promote


def test_a_first_is_compared_with_guessing_and_its_floors(registry: Any) -> None:
    decision = gate.judge(registry, 2, None, GateOptions())
    assert (decision.verdict, decision.promote, decision.rival_accuracy, decision.costs) == ("first", True, 0.5, ())
    assert not gate.judge(registry, 2, None, GateOptions(floors={"accuracy": 0.95})).promote
    with pytest.raises(InputError, match="--floors f1: the version was not measured by it"):
        gate.judge(registry, 2, None, GateOptions(floors={"f1": 0.95}))


def test_models_of_two_kinds_are_not_compared(registry: Any) -> None:
    registry.protocol[1] = "pairs"
    with pytest.raises(InputError, match="version 1 is tested on pairs, version 2 on expressions; register it under"):
        gate.judge(registry, 2, 1, GateOptions())


@pytest.mark.parametrize("tested", [["a", "b"], ["a|c", "b|d"]])
def test_a_champion_that_saw_a_tested_picture_is_refused(registry: Any, tested: list[str]) -> None:
    require_never_seen(registry, 1, {"e", "ab"}, 2, tested)
    with pytest.raises(InputError, match="fer: version 1 was trained on pictures that version 2 is tested on"):
        require_never_seen(registry, 1, {"e", "b"}, 2, tested)
