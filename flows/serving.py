"""A registered model handed on: behind a page, or as an ONNX file. No engine is started for either."""

import time
from typing import Any

from fer_core.options.serve import ExportOptions, ServeOptions
from flows.judging import judge as judge
from infra.progress import logger
from infra.web.app import make_app
from infra.web.server import is_loopback, names_of, serve_until_ended
from infra.web.uploads import Limits
from tasks.serving import open_served, write_export


def serve(options: ServeOptions) -> dict[str, Any]:
    """Serve the page until Ctrl-C."""
    started = time.perf_counter()
    model = open_served(options)
    seconds = {"load": time.perf_counter() - started}
    if not is_loopback(options.host):
        logger.warning("serve     others can reach the page at %s, and nobody is asked for a password", options.host)
    app = make_app(model, names_of(options.host), Limits())

    def ready(address: str) -> None:
        logger.info(
            "serve     %s version %d at %s  (Ctrl-C ends it)", options.model_name, model.told["version"], address
        )

    num_requests = serve_until_ended(app, options.host, options.port, ready)
    seconds["serve"] = time.perf_counter() - started - seconds["load"]
    known = {"model_name": model.told["name"], "model_version": model.told["version"]}
    return {**known, "requests": num_requests, "reused": [], "seconds": seconds}


def export(options: ExportOptions) -> dict[str, Any]:
    """Write the model as ONNX."""
    started = time.perf_counter()
    said = write_export(options)
    known = {"model_name": said["name"], "model_version": said["version"], "directory": str(options.to)}
    return {**known, "sha256": said["sha256"], "reused": [], "seconds": {"export": time.perf_counter() - started}}
