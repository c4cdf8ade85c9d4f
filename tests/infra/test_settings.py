import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra import progress
from infra.progress import Ticker
from infra.settings import Settings, engine_environment

VARIABLES = {
    "FER_HOME": "home",
    "PREFECT_API_URL": "prefect_api_url",
    "DASK_SCHEDULER_ADDRESS": "dask_scheduler_address",
    "RAY_ADDRESS": "ray_address",
    "MLFLOW_TRACKING_URI": "mlflow_tracking_uri",
    "FER_SECRETS_BLOCK": "secrets_block",
}


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_unset_means_embedded():
    assert set(Settings().model_dump().values()) == {None}


@pytest.mark.parametrize(("variable", "field"), VARIABLES.items())
def test_each_address_has_its_variable(monkeypatch, variable, field):
    monkeypatch.setenv(variable, "tcp://somewhere:1")
    settings = Settings()
    assert str(getattr(settings, field)) == str(Path("tcp://somewhere:1") if field == "home" else "tcp://somewhere:1")
    assert {name for name, value in settings.model_dump().items() if value is not None} == {field}


def test_the_users_home_folder_is_not_the_pipelines(monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    assert Settings().home is None


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().ray_address = "ray://head:10001"


def test_engines_are_told_to_stay_quiet_and_at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = engine_environment(Path("here"), verbose=False)
    assert made["PREFECT_HOME"] == str(tmp_path / "here" / "prefect")
    assert made["DO_NOT_TRACK"] == "true"
    assert made["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert made["RAY_USAGE_STATS_ENABLED"] == "0"
    assert made["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert all(isinstance(value, str) for value in made.values())
    assert list(tmp_path.iterdir()) == []


def test_verbose_shows_prefects_own_log():
    quiet, loud = (engine_environment(Path("."), verbose) for verbose in (False, True))
    changed = {name for name in quiet if quiet[name] != loud[name]}
    assert changed == {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"}
    assert loud["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "DEBUG"


@pytest.fixture
def logger():
    own = progress.logger
    before = own.handlers, own.level, own.propagate
    yield own
    own.handlers, own.propagate = before[0], before[2]
    own.setLevel(before[1])


def test_progress_goes_to_stderr_once_with_the_time(logger, capsys):
    progress.show_progress()
    progress.show_progress()
    logger.info("train     step %d", 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["[    0.0 s] train     step 3"]


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("infra.progress.time.monotonic", lambda: now[0])
    return now


def test_a_ticker_says_rate_and_time_left_every_few_seconds_and_at_the_end(clock, caplog, monkeypatch):
    monkeypatch.setattr(progress.logger, "propagate", True)
    ticker = Ticker("embed", 100, "faces", every=2.0)
    with caplog.at_level(logging.INFO, logger="fer"):
        for second, done in ((1, 10), (2, 20), (3, 30), (5, 50), (5.1, 99), (5.2, 100)):
            clock[0] = 100.0 + second
            ticker(done)
    assert caplog.messages == [
        "embed     20 / 100 faces, 10/s, 8 s left",
        "embed     50 / 100 faces, 10/s, 5 s left",
        "embed     100 / 100 faces, 19/s, 0 s left",
    ]


def test_a_ticker_of_nothing_done_divides_by_nothing(clock, caplog, monkeypatch):
    monkeypatch.setattr(progress.logger, "propagate", True)
    ticker = Ticker("crop", 10, "pictures")
    clock[0] += 5
    with caplog.at_level(logging.INFO, logger="fer"):
        ticker(0)
        clock[0] += 0
        Ticker("crop", 0, "pictures")(0)
    assert caplog.messages[0] == "crop      0 / 10 pictures, 0/s, 0 s left"
    assert caplog.messages[1] == "crop      0 / 0 pictures, 0/s, 0 s left"
