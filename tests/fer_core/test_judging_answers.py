"""The file of answers: nothing that was taken is lost, a torn line is, and one process writes."""

import errno
import json
import os
from pathlib import Path

import pytest

from fer_core.errors import InputError
from fer_core.judging.answers import Answer, AnswerLog

ONE = Answer("2026-01-02T03:04:05+00:00", "0f" * 16, "r.png", "ä.png", "b.png", "a", "left")
BACK = ONE._replace(choice=None, side=None)


def test_answers_read_back_in_their_order(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path / "new" / "answers.jsonl")
    assert log.read() == []
    with log.alone():
        log.append(ONE)
        log.append(BACK)
        assert log.read() == [ONE, BACK]
    assert json.loads((tmp_path / "new" / "answers.jsonl").read_text().splitlines()[0])["judge"] == ONE.judge


def test_a_line_that_a_kill_has_torn_is_passed_over_and_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    log = AnswerLog(file)
    with log.alone():
        log.append(ONE)
    line = file.read_bytes()
    for cut in range(1, len(line)):
        file.write_bytes(line + line[:cut])
        assert log.read() == [ONE]
    with log.alone():
        assert file.read_bytes() == line
        log.append(BACK)
    assert log.read() == [ONE, BACK]


def test_an_answer_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AnswerLog(tmp_path / "answers.jsonl")
    with log.alone():
        log.append(ONE)

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as changed:
            changed.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space"):
                log.append(BACK)
        assert log.read() == [ONE]
        log.append(BACK)
    assert log.read() == [ONE, BACK]


WRONG = ({"choice": "c"}, {"a": 1}, {"more": 1})


@pytest.mark.parametrize("line", ["", "{}", "[]", "x", '"a"', *(json.dumps({**ONE._asdict(), **one}) for one in WRONG)])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps(ONE._asdict()) + "\n" + line + "\n" + json.dumps(ONE._asdict()) + "\n")
    with pytest.raises(InputError, match=r"answers\.jsonl line 2 is damaged"):
        AnswerLog(file).read()


def test_one_process_writes(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with AnswerLog(file).alone():
        refused = pytest.raises(InputError, match="another process adds to --answers")
        with refused, AnswerLog(file).alone():
            pass
    with AnswerLog(file).alone():
        pass


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pytest.raises(InputError, match=r"cannot be written to: .*; choose another file")
    with refused, AnswerLog(tmp_path / "file" / "answers.jsonl").alone():
        pass
