"""Addresses without credentials: an option or an address is written to logs, manifests and databases."""

import re
from urllib.parse import parse_qsl

from fer_core.errors import InputError

PASSWORD = re.compile(r"://[^/@]*:(?!\d+(?:/|$))(?P<password>[^@]*)@")
"""user:password@ behind `://`, also where the password has a slash that should have been quoted; not host:port/."""
SECRET_WORDS = {"key", "password", "secret", "sig", "signature", "token"}
"""In the name of a query parameter."""
OF_OBJECT_STORES = "give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of every host"
"""The way out for `--stream` and `--storage`."""


def require_no_credentials(uri: str, called: str, way_out: str) -> None:
    """Refuse an address that carries a password or a key.

    Args:
        uri: a path or any URI.
        called: what the address is called in the message; the address itself is not repeated.
        way_out: where the credentials belong.

    Raises:
        InputError: it has a password before its host (`user:password@`), or a query parameter named like a secret.
    """
    names = [name for name, _ in parse_qsl(uri.partition("?")[2])] if "://" in uri else []
    words = {word for name in names for word in re.split(r"[-_]", name.lower())}
    if PASSWORD.search(uri) or words & SECRET_WORDS:
        raise InputError(f"{called} holds a password or a key, which would be written to logs: {way_out}")
