"""The one object that reads the environment; everything else receives it."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the engines are. Unset means: embedded, in or beside this process."""

    model_config = SettingsConfigDict(frozen=True)

    home: Path | None = Field(None, validation_alias="FER_HOME")
    prefect_api_url: str | None = Field(None, validation_alias="PREFECT_API_URL")
    dask_scheduler_address: str | None = Field(None, validation_alias="DASK_SCHEDULER_ADDRESS")
    ray_address: str | None = Field(None, validation_alias="RAY_ADDRESS")
    mlflow_tracking_uri: str | None = Field(None, validation_alias="MLFLOW_TRACKING_URI")


def engine_environment(home: Path, verbose: bool) -> dict[str, str]:
    """Variables that the engines read at import: no telemetry, no look-ups over the network, logs where they belong."""
    return {
        "DO_NOT_TRACK": "true",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "PREFECT_HOME": str(home.absolute() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "DEBUG" if verbose else "CRITICAL",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TRAIN_V2_ENABLED": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }
