"""The questions that people are asked, as `prepare --tuples questions` writes them, and the pictures they name."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2

from fer_core.datasets.base import read_picture
from fer_core.datasets.folders import read_table, require_utf8
from fer_core.errors import InputError
from fer_core.pictures import opened
from fer_core.tuple_shards import VOTES

FACES = VOTES[:3]
LARGEST = 720
"""Pixels of the longer side of a picture as it is shown."""
_QUALITY = 95


class Question(NamedTuple):
    """Does `a` or `b` look more like `reference`? Source paths; `split` is '' where the file names none."""

    reference: str
    a: str
    b: str
    split: str = ""

    @property
    def faces(self) -> tuple[str, str, str]:
        """What the question is known by."""
        return self.reference, self.a, self.b


def read_questions(file: Path) -> list[Question]:
    """The questions of a csv with the columns reference, a, b and, on wish, split.

    Raises:
        InputError: the file is not such a table, holds no question, one twice (be it with its candidates exchanged) or
            one that is answered already, or a path could leave the source folder.
    """
    if file.is_file():
        require_utf8(file)
    questions: list[Question] = []
    known: set[tuple[str, ...]] = set()
    for number, line in read_table(file, FACES):
        reference, a, b, split = (line.get(name, "") for name in (*FACES, "split"))
        question = Question(reference, a, b, split)
        problem = _problem(question, line)
        key = (question.reference, *sorted((question.a, question.b)))
        if problem is None and key in known:
            problem = "asks what a line before it asks"
        if problem is not None:
            raise InputError(f"{file} line {number} {problem}")
        known.add(key)
        questions.append(question)
    if not questions:
        raise InputError(f"{file} holds no question; `prepare --tuples questions` writes such a file")
    return questions


def _problem(question: Question, line: dict[str, str]) -> str | None:
    if not all(question.faces) or len(set(question.faces)) < len(FACES):
        return "does not name three different pictures"
    if line.get("votes_a") or line.get("votes_b"):
        return "has votes already; give the questions.csv as it was written"
    paths = [PurePosixPath(name) for name in question.faces]
    if any(path.is_absolute() or ".." in path.parts for path in paths):
        return "names a picture outside the source folder"
    return None


def pictures_of(questions: Sequence[Question]) -> list[str]:
    """The source paths that some questions name, each once, in order of first appearance."""
    return list(dict.fromkeys(path for question in questions for path in question.faces))


def require_pictures(source: Path, paths: Sequence[str]) -> None:
    """Raise InputError where a picture is missing below `source`, so that no judge comes upon the gap."""
    missing = [path for path in paths if not (source / path).is_file()]
    if missing:
        raise InputError(
            f"--source {source} lacks {len(missing)} of the {len(paths)} pictures that are asked about, {missing[0]} "
            "among them; give the folder that the questions were made from"
        )


def shown_picture(source: Path, path: str) -> bytes:
    """A picture as a JPEG of at most LARGEST pixels a side, whatever its format, and with nothing but its pixels.

    Raises:
        InputError: it cannot be read or decoded.
    """
    try:
        data = read_picture(source, {"source_path": path}).image
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    image = opened(data)
    if isinstance(image, tuple):
        raise InputError(f"{path} cannot be shown: {image[0]}")
    scale = LARGEST / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
