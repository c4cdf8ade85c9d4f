"""The log of promotions: torn and damaged lines."""

from pathlib import Path

import pytest

from fer_core.errors import InputError
from fer_core.promotions import Aliases, Move
from infra.promotion_log import PromotionLog, log_file


@pytest.fixture
def log(tmp_path: Path) -> PromotionLog:
    return PromotionLog(log_file(tmp_path, "fer"))


def move(version: int, before: Aliases, after: Aliases) -> Move:
    tags = ((version, "verdict", "improved"), (version, "rolled_back", None))
    time = "2026-01-01T00:00:00+00:00"
    return Move(f"id{version}", time, "promote", version, before, after, tags, "improved", "größer", None, "me", "abc")


FIRST = move(1, Aliases(), Aliases(1))
SECOND = move(2, Aliases(1), Aliases(2, previous=1))


def test_what_is_written_is_read_back(log: PromotionLog) -> None:
    assert (log.done(), log.unfinished()) == ([], None)
    log.begin(FIRST)
    assert (log.done(), log.unfinished()) == ([], FIRST)
    log.end(FIRST, "done")
    log.begin(SECOND)
    log.end(SECOND, "abandoned")
    assert (log.done(), log.unfinished()) == ([FIRST], None)


def test_a_last_line_torn_anywhere_is_passed_over_and_no_other_is_touched(tmp_path: Path) -> None:
    log, file = PromotionLog(log_file(tmp_path, "fer")), log_file(tmp_path, "fer")
    log.begin(FIRST)
    log.end(FIRST, "done")
    whole = file.read_bytes()
    log.begin(SECOND)
    line = file.read_bytes()[len(whole) : -1]
    for length in range(len(line)):
        file.write_bytes(whole + line[:length])
        assert (log.done(), log.unfinished()) == ([FIRST], None)
        log.begin(SECOND)
        assert file.read_bytes() == whole + line + b"\n"
        assert log.unfinished() == SECOND


def test_a_last_line_that_lacks_but_its_end_counts(tmp_path: Path) -> None:
    log, file = PromotionLog(log_file(tmp_path, "fer")), log_file(tmp_path, "fer")
    log.begin(FIRST)
    line = file.read_bytes()
    file.write_bytes(line[:-1])
    assert log.unfinished() == FIRST
    log.end(FIRST, "done")
    assert file.read_bytes().startswith(line)
    assert log.done() == [FIRST]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"state": "intended", "id": "x"}', b"\xff\xfe"])
def test_a_damaged_whole_line_is_named(tmp_path: Path, log: PromotionLog, damage: bytes) -> None:
    log.begin(FIRST)
    log.end(FIRST, "done")
    file = log_file(tmp_path, "fer")
    first, second, _ = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([first, damage, second, b""]))
    with pytest.raises(InputError, match=r"line 2 of .*promotions-fer.jsonl is damaged"):
        log.done()
