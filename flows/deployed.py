"""What every flow that a Prefect server deploys does around its work."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from prefect.states import Completed

from fer_core.options.home import HomeOptions
from infra.prefect_engine import secrets_of_block
from infra.progress import logger

Options = TypeVar("Options", bound=HomeOptions)


def with_secrets(run: Callable[[Options], dict[str, Any]]) -> Callable[[Options], dict[str, Any]]:
    """Of a flow that a Prefect server deploys: the secrets that its process is told to take from a block.

    And our own lines for the server's log, where PREFECT_LOGGING_EXTRA_LOGGERS hands them on.
    """

    @wraps(run)
    def run_with_secrets(options: Options) -> dict[str, Any]:
        logger.setLevel(logging.INFO)
        with secrets_of_block():
            return run(options)

    return run_with_secrets


def with_sentence(values: dict[str, Any], sentence: str) -> dict[str, Any]:
    """A flow's values, with a final state that says on the server what came out; its caller gets the values."""
    return Completed(data=values, message=sentence)  # type: ignore[return-value]
