"""What people answered: an append-only file of JSON lines."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from fer_core.errors import InputError
from fer_core.files import sync_folder
from fer_core.locks import alone_at_once, lock_of

Choice = Literal["a", "b"]
Side = Literal["left", "right"]


class Answer(NamedTuple):
    """A line of the file.

    Attributes:
        time: ISO 8601, UTC, whole seconds.
        judge: the random id of a browser; nothing else is known of who answers.
        reference, a, b: source paths of the question.
        choice: what looks more like the reference; None: the judge takes the answer back.
        side: where the chosen one stood; None where it is taken back.
    """

    time: str
    judge: str
    reference: str
    a: str
    b: str
    choice: Choice | None
    side: Side | None

    @property
    def faces(self) -> tuple[str, str, str]:
        """What the question is known by."""
        return self.reference, self.a, self.b


class AnswerLog:
    """The file, in which whole lines are never rewritten. Who writes holds `alone`; anybody may read meanwhile.

    A kill can tear the last line. Nobody was told that this answer is taken, so it is passed over, and cut off before
    the next is written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> list[Answer]:
        """The answers in their order; none where there is no file.

        Raises:
            InputError: the file cannot be read, or a line is damaged.
        """
        *whole, _torn = self._bytes().split(b"\n")
        return [self._parsed(number, line) for number, line in enumerate(whole, start=1)]

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Alone among the processes that add to the file; it is there then, and its last line is whole.

        Raises:
            InputError: another process is adding to it, or it cannot be written to.
        """
        with contextlib.ExitStack() as held:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                is_free = held.enter_context(alone_at_once(lock_of(self._file)))
                if is_free:
                    self._mend()
            except OSError as error:
                raise InputError(
                    f"--answers {self._file} cannot be written to: {error.strerror}; choose another file"
                ) from None
            if not is_free:
                raise InputError(f"another process adds to --answers {self._file}; send the judges to it, or end it")
            yield

    def append(self, answer: Answer) -> None:
        """Write an answer; it is on the disk when this returns, and no part of it is in the file when it fails.

        Raises:
            OSError: the disk is full or broken.
        """
        line = json.dumps(answer._asdict(), ensure_ascii=False).encode() + b"\n"
        with self._file.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(line) < len(line):
                    raise OSError("the answer could not be written whole")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise

    def _mend(self) -> None:
        with self._file.open("ab") as file:
            file.truncate(self._bytes().rfind(b"\n") + 1)
            os.fsync(file.fileno())
        sync_folder(self._file.parent)

    def _bytes(self) -> bytes:
        try:
            return self._file.read_bytes() if self._file.exists() else b""
        except OSError as error:
            raise InputError(f"--answers {self._file} cannot be read: {error.strerror}") from None

    def _parsed(self, number: int, line: bytes) -> Answer:
        with contextlib.suppress(ValueError, TypeError):
            answer = Answer(**json.loads(line))
            if all(isinstance(part, str) for part in answer[:5]) and answer.choice in ("a", "b", None):
                return answer
        raise InputError(
            f"--answers {self._file} line {number} is damaged; put the file back from a backup, or take the line out"
        )
