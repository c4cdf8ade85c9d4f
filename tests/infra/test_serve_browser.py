"""`serve` as a person uses it: the page in a real browser, by mouse, keyboard and on a phone."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from browser import Tab, browser
from served import CLASSES, REASON, picture, png, register
from tiny import png_header

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # of what MLflow imports
]
PROJECT = Path(__file__).parents[2]


class Served(NamedTuple):
    """A server that runs: its address, its home, and the folder that it may put temporary files in."""

    address: str
    home: Path
    temporary: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The command, on a home with a champion; ended by Ctrl-C, which is no failure."""
    home, temporary = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("temporary")
    register(home)
    log = home.parent / "serve.log"
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "serve", "--home", str(home), "--port", "0", "--json"],
            cwd=PROJECT,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        )
    try:
        yield Served(_address(process, log), home, temporary)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, log.read_text()
        assert '"model_version": 1' in out.splitlines()[-1]
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + 300
    while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)
    return found[0]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def page(tab: Tab, served: Served) -> Iterator[Tab]:
    """The page as it is when it is opened; whatever a test does, it asks nobody else and nothing is wrong."""
    tab.resize(1280, 900)
    tab.requests.clear()
    tab.problems.clear()
    yield tab.open(served.address)
    tab.of("0")  # so that events that are still on their way are noted
    strangers = [url for url in tab.requests if not url.startswith((served.address, "blob:", "data:"))]
    assert tab.requests
    assert strangers == []
    assert tab.problems == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    file.write_bytes(png(picture()))
    return file


ANSWERED = "!document.querySelector('#result').hidden"


def test_a_chosen_picture_is_explained_and_nothing_is_kept(page: Tab, served: Served, photo: Path) -> None:
    before = files_below(served.home), files_below(served.temporary)
    assert REASON.lower() in page.text("#verdict").lower()
    assert "75.0 % (95 % interval 50.0 % to 87.5 %)" in page.text("#about")
    assert "fer version 1 (champion)" in page.text("#about")
    page.choose("#file", photo)
    page.wait_for(ANSWERED)
    heading = page.text(".face h3")
    assert heading.removeprefix("Face: ") in CLASSES
    shares = page.of("[...document.querySelectorAll('.bars .number')].map(one => parseFloat(one.innerText))")
    assert len(shares) == len(CLASSES)
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)  # each is rounded to a tenth
    assert page.of("document.querySelectorAll('#picture svg .box').length") == 1
    faces = "[...document.querySelectorAll('.gallery img')]"
    assert page.of(f"{faces}.length") > len(CLASSES)
    page.of(f"{faces}.forEach(one => one.loading = 'eager')")
    page.wait_for(f"{faces}.every(one => one.complete && one.naturalWidth === 32)")
    assert page.text("#status") == "1 face found."
    assert (files_below(served.home), files_below(served.temporary)) == before


def files_below(folder: Path) -> list[str]:
    return sorted(str(file) for file in folder.rglob("*"))


def test_all_faces_of_a_picture_are_told(page: Tab, tmp_path: Path) -> None:
    (tmp_path / "two.png").write_bytes(png(np.hstack([picture(1), picture(2, "surprise")])))
    page.choose("#file", tmp_path / "two.png")
    page.wait_for(ANSWERED)
    assert page.text("#status") == "2 faces found."
    assert page.text("article:nth-of-type(2) h3").startswith("Face 2 of 2: ")
    assert page.of("document.querySelectorAll('#picture svg .box').length") == 2


def test_the_keyboard_is_enough(page: Tab) -> None:
    for _ in range(20):
        page.press("Tab")
        if page.of("document.activeElement.parentElement?.id") == "samples":
            break
    assert page.of("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Enter")
    page.wait_for(ANSWERED)
    assert page.of("document.activeElement.id") == "seen"
    assert page.of("document.querySelector('#whole').checked") is False
    page.of("document.querySelector('#whole').focus()")
    page.press(" ")
    page.wait_for("document.querySelector('#caption').innerText.includes('256 × 256 pixels, 1 face.')")
    assert page.of("document.querySelector('#whole').checked") is True


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "The picture cannot be read: not a PNG, JPEG, BMP, TIFF picture"),
        (png(picture())[:900], "The picture cannot be read: damaged or truncated picture"),
        (png_header(10_000, 6_000), "The picture cannot be read: picture is too large (10000 x 6000"),
        (b"\0" * 10_000_001, "A picture may have at most 10 MB."),
        (b"", "No picture was sent, or an empty file"),
    ],
    ids=["text", "truncated", "bomb", "huge", "empty"],
)
def test_what_is_no_picture_is_refused_in_words(page: Tab, tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "it.png").write_bytes(data)
    page.choose("#file", tmp_path / "it.png")
    page.wait_for("!document.querySelector('#problem').hidden")
    assert reason in page.text("#problem")
    assert page.of("document.querySelector('#result').hidden")
    # the browser itself writes a line for an answer that says no
    page.problems[:] = [line for line in page.problems if "400 (Bad Request)" not in line]


def test_a_picture_without_a_face_says_what_to_do(page: Tab, tmp_path: Path) -> None:
    (tmp_path / "wall.png").write_bytes(png(np.full((96, 96, 3), 127, np.uint8)))
    page.choose("#file", tmp_path / "wall.png")
    page.wait_for(ANSWERED)
    assert "No face was found" in page.text("#status")


def test_a_picture_can_be_dropped_but_not_two(page: Tab, photo: Path) -> None:
    drop = """fetch("api/samples/1").then(answer => answer.blob()).then(picture => {
        const data = new DataTransfer();
        for (let at = 0; at < %d; at++) data.items.add(new File([picture], `${at}.png`));
        document.querySelector("#drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
    })"""
    page.of(drop % 2)
    assert page.text("#problem") == "Drop one picture at a time."
    page.of(drop % 1)
    page.wait_for(ANSWERED)
    assert page.of("document.querySelector('#problem').hidden")


def test_nothing_is_wider_than_a_phone(page: Tab, photo: Path) -> None:
    page.resize(390, 844, mobile=True)
    page.choose("#file", photo)
    page.wait_for(ANSWERED)
    assert page.of("document.documentElement.scrollWidth") <= 390
    assert (
        page.of("Math.max(...[...document.querySelectorAll('main *')].map(one => one.getBoundingClientRect().right))")
        <= 390
    )


def test_the_page_is_dark_where_that_is_wished(page: Tab) -> None:
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    background = page.of("getComputedStyle(document.body).backgroundColor")
    page.call("Emulation.setEmulatedMedia", features=[])
    assert sum(int(part) for part in re.findall(r"\d+", background)) < 150


def test_a_picture_that_is_cut_off_on_its_way_hurts_nobody(served: Served) -> None:
    host, _, port = served.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /api/predict HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"cut off")
    answer = httpx.post(f"{served.address}/api/predict", content=png(picture()), timeout=60)
    assert (answer.status_code, answer.json()["found"]) == (200, 1)
