"""Where a model comes from, and what was made of somebody's pictures."""

from typing import Any

from prefect import flow

from fer_core.options.lineage import LineageOptions
from flows import descent
from flows.summary import Summary
from tasks.lineage import trace_pictures, trace_version


@flow(name="lineage-command")
def lineage(options: LineageOptions) -> dict[str, Any]:
    """Registered version -> what it is made of; or a person, or a picture -> what was made of them."""
    if options.subject is not None or options.sample is not None:
        return {**Summary().values, **descent.of_pictures(trace_pictures(options))}
    return {**Summary().values, **descent.of_version(trace_version(options))}
