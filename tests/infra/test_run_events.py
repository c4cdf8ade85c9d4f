"""What happened to a run is told as it comes, and afterwards in sentences."""

import time

from fer_core.files import read_rows
from infra.run_events import LOST, STORAGE, WENT_ON, RunEvents, append_row, followed


def test_restarts_have_a_reason_and_a_place(tmp_path):
    events = RunEvents(tmp_path)
    assert events.restarts() == []
    events.add(LOST, "worker 1 was killed, after step 40", step=40)
    events.add(STORAGE, "the storage is back")
    assert events.reasons() == ["worker 1 was killed, after step 40"]
    events.add(WENT_ON, "went on from step 30", step=30)
    assert events.reasons() == []
    events.add(WENT_ON, "went on from step 50 with 4 workers")
    events.add(LOST, "the host was lost")
    events.add(LOST, "the checkpoint a is damaged")
    events.add(WENT_ON, "went on from step 60")
    assert events.restarts() == [
        "worker 1 was killed, after step 40, went on from step 30",
        "it was cut off, or the number of workers changed, went on from step 50 with 4 workers",
        "the host was lost and the checkpoint a is damaged, went on from step 60",
    ]
    assert events.read()[0]["step"] == 40
    assert events.read()[0]["time"] <= events.read()[-1]["time"]


def test_rows_are_shown_as_they_come(tmp_path):
    file, shown = tmp_path / "rows.jsonl", []
    append_row(file, {"old": 1})
    with followed(file, shown.append):
        append_row(file, {"new": 1})
        with file.open("a") as out:
            out.write('{"torn":')
        deadline = time.monotonic() + 10
        while not shown and time.monotonic() < deadline:
            time.sleep(0.05)
        assert shown == [{"new": 1}]
        with file.open("a") as out:
            out.write(" 2}\n")
    assert shown == [{"new": 1}, {"torn": 2}]
    assert read_rows(file)[-1] == {"torn": 2}


def test_a_row_that_cannot_be_written_is_lost_and_nothing_else(tmp_path):
    append_row(tmp_path / "no folder" / "rows.jsonl", {"a": 1})
    assert read_rows(tmp_path / "no folder" / "rows.jsonl") == []


def test_a_torn_line_costs_itself_alone(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"step": 1}\n{"st{"step": 2}\n{"step": 3}\n')
    assert read_rows(file) == [{"step": 1}, {"step": 3}]
