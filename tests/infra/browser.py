"""A real headless Chromium, driven through its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium")
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "Backspace": 8, "ArrowLeft": 37, "ArrowRight": 39, "1": 49, "2": 50}
"""The codes of the keys that are pressed."""


class Tab:
    """One tab, and what has happened in it.

    Attributes:
        requests: the addresses that were asked for.
        problems: what the console holds that is an error or a warning, and exceptions.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._number = connection, 0
        self.requests: list[str] = []
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol, and its result."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        params = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])

    def open(self, address: str, ready: str = "document.querySelector('#samples button')") -> Self:
        """Go to a page, which has run its script when the condition `ready` holds."""
        self.call("Page.navigate", url=address)
        self.wait_for(ready)
        return self

    def of(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """What an element says."""
        return self.of(f"document.querySelector({json.dumps(selector)}).innerText")

    def wait_for(self, condition: str) -> None:
        """Until a JavaScript condition holds."""
        deadline = time.monotonic() + 60
        while not self.of(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"{condition}: {self.of('document.body.innerText')} {self.problems}"
            time.sleep(0.05)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def press(self, key: str) -> None:
        """Press and release a key."""
        known = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **known, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        """The size of the window, pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def screenshot(self, file: Path) -> None:
        """The whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """A browser with an empty profile below `folder`, which can reach nothing but this machine."""
    if CHROMIUM is None:
        pytest.skip("no chromium: the page is tested in Debian's package of that name")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}", "--disable-dev-shm-usage"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_address_of_tab(process, folder / "profile"), max_size=None) as connection:
            yield Tab(connection)
    finally:
        process.terminate()
        process.wait()


def _address_of_tab(process: subprocess.Popen[bytes], profile: Path) -> str:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the browser has ended"
        assert time.monotonic() < deadline, "the browser does not answer"
        file = profile / "DevToolsActivePort"
        if file.exists() and len(lines := file.read_text().split()) == 2:
            tabs = httpx.get(f"http://127.0.0.1:{lines[0]}/json/list", timeout=60).json()
            pages = [tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"]
            if pages:
                return pages[0]
        time.sleep(0.05)
