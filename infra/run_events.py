"""What happened to a run while it was trained: lines in its folder, which are shown as they come.

Workers on other hosts write them to the home that all hosts see. A line that a full disk refuses is lost; the run is
not.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fer_core.files import read_rows, rows_in

LOST, WENT_ON, STORAGE, WAITING = "lost", "went_on", "storage", "waiting"
FILE = "events.jsonl"
UNSAID = "it was cut off, or the number of workers changed"


class RunEvents:
    """The events of the run in `folder`: rows of time, kind, message and what else is known."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE

    def add(self, kind: str, message: str, **known: Any) -> None:
        """Append one."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        append_row(self.file, {"time": time, "kind": kind, "message": message, **known})

    def read(self) -> list[dict[str, Any]]:
        """All of them, the oldest first."""
        return read_rows(self.file)

    def restarts(self) -> list[str]:
        """Why and where the run went on, a sentence each."""
        return self._told()[0]

    def reasons(self) -> list[str]:
        """Why it will have to go on; empty where it runs since."""
        return self._told()[1]

    def _told(self) -> tuple[list[str], list[str]]:
        sentences, why = list[str](), list[str]()
        for event in self.read():
            if event["kind"] == LOST:
                why.append(event["message"])
            elif event["kind"] == WENT_ON:
                sentences.append(f"{' and '.join(why) or UNSAID}, {event['message']}")
                why = []
        return sentences, why


def append_row(file: Path, row: dict[str, Any]) -> None:
    """Append a JSON line, or lose it where the disk takes none."""
    with contextlib.suppress(OSError), file.open("a") as out:
        out.write(json.dumps(row) + "\n")


@contextlib.contextmanager
def followed(file: Path, show: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """While it lasts, hand the rows that are appended to `file` to `show`."""
    seen = file.stat().st_size if file.exists() else 0
    stop = threading.Event()

    def follow() -> None:
        nonlocal seen
        unfinished, ended = b"", False
        while not ended:
            ended = stop.wait(0.5)  # once more after the end: the last rows come just before it
            if not file.exists():
                continue
            with file.open("rb") as lines:
                lines.seek(seen)
                appended = lines.read()
            seen += len(appended)
            whole, end, unfinished = (unfinished + appended).rpartition(b"\n")
            for row in rows_in(whole + end):
                show(row)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
