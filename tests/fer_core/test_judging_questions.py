"""The questions and their pictures: what is read, what is refused, and that no other file is shown."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.errors import InputError
from fer_core.judging.questions import (
    LARGEST,
    Question,
    pictures_of,
    read_questions,
    require_pictures,
    shown_picture,
)
from fer_core.options.judge import JudgeOptions

HEADER = "reference,a,b,votes_a,votes_b,split"


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    file = folder / "questions.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return file


def test_questions_are_read_as_they_are_written(tmp_path: Path) -> None:
    questions = read_questions(written(tmp_path, "r.png,x/a.png,b.png,,,train", '"r, 2.png",r.png,b.png,,,test'))
    assert questions == [
        Question("r.png", "x/a.png", "b.png", "train"),
        Question("r, 2.png", "r.png", "b.png", "test"),
    ]
    assert pictures_of(questions) == ["r.png", "x/a.png", "b.png", "r, 2.png"]
    assert read_questions(written(tmp_path, "r,a,b", header="reference,a,b")) == [Question("r", "a", "b", "")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "holds no question"),
        (["r,a,,,,train"], "line 2 does not name three different pictures"),
        (["r,a,r,,,train"], "line 2 does not name three different pictures"),
        (["r,a,b,,,train", "r,b,a,,,train"], "line 3 asks what a line before it asks"),
        (["r,a,b,4,1,train"], "line 2 has votes already"),
        (["/etc/passwd,a,b,,,train"], "line 2 names a picture outside the source folder"),
        (["r,x/../../a,b,,,train"], "line 2 names a picture outside the source folder"),
    ],
)
def test_what_is_no_question_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_questions(written(tmp_path, *lines))


def test_a_file_that_is_no_such_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no column b"):
        read_questions(written(tmp_path, "r,a", header="reference,a"))
    (tmp_path / "latin.csv").write_bytes("reference,a,b\nä,ö,ü\n".encode("latin-1"))
    with pytest.raises(InputError, match="not in UTF-8"):
        read_questions(tmp_path / "latin.csv")


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    require_pictures(tmp_path, ["a"])
    with pytest.raises(InputError, match="lacks 2 of the 3 pictures that are asked about, b among them"):
        require_pictures(tmp_path, ["a", "b", "c"])


@pytest.mark.parametrize(("suffix", "shape"), [("png", (60, 40, 3)), ("tif", (900, 1440, 3)), ("bmp", (50, 50))])
def test_each_format_is_shown_as_a_jpeg_of_bounded_size(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, np.uint8)
    if len(shape) == 3:
        image[..., 2] = 200  # red
    assert cv2.imwrite(str(tmp_path / f"it.{suffix}"), image)
    data = shown_picture(tmp_path, f"it.{suffix}")
    assert data.startswith(b"\xff\xd8\xff")
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    scale = min(1, LARGEST / max(shape[:2]))
    assert shown.shape == (round(shape[0] * scale), round(shape[1] * scale), *shape[2:])
    np.testing.assert_allclose(shown.reshape(-1, *shape[2:]).mean(0), image.reshape(-1, *shape[2:]).mean(0), atol=3)


def test_what_cannot_be_shown_is_named_without_the_folder(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name, message in (
        ("text.png", "text.png cannot be shown: not a PNG"),
        ("gone.png", "gone.png cannot be read: No such file"),
        ("folder.png", "folder.png cannot be read"),
        ("pipe.png", "pipe.png cannot be read"),
    ):
        with pytest.raises(InputError, match=message):
            shown_picture(tmp_path, name)


def test_the_options_say_what_is_missing(tmp_path: Path) -> None:
    questions = written(tmp_path, "r,a,b,,,train")
    for given, message in (
        ({}, "--questions is missing: give the questions.csv"),
        ({"questions": tmp_path / "no"}, "no is no file"),
        ({"questions": questions}, "--source is missing"),
        ({"questions": questions, "source": questions}, "questions.csv is no folder"),
    ):
        with pytest.raises(ValueError, match=message):
            JudgeOptions(**given)
    assert JudgeOptions(questions=questions, export=tmp_path / "votes.csv").source is None
