"""The token by which Ray's processes know each other. A cluster without one runs whatever anybody sends it."""

import os
import secrets
import stat
from pathlib import Path

from fer_core.errors import InputError

MODE, TOKEN, FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
DEFAULT_FILE = Path(".ray", "auth_token")
"""In the user's home folder; where `ray get-auth-token --generate` leaves one."""


def make_token() -> None:
    """A token for a cluster of this process, in its environment: left to itself Ray writes a file that others read.

    Raises:
        InputError: RAY_AUTH_MODE turns tokens off.
    """
    _require_mode(os.environ.pop(MODE, "token"))  # unset, Ray turns tokens on whenever it was imported; set, it may not
    os.environ.setdefault(TOKEN, secrets.token_hex(32))


def require_token() -> None:
    """Look for the token of a cluster that runs elsewhere.

    Raises:
        InputError: there is none, its file is readable by others, or RAY_AUTH_MODE does not turn tokens on.
    """
    _require_mode(os.environ.get(MODE, "unset"))
    if os.environ.get(TOKEN):
        return
    file = Path(os.environ.get(FILE) or Path.home() / DEFAULT_FILE)
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise InputError(
            f"RAY_ADDRESS is set, but no token of that cluster: {file}: {error.strerror}; set {TOKEN}, or {FILE} to a "
            "file that only you can read"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            f"others can read the Ray token in {file}: run `chmod 600 {file}`, and make a new token if it may be known"
        )


def _require_mode(mode: str) -> None:
    if mode.lower() != "token":
        raise InputError(
            f"{MODE} is {mode}: who reaches a Ray cluster without tokens runs code there; start with {MODE}=token"
        )
