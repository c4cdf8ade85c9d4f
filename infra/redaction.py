"""Secrets are blanked in every log record of this process, whichever library writes it."""

import logging
import os
import sys
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from fer_core.credentials import PASSWORD

SECRET_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PGPASSWORD",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_KEY",
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_SERVER_DATABASE_PASSWORD",
    "RAY_AUTH_TOKEN",
)
"""Beside the passwords in addresses, such as PREFECT_SERVER_DATABASE_CONNECTION_URL."""
BLANK = "***"
FEWEST_LETTERS = 4
"""Of a secret: blanking what is shorter would blank ordinary words."""
_make_record = logging.getLogRecordFactory()
_others: set[str] = set()


def hide(values: Iterable[str]) -> None:
    """Blank these as well, from now on."""
    _others.update(values)


def redacted(text: str) -> str:
    """The text with the values of secret variables, passwords in addresses and what `hide` was told blanked."""
    for secret in sorted(_secrets(), key=len, reverse=True):  # one may hold another
        text = text.replace(secret, BLANK)
    return text


def redact_logs() -> None:
    """Blank secrets in the messages and tracebacks of all loggers, and in the traceback that ends the process."""
    logging.setLogRecordFactory(_redacted_record)
    sys.excepthook = _show_fault


def _secrets() -> set[str]:
    known = {os.environ.get(name, "") for name in SECRET_VARIABLES} | _others
    known |= {found["password"] for value in os.environ.values() if (found := PASSWORD.search(value))}
    known |= {secret.partition(":")[2] for secret in known}  # of user:password
    return {secret for secret in known if len(secret) >= FEWEST_LETTERS}


def _redacted_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _make_record(*args, **kwargs)
    try:
        written = record.getMessage()
    except Exception:  # logging itself tells of a format that does not fit
        return record
    if redacted(written) != written:
        record.msg, record.args = redacted(written), None
    if record.exc_info and record.exc_info[0]:
        trace = logging.Formatter().formatException(record.exc_info)
        if redacted(trace) != trace:
            record.exc_text = redacted(trace)  # which handlers print instead
    return record


def _show_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))
