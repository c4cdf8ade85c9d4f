"""What was decided on a model's versions: an append-only file of JSON lines.

A move is written whole before anything is changed, and a second line says that all of it was changed, or that it was
given up. Between the two it is unfinished, and whoever comes next carries it out.
"""

import contextlib
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fer_core.errors import InputError
from fer_core.files import sync_folder
from fer_core.promotions import Aliases, Move

End = Literal["done", "abandoned"]
INTENDED = "intended"


def now() -> str:
    """The time as it is logged: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def log_file(home: Path, model_name: str) -> Path:
    """Where a home keeps the log of a model."""
    return home / "mlflow" / f"promotions-{model_name}.jsonl"


class PromotionLog:
    """The log of one model of one home; one process at a time writes (the caller holds the registry's lock).

    A kill can tear the last line. It was not acted upon, so it is passed over, and cut off before the next is
    written; of a last line that lacks but its line end, the entry counts. Whole lines are never rewritten.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self, move: Move) -> None:
        """Write what is going to be done; it is on the disk when this returns."""
        self._append({"state": INTENDED, **asdict(move)})

    def end(self, move: Move, end: End) -> None:
        """Write what has become of a move."""
        self._append({"state": end, "id": move.id, "time": now()})

    def done(self) -> list[Move]:
        """The moves that were carried out, in order.

        Raises:
            InputError: a line is damaged.
        """
        return [move for move, state in self._read() if state == "done"]

    def unfinished(self) -> Move | None:
        """The move that was begun and not ended.

        Raises:
            InputError: a line is damaged.
        """
        begun = [move for move, state in self._read() if state == INTENDED]
        assert len(begun) <= 1, begun
        return begun[0] if begun else None

    def _read(self) -> list[tuple[Move, str]]:
        lines = self._lines()
        state_of = {line["id"]: line["state"] for line in lines}
        return [(_move(line), state_of[line["id"]]) for line in lines if line["state"] == INTENDED]

    def _lines(self) -> list[dict[str, Any]]:
        data = self._file.read_bytes() if self._file.exists() else b""
        *whole, torn = data.split(b"\n")
        lines = [self._parsed(number, line) for number, line in enumerate(whole, start=1)]
        return lines + ([json.loads(torn)] if _is_whole(torn) else [])

    def _parsed(self, number: int, line: bytes) -> dict[str, Any]:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            values = json.loads(line)
            if values["state"] != INTENDED or _move(values):
                return values
        raise InputError(
            f"line {number} of {self._file} is damaged, so what was promoted is not known; put the file back from a "
            "backup, or move it away: then the aliases in the registry count"
        )

    def _append(self, values: dict[str, Any]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self._file.exists()
        with self._file.open("ab+") as file:
            file.seek(0)
            data = file.read()
            torn = data.rpartition(b"\n")[2]
            if _is_whole(torn):
                file.write(b"\n")
            elif torn:
                file.truncate(len(data) - len(torn))
            file.write(json.dumps(values).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self._file.parent)


def _is_whole(line: bytes) -> bool:
    """No beginning of a JSON object is one."""
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(line), dict)
    return False


def _move(values: dict[str, Any]) -> Move:
    own = {name: value for name, value in values.items() if name != "state"}
    aliases = {side: Aliases(**own[side]) for side in ("before", "after")}
    return Move(**{**own, **aliases, "tags": tuple((int(at), name, value) for at, name, value in own["tags"])})
