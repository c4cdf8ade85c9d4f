"""People are asked which expressions look alike. No engine is started for it."""

import time
from typing import Any

from fer_core.options.judge import JudgeOptions
from infra.progress import logger
from infra.web.judging import make_judging_app
from infra.web.server import is_loopback, names_of, serve_until_ended
from tasks.judging import export_votes, open_panel, told_of


def judge(options: JudgeOptions) -> dict[str, Any]:
    """Serve the page until Ctrl-C; or write the votes so far."""
    started = time.perf_counter()
    if options.export is not None:
        told = told_of(export_votes(options), options.export)
        return {**told, "reused": [], "seconds": {"export": time.perf_counter() - started}}
    assert options.source is not None
    if not is_loopback(options.host):
        logger.warning("judge     others can see the pictures at %s and answer, without a password", options.host)
    with open_panel(options) as (panel, votes):
        app = make_judging_app(panel, options.source, names_of(options.host))
        serve_until_ended(
            app,
            options.host,
            options.port,
            lambda address: logger.info("judge     send the judges to %s  (Ctrl-C ends it; nothing is lost)", address),
        )
        told = told_of(panel, votes)
    return {**told, "reused": [], "seconds": {"judge": time.perf_counter() - started}}
