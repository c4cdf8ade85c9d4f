import json
from types import SimpleNamespace

import pytest
from model_fixtures import faces_path, make_run, one_thread  # noqa: F401

from fer_core import speed
from fer_core.predictor import Predictor
from fer_core.runs import PROGRESS, seconds_of


@pytest.fixture
def run(make_run, tmp_path):  # noqa: F811
    """A run of 3 epochs of 2 steps, in a folder of its own."""
    folder = tmp_path / "run"
    folder.mkdir()
    for file in make_run("cnn")[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_speed_is_the_median_of_six_batches_and_kept(run, monkeypatch):
    ticks = iter([0, 99, *(tick for at in range(6) for tick in (0, 64 / (10 * (at + 1))))])
    with monkeypatch.context() as patched:
        patched.setattr(speed.time, "perf_counter", lambda: next(ticks))
        first = speed.forward_speed(run)
    assert (first.value, first.low, first.high) == pytest.approx((35, 10, 60))
    assert speed.forward_speed(run) == first, "measured again it would be another"
    (run / speed.KEPT).unlink()
    again = speed.forward_speed(run)
    assert 0 < again.low <= again.value <= again.high


def test_training_time_goes_by_steps_and_median_speed(run):
    rows = [{"images_per_second": rate} for rate in (10.0, 24.0, 500.0)]
    (run / PROGRESS).write_text("\n".join(map(json.dumps, rows)))
    steps = json.loads((run / "run.json").read_text())["history"][-1]["step"]
    assert steps > 0
    assert seconds_of(run, batch_size=48) == pytest.approx(2 * steps)


def test_training_time_that_was_not_kept_is_unknown_and_no_training_takes_none(run):
    (run / PROGRESS).unlink(missing_ok=True)
    assert seconds_of(run, batch_size=48) is None
    description = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**description, "history": []}))
    assert seconds_of(run, batch_size=48) == 0


def test_two_networks_are_measured_in_turn(make_run, monkeypatch):  # noqa: F811
    own, rival = (Predictor(*make_run(method)) for method in ("cnn", "sgm"))
    asked = []
    for name, predictor in (("own", own), ("rival", rival)):
        predictor.network.register_forward_pre_hook(lambda _, given, name=name: asked.append((name, given[0].shape)))
    taken = [(99, 99), *((3 + at, 2) for at in range(6))]
    ticks = iter([tick for pair in taken for seconds in pair for tick in (0, 16 * seconds)])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(ticks))
    ours, theirs, ratio = speed.seconds_of_both(own, rival)
    assert (ours, theirs) == (5.5, 2)
    assert (ratio.value, ratio.low, ratio.high) == (2.75, 1.5, 4)
    assert [name for name, _ in asked] == ["own", "rival"] * 7
    assert {tuple(shape) for _, shape in asked} == {(16, 24, 24, 3)}


def test_a_model_of_landmarks_is_given_points():
    asked = []
    method = SimpleNamespace(inputs="points")
    run = SimpleNamespace(build_method=lambda: method, counts={"numbers": 12}, patch=24)
    predictor = SimpleNamespace(network=lambda points: asked.append(tuple(points.shape)), description=run)
    ratio = speed.seconds_of_both(predictor, predictor)[2]
    assert set(asked) == {(16, 12)}
    assert 0 < ratio.low <= ratio.value <= ratio.high
