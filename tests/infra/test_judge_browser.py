"""`judge` as people use it: a whole session by keyboard in a real browser, a tap on a phone, and the command's end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Tab, browser
from served import CLASSES, picture, png

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
PROJECT = Path(__file__).parents[2]
NUM_QUESTIONS = 5
READY = "document.querySelector('#question:not([hidden]):not(.busy)')"
"""All three pictures are there."""


class Judging:
    """The command on a folder of drawn faces."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source"
        source.mkdir()
        lines = ["reference,a,b,votes_a,votes_b,split"]
        for person in range(NUM_QUESTIONS):
            for kind in CLASSES:
                (source / f"{person}-{kind}.png").write_bytes(png(picture(person, kind, 256)))
            lines.append(",".join(f"{person}-{kind}.png" for kind in CLASSES) + ",,,train")
        (folder / "questions.csv").write_text("\n".join(lines) + "\n")
        self.home, self._log = folder / "home", folder / "judge.log"
        told = ["--questions", str(folder / "questions.csv"), "--source", str(source), "--home", str(self.home)]
        with self._log.open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows", "judge", *told, "--port", "0", "--json"],
                cwd=PROJECT,
                env=dict(os.environ),
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        self.address = self._address()

    def _address(self) -> str:
        deadline = time.monotonic() + 300
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", self._log.read_text())):
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() < deadline, self._log.read_text()[-3000:]
            time.sleep(0.1)
        return found[0]

    def ended(self) -> dict[str, object]:
        """What it says after Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        out, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, self._log.read_text()
        assert "Traceback" not in self._log.read_text()
        return json.loads(out.splitlines()[-1])

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def answers(self) -> list[dict[str, str]]:
        (file,) = (self.home / "answers").glob("*.jsonl")
        return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def judging(tmp_path: Path) -> Iterator[Judging]:
    started = Judging(tmp_path)
    yield started
    started.kill()


def progress(tab: Tab, yours: int) -> None:
    tab.wait_for(f"{READY} && document.querySelector('#progress').innerText.endsWith('yours {yours}')")


def middle(tab: Tab, selector: str) -> float:
    box = tab.of(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
    return box["x"] + box["width"] / 2


def tap(tab: Tab, selector: str) -> None:
    box = tab.of(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


def test_a_session_by_keyboard_and_by_touch(judging: Judging, tmp_path: Path) -> None:
    with browser(tmp_path / "first") as tab:
        tab.resize(1280, 900)
        tab.open(judging.address, READY)
        assert tab.of("document.activeElement.id") == "title"
        alts = tab.of("[...document.images].map(one => one.alt)")
        assert alts == ["Reference", "Candidate left", "Candidate right"]
        assert tab.of("[...document.images].every(one => one.naturalWidth === 256)")
        assert tab.of("document.querySelector('#bar').getBoundingClientRect().bottom") <= 900, "all is seen at once"
        reference, left, right = (middle(tab, name) for name in ("#reference", "#left", "#right"))
        assert reference == pytest.approx((left + right) / 2, abs=1), "no candidate is next to it"
        first = tab.of("document.querySelector('#reference').src")
        for yours, key in enumerate(("1", "ArrowRight"), start=1):
            tab.press(key)
            progress(tab, yours)
        tab.press("Backspace")
        progress(tab, 1)
        assert tab.of("document.querySelector('#undo').hidden"), "once"
        tab.press("2")
        progress(tab, 2)
        for _ in range(10):
            tab.press("Tab")
            if tab.of("document.activeElement.id") == "right":
                break
        assert tab.of("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        tab.press("Enter")
        progress(tab, 3)
        assert tab.of("document.activeElement.id") == "right", "the next can be answered at once"
        tab.open(judging.address, READY)
        progress(tab, 3)  # coming back goes on where it was
        assert tab.of("document.querySelector('#reference').src") != first
        tab.resize(390, 844, mobile=True)
        assert tab.of("document.documentElement.scrollWidth") <= 390
        assert tab.of("document.querySelector('#bar').getBoundingClientRect().bottom") <= 844
        tap(tab, "#left")
        progress(tab, 4)
        tap(tab, "#left")
        tab.wait_for("!document.querySelector('#end').hidden")
        assert tab.text("#end") == "You have answered every question. Thank you!"
        assert tab.text("#progress") == f"0 of {NUM_QUESTIONS} complete, yours {NUM_QUESTIONS}"
        assert tab.of("document.cookie") == "", "no script sees who somebody is"
        assert [url for url in tab.requests if not url.startswith((judging.address, "data:"))] == []
        assert tab.problems == []
    sides = [answer["side"] for answer in judging.answers()]
    assert sides == ["left", "right", None, "right", "right", "left", "left"]
    said = judging.ended()
    known = {"questions": NUM_QUESTIONS, "complete": 0, "answers": NUM_QUESTIONS, "judges": 1, "votes": None}
    assert said.items() >= known.items()
