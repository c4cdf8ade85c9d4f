"""Commands one after the other in one process, whose start-up and whose Prefect server they share.

python commands_of_one_process.py HOME: each line on stdin is a JSON list of arguments, each line on stdout what came of
it. A command is run by flows.__main__.main, as `python -m flows` does; with PREFECT_API_URL set it starts no server of
its own.
"""

import contextlib
import io
import json
import os
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from flows.__main__ import main
from infra.prefect_engine import flows_of, prefect_server
from infra.settings import engine_environment


def run(arguments: list[str]) -> dict[str, object]:
    """Exit code, stdout, traceback and seconds of processor time."""
    out, fault, started = io.StringIO(), "", time.process_time()
    try:
        with contextlib.redirect_stdout(out):
            code = main(arguments)
    except Exception:
        code, fault = 1, traceback.format_exc()
    return {"code": code, "out": out.getvalue(), "fault": fault, "processor_seconds": time.process_time() - started}


def serve(home: Path) -> None:
    """Until stdin ends."""
    os.environ.update(engine_environment(home, verbose=False))
    home.mkdir(parents=True, exist_ok=True)
    answers = sys.stdout
    with prefect_server(home, None) as server, flows_of(server):
        for line in sys.stdin:
            print(json.dumps(run([*json.loads(line), "--home", str(home)])), file=answers, flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
