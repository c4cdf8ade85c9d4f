"""Secrets are blanked in logs, whoever writes them, and refused in addresses."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_core.errors import InputError
from infra import redaction
from infra.redaction import SECRET_VARIABLES, hide, redact_logs, redacted
from infra.settings import SECRETS_BELONG, Settings, environment

SECRET = "sentinel-8f3a"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a library's own logger, with a handler of its own, writes."""
    made, hook = io.StringIO(), sys.excepthook
    handler = logging.StreamHandler(made)
    logging.getLogger("library.part").addHandler(handler)
    redact_logs()
    yield made
    logging.getLogger("library.part").removeHandler(handler)
    logging.setLogRecordFactory(logging.LogRecord)
    sys.excepthook = hook
    redaction._others.clear()


@pytest.mark.parametrize("variable", SECRET_VARIABLES)
def test_the_values_of_secret_variables_are_blanked(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, SECRET)
    assert redacted(f"{variable}={SECRET}, twice {SECRET}!") == f"{variable}=***, twice ***!"


def test_passwords_in_addresses_and_of_users_are_blanked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"postgresql+asyncpg://fer:{SECRET}@host/db")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:sentinel-2")
    assert redacted(f"host {SECRET} admin:sentinel-2 sentinel-2") == "host *** *** ***"


def test_a_secret_that_another_begins_with_does_not_uncover_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", SECRET)
    monkeypatch.setenv("PGPASSWORD", SECRET + "-longer")
    assert redacted(f"{SECRET}-longer") == "***"


def test_short_values_and_empty_ones_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fer")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "")
    assert redacted("fer_core of fer") == "fer_core of fer"


def test_messages_arguments_and_tracebacks_of_any_logger(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    logger = logging.getLogger("library.part")
    logger.warning("token %s of %d", SECRET, 3)
    logger.warning("token %(token)r", {"token": SECRET})
    logger.warning(ValueError(SECRET))
    try:
        raise ValueError(f"no {SECRET} here")
    except ValueError:
        logger.exception("failed")
    logger.warning("an honest %s", "message")
    written = log.getvalue()
    assert SECRET not in written
    assert written.startswith("token *** of 3\ntoken '***'\n***\nfailed\nTraceback")
    assert written.endswith("ValueError: no *** here\nan honest message\n")


def test_what_is_hidden_later_is_blanked_too(log: io.StringIO) -> None:
    hide([SECRET])
    logging.getLogger("library.part").error("x%sx", SECRET)
    assert log.getvalue() == "x***x\n"


def test_the_traceback_that_ends_a_process_has_no_secrets() -> None:
    code = "from infra.redaction import redact_logs; redact_logs(); import os; raise OSError(os.environ['PGPASSWORD'])"
    with environment({"PGPASSWORD": SECRET}):
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.endswith("OSError: ***\n")


@pytest.mark.parametrize("name", SECRETS_BELONG)
def test_an_address_with_a_password_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name.upper(), f"http://user:{SECRET}@server:5000")
    with pytest.raises(InputError, match=f"^{name.upper()} holds a password .*: set it in ") as refused:
        Settings()
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("before", [None, "as it was"])
def test_the_environment_is_as_before(before: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FER_HOME", raising=False)
    if before is not None:
        monkeypatch.setenv("FER_HOME", before)
    with environment({"FER_HOME": str(tmp_path)}):
        assert Settings().home == tmp_path
    assert Settings().home == (None if before is None else Path(before))
