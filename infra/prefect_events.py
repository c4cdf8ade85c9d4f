"""Events that automations of a Prefect server listen to."""

from typing import Any

from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from fer_core.errors import InputError

RETRAIN_WANTED = "fer.retrain-wanted"
"""Heard by the trigger of the deployment `retrain` in prefect.yaml."""
SECONDS_TO_SEND = 30


def ask_for_retrain(model_name: str, why: dict[str, Any]) -> None:
    """Tell the server that a model should be trained anew; returns when that has been sent.

    Raises:
        InputError: there is no server that takes events.
    """
    if emit_event(RETRAIN_WANTED, {"prefect.resource.id": f"fer.model.{model_name}"}, payload=why) is None:
        raise InputError("--retrain-by event needs a Prefect server that takes events: set PREFECT_API_URL")
    EventsWorker.drain_all(timeout=SECONDS_TO_SEND)
