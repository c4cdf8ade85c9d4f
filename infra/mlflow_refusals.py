"""What an MLflow server refuses, said in a sentence: the user mends it and runs the same command again."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from requests import HTTPError

from fer_core.errors import InputError

WAYS_OUT = {
    401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of a user",
    403: "ask its administrator for the permission; --allowed-hosts of the server must name the host in the address",
}
"""By HTTP status."""
STAYS = "What was trained stays; the same command goes on from here"


@contextmanager
def plainly(uri: str) -> Iterator[None]:
    """While it lasts, a refusal of the server at `uri` is raised as a sentence.

    Raises:
        InputError: the server does not know the user, or does not allow what was asked (HTTP 401, 403).
    """
    try:
        yield
    except (MlflowException, HTTPError) as error:
        status = status_of(error)
        if status not in WAYS_OUT:
            raise
        said = " ".join(str(error).split())
        raise InputError(f"MLflow at {uri} refuses ({status}): {WAYS_OUT[status]}. {STAYS}. It said: {said}") from error


def status_of(error: MlflowException | HTTPError) -> int | None:
    """The HTTP status of an answer that MLflow raised."""
    if isinstance(error, MlflowException):
        return error.get_http_status_code()
    return getattr(error.response, "status_code", None)
