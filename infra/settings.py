"""The one object that reads the environment; everything else receives it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fer_core.credentials import require_no_credentials

SECRETS_BELONG = {
    "prefect_api_url": "PREFECT_API_KEY or PREFECT_API_AUTH_STRING",
    "mlflow_tracking_uri": "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, of a database in PGPASSWORD",
}
"""Not in these addresses, which are logged."""
PICKLES_REFUSED = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}


class Settings(BaseSettings):
    """Where the engines are. Unset means: embedded, in or beside this process.

    Raises:
        InputError: an address carries a password.
    """

    model_config = SettingsConfigDict(frozen=True)

    home: Path | None = Field(None, validation_alias="FER_HOME")
    prefect_api_url: str | None = Field(None, validation_alias="PREFECT_API_URL")
    dask_scheduler_address: str | None = Field(None, validation_alias="DASK_SCHEDULER_ADDRESS")
    ray_address: str | None = Field(None, validation_alias="RAY_ADDRESS")
    mlflow_tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")
    secrets_block: str | None = Field(None, validation_alias="FER_SECRETS_BLOCK")

    def __init__(self) -> None:
        super().__init__()
        for name, variables in SECRETS_BELONG.items():
            require_no_credentials(getattr(self, name) or "", name.upper(), f"set it in {variables}")


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """While it lasts, these variables are set; after it, all that it set are as before."""
    before = {name: os.environ.get(name) for name in values}
    try:
        os.environ.update(values)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def engine_environment(home: Path, verbose: bool) -> dict[str, str]:
    """Variables that the engines read at import: no telemetry, no look-ups over the network, logs where they belong."""
    return {
        "DO_NOT_TRACK": "true",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "PREFECT_HOME": str(home.absolute() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "DEBUG" if verbose else "CRITICAL",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "DASK_LOGGING__DISTRIBUTED": "warning",
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TRAIN_V2_ENABLED": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **PICKLES_REFUSED,
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }
