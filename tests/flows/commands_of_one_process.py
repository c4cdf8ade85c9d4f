"""Commands one after the other, each a fork of this process: they share its imports and its Prefect server, no more.

python commands_of_one_process.py FOLDER: each line on stdin is a JSON list of arguments, each line on stdout the exit
code and the seconds of processor time of that command, whose output is then in FOLDER/out and FOLDER/err. A command is
run by flows.__main__.main, as `python -m flows` does; with PREFECT_API_URL set it starts no server of its own.
"""

import gc
import importlib
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from infra.prefect_engine import EmbeddedServer, flows_of
from infra.settings import engine_environment

MOST_SECONDS = 400


def serve(folder: Path) -> int:
    """Until stdin ends; in a fork, until its command does."""
    os.environ.update(engine_environment(folder, verbose=False))
    server = EmbeddedServer(folder)
    os.environ["PREFECT_API_URL"] = server.url
    # not at the top of the file, which is imported again in the processes that a command spawns
    main, *_ = [importlib.import_module(f"flows.{name}") for name in ("__main__", "cli", "commands", "summary")]
    answers = os.fdopen(os.dup(1), "w")
    gc.collect()
    gc.freeze()  # else each fork copies all memory as it ends, to look for garbage: two seconds
    with flows_of(server):
        for line in sys.stdin:
            command = os.fork()
            if command == 0:
                _redirect(folder)
                return main.main(json.loads(line))
            _, status, used = os.wait4(command, 0)
            answer = (os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
            print(json.dumps(answer), file=answers, flush=True)
    server.stop()
    return 0


def _redirect(folder: Path) -> None:
    """Nothing to read, two files to write to, and an end."""
    signal.alarm(MOST_SECONDS)
    for number, file in enumerate((Path(os.devnull), folder / "out", folder / "err")):
        with file.open("wb" if number else "rb") as opened:
            os.dup2(opened.fileno(), number)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1])))
