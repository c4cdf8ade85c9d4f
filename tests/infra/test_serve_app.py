"""The page's JSON: what is answered, what is refused, and that nothing is left behind."""

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from served import CLASSES, FACE, make_model, picture, png
from tiny import encoded, png_header

from fer_core.errors import InputError
from fer_core.galleries.explaining import NUM_SHOWN, explain
from fer_core.galleries.training_faces import TrainingFaces
from fer_core.options.serve import ExportOptions
from fer_core.pictures import decode
from fer_core.predictor import Predictor
from infra.web.app import ServedModel, make_app
from infra.web.guard import HEADERS
from infra.web.server import is_loopback, serve_until_ended
from infra.web.uploads import Limits, RefusedError, read_picture
from infra.web.worker import BusyError, ModelWorker

NAMES = frozenset({"localhost"})
LIMITS = Limits(num_bytes=3_000_000)
PHOTO = png(picture())


class Client:
    """Asks an application in this process."""

    def __init__(self, app: FastAPI, base_url: str = "http://127.0.0.1:8765") -> None:
        self.app, self.base_url = app, base_url

    def request(self, method: str, path: str, **asked: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
                return await client.request(method, path, **asked)

        return asyncio.run(ask())

    def get(self, path: str, **asked: Any) -> httpx.Response:
        return self.request("GET", path, **asked)

    def post(self, path: str, **asked: Any) -> httpx.Response:
        return self.request("POST", path, **asked)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    home = tmp_path_factory.mktemp("home")
    faces, run, level = make_model(home)
    predictor = Predictor(run, level)
    return ServedModel(predictor, TrainingFaces(faces, predictor.level), {"name": "fer"})


@pytest.fixture
def client(served: ServedModel) -> Client:
    return Client(make_app(served, NAMES, LIMITS))


@pytest.fixture(autouse=True)
def nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files would go to an empty folder of their own, and those that have no name are not made either."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    yield
    assert list(folder.iterdir()) == []


def predicted(client: Client, data: bytes, **query: Any) -> Any:
    answer = client.post("/api/predict", content=data, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_face_is_told_with_what_it_is_like(client: Client, served: ServedModel) -> None:
    small = cv2.copyMakeBorder(picture(2, "surprise", 96), 0, 64, 0, 0, cv2.BORDER_REPLICATE)
    two = predicted(client, png(np.hstack([small, picture(1, size=160)])))
    assert (two["width"], two["height"], two["found"]) == (256, 160, 2)
    assert [face["square"]["x"] > 96 for face in two["faces"]] == [True, False]  # the larger one first
    level, classes = served.predictor.level, served.predictor.classes
    for face in two["faces"]:
        assert list(face["probabilities"]) == list(classes)
        assert face["expression"] == max(face["probabilities"], key=face["probabilities"].get)
        assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert len(face["nearest"]) == NUM_SHOWN
        for rows in (face["nearest"], face["typical"]):
            distances = [row["distance"] for row in rows]
            assert distances == sorted(distances)
            assert all(row["expression"] == classes[level.class_N[row["row"]]] for row in rows)
        assert {row["sub_class"] for row in face["typical"]} == {face["sub_class"]}


def test_the_largest_face_gets_what_the_model_says_of_the_picture(client: Client, served: ServedModel) -> None:
    photo = png(picture(3, "surprise"))
    (face,) = predicted(client, photo)["faces"]
    made = served.predictor.predict_pictures([photo])
    assert face["expression"] == CLASSES[made.expression[0]]
    np.testing.assert_allclose(list(face["probabilities"].values()), made.probability[0], atol=1e-6)


def test_a_training_face_is_nearest_to_itself_and_can_be_seen(client: Client, served: ServedModel) -> None:
    assert served.faces is not None
    crop = served.faces.encoded(5)
    assert crop is not None
    np.testing.assert_array_equal(decode(crop), served.faces.crop(5))
    (face,) = predicted(client, crop, whole=True)["faces"]
    assert face["nearest"][0]["row"] == 5
    assert face["nearest"][0]["distance"] == pytest.approx(0, abs=1e-2)
    shown = client.get("/api/faces/5")
    assert (shown.content, shown.headers["content-type"]) == (crop, "image/png")


def test_the_whole_picture_is_the_face_where_that_is_asked(client: Client) -> None:
    wall = png(np.full((60, 80, 3), 127, np.uint8))
    assert predicted(client, wall) == {"width": 80, "height": 60, "found": 0, "faces": []}
    (face,) = predicted(client, wall, whole=True)["faces"]
    assert face["by"] == "frame"
    assert face["square"] == {"x": 39.5, "y": 29.5, "side": 60, "tilt": 0}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_each_format_is_read_whatever_it_is_called(client: Client, kind: str, mode: str) -> None:
    data = encoded(Image.fromarray(picture(size=128)).convert(mode), kind)
    answer = client.post("/api/predict", content=data, headers={"content-type": "text/plain"})
    assert answer.json()["found"] == 1


def test_a_form_may_send_one_picture_however_it_is_called(client: Client) -> None:
    for name in ("../../etc/passwd", "x" * 1000):
        answer = client.post("/api/predict", files={"file": (name, PHOTO)})
        assert (answer.status_code, answer.json()["found"]) == (200, 1)
        assert name not in answer.text
    large = PHOTO + b"\0" * 2_000_000  # of which a form's parser would make a file on disk
    assert client.post("/api/predict", files={"file": ("large.png", large)}).json()["found"] == 1


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"", 400, "no picture was sent, or an empty file"),
        (b"hello", 400, "the picture cannot be read: not a PNG, JPEG, BMP, TIFF picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "not a PNG, JPEG, BMP, TIFF picture"),
        (encoded(Image.new("RGB", (40, 40)), "GIF"), 400, "not a PNG, JPEG, BMP, TIFF picture"),
        (PHOTO[:900], 400, "the picture cannot be read: damaged or truncated picture"),
        (png_header(10_000, 6_000), 400, "picture is too large (10000 x 6000, at most 50000000 pixels)"),
        (png_header(60_000, 60_000), 400, "picture is too large"),
        (PHOTO + b"\0" * 3_000_000, 413, "a picture may have at most 3 MB"),
    ],
    ids=["empty", "text", "svg", "gif", "truncated", "large", "bomb", "huge"],
)
def test_what_is_no_picture_is_refused(client: Client, data: bytes, status: int, reason: str) -> None:
    for asked in ({"content": data}, {"files": {"file": ("a.png", data)}}):
        answer = client.post("/api/predict", **asked)
        assert answer.status_code == status
        assert reason in answer.json()["error"]
        assert_guarded(answer)


def test_a_form_of_anything_else_is_refused(client: Client) -> None:
    two = {"one": ("a.png", PHOTO), "two": ("b.png", PHOTO)}
    for asked, reason in (
        ({"files": two}, "Too many files"),
        ({"files": {"file": PHOTO}, "data": {"path": "../../x"}}, "Too many fields"),
        ({"content": PHOTO, "headers": {"content-type": "multipart/form-data"}}, "boundary"),
        ({"content": PHOTO, "headers": {"content-type": "multipart/form-data; boundary=x"}}, "Invalid multipart data"),
    ):
        answer = client.post("/api/predict", **asked)
        assert answer.status_code == 400
        assert reason in answer.json()["error"]


def assert_guarded(answer: Any) -> None:
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "access-control-allow-origin" not in answer.headers


def test_only_who_asks_for_this_server_is_answered(client: Client) -> None:
    for host in ("127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765", "192.168.1.7"):
        answer = client.get("/api/model", headers={"host": host})
        assert answer.status_code == 200
        assert_guarded(answer)
    for host in ("evil.example", "evil.example:8765", "localhost.evil.example", "[::1", "", "127.0.0.1.evil.example"):
        answer = client.get("/api/model", headers={"host": host})
        assert answer.status_code == 403
        assert "this server is not" in answer.json()["error"]
        assert_guarded(answer)


def test_pages_of_other_sites_are_refused(client: Client) -> None:
    own = {"origin": "http://127.0.0.1:8765"}
    assert client.post("/api/predict", content=PHOTO, headers=own).status_code == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://["):
        answer = client.post("/api/predict", content=PHOTO, headers={"origin": origin})
        assert (answer.status_code, answer.json()["error"]) == (403, "another site's page may not ask this server")
        assert_guarded(answer)


def test_a_wrong_value_is_named(client: Client) -> None:
    for method, path, name in (
        ("POST", "/api/predict?whole=perhaps", "whole"),
        ("GET", "/api/samples/x", "number"),
        ("GET", "/api/faces/x", "row"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 422
        assert answer.json()["error"].startswith(f"{name}: Input should be a valid ")
        assert_guarded(answer)


def test_the_page_holds_nothing_of_other_sites(client: Client) -> None:
    for path, kind in (
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ):
        answer = client.get(path)
        assert answer.headers["content-type"].split(";")[0] == kind
        assert "//" not in answer.text.replace("http://www.w3.org/2000/svg", "").replace(" // ", "")
        assert_guarded(answer)
    for path in ("/docs", "/openapi.json", "/page/page.js", "/../app.py", "/api/predict"):
        assert client.get(path).status_code in (404, 405)


def test_samples_and_faces_are_those_that_there_are(client: Client, served: ServedModel) -> None:
    count = len(client.get("/api/model").json()["samples"])
    for number in range(count):
        sample = client.get(f"/api/samples/{number}")
        assert predicted(client, sample.content)["found"] == 1
    num_rows = len(served.predictor.level.sample_id)
    for path in (f"/api/samples/{count}", "/api/samples/-1", f"/api/faces/{num_rows}", "/api/faces/-1"):
        assert client.get(path).status_code == 404
    assert client.get("/api/faces/..%2F..%2Fx").status_code in (404, 422)


def test_no_training_face_is_shown_where_they_are_not_to_be_seen(served: ServedModel) -> None:
    client = Client(make_app(served._replace(faces=None), NAMES, LIMITS))
    assert client.get("/api/faces/0").status_code == 404
    assert len(predicted(client, PHOTO)["faces"][0]["nearest"]) == NUM_SHOWN


def test_faces_that_have_gone_from_the_directory_are_not_there(served: ServedModel, tmp_path: Path) -> None:
    level = served.predictor.level
    others = type(level)(**{**vars(level), "sample_id": np.array(["gone", *level.sample_id[1:]])})
    assert served.faces is not None
    faces = TrainingFaces(next(tmp_path.parent.parent.rglob("faces/drawn*")), others)
    assert faces.encoded(0) is None
    assert faces.encoded(1) == served.faces.encoded(1)


def test_a_slow_picture_is_given_up(served: ServedModel) -> None:
    class Slow:
        headers: dict[str, str] = {}  # noqa: RUF012

        async def stream(self) -> AsyncIterator[bytes]:
            while True:
                yield b"."
                await asyncio.sleep(0.01)

    started = time.monotonic()
    with pytest.raises(RefusedError, match="did not arrive within") as error:
        asyncio.run(read_picture(Slow(), Limits(seconds=0.1)))
    assert error.value.status == 408
    assert time.monotonic() - started < 5


def arriving(number: int, ends: asyncio.Event | None = None) -> Callable[[], Awaitable[int]]:
    async def arrive() -> int:
        if ends is not None:
            await ends.wait()
        return number

    return arrive


def test_one_works_and_no_more_wait_than_may() -> None:
    free, working = threading.Event(), []

    def work(number: int) -> int:
        working.append(number)
        assert free.wait(30)
        return number

    async def ask() -> list[Any]:
        worker = ModelWorker(3)
        inside = [asyncio.ensure_future(worker.run(arriving(number), work)) for number in range(3)]
        await asyncio.sleep(0.05)
        assert working == [0]
        with pytest.raises(BusyError):
            await worker.run(arriving(3), work)
        inside[0].cancel()  # who goes away leaves the work behind, which still counts
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await worker.run(arriving(3), work)
        free.set()
        done = await asyncio.gather(*inside[1:])
        return [*done, await worker.run(arriving(4), work)]

    assert asyncio.run(ask()) == [1, 2, 4]


def test_what_is_on_its_way_has_a_place_until_it_no_longer_comes() -> None:
    async def broken() -> int:
        raise RefusedError(400, "it did not arrive whole")

    async def ask() -> int:
        worker, ends = ModelWorker(1), asyncio.Event()
        slow = asyncio.ensure_future(worker.run(arriving(0, ends), abs))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await worker.run(broken, abs)
        slow.cancel()
        await asyncio.sleep(0)
        with pytest.raises(RefusedError):
            await worker.run(broken, abs)
        return await worker.run(arriving(-2), abs)

    assert asyncio.run(ask()) == 2


def test_no_more_pictures_are_taken_in_than_may_wait(served: ServedModel) -> None:
    began, whole = list[int](), asyncio.Event()

    async def slow_picture(number: int) -> AsyncIterator[bytes]:
        began.append(number)
        yield PHOTO[:900]
        await whole.wait()
        yield PHOTO[900:]

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(make_app(served, NAMES, LIMITS._replace(waiting=2)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
            asked = [
                asyncio.ensure_future(client.post("/api/predict", content=slow_picture(number))) for number in range(5)
            ]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0.05)
            assert began == [0, 1]
            whole.set()
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == [200, 200, 503, 503, 503]


def test_training_faces_are_shown_however_many_are_asked_for_and_however_busy_the_model_is(served: ServedModel) -> None:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(make_app(served, NAMES, LIMITS._replace(waiting=0)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
            return await asyncio.gather(*(client.get(f"/api/faces/{row}") for row in range(16)))

    assert served.faces is not None
    assert [answer.content for answer in asyncio.run(ask())] == [served.faces.encoded(row) for row in range(16)]


def test_who_comes_while_it_is_busy_is_told_to_come_back(served: ServedModel) -> None:
    client = Client(make_app(served, NAMES, LIMITS._replace(waiting=0)))
    answer = client.post("/api/predict", content=PHOTO)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "busy" in answer.json()["error"]


def test_a_model_that_tells_people_apart_says_no_expression(tmp_path: Path) -> None:
    _, run, level = make_model(tmp_path, "verification")
    (face,) = explain(Predictor(run, level), png(picture(size=FACE)), whole=True)["faces"]
    assert (face["expression"], face["probabilities"], face["sub_class"], face["typical"]) == (None, None, None, [])
    assert len(face["nearest"]) == NUM_SHOWN


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_where_only_this_machine_looks_on(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "localhost.example"])
def test_where_others_look_on_too(host: str) -> None:
    assert not is_loopback(host)


def test_a_port_that_is_taken_is_named_with_the_way_out(served: ServedModel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"127\.0\.0\.1 port {port}: .*; choose another --port"):
            serve_until_ended(make_app(served, NAMES, LIMITS), "127.0.0.1", port, lambda _: None)


def test_an_export_needs_a_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--to FOLDER is missing"):
        ExportOptions()
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match="is no empty folder; name a new one"):
            ExportOptions(to=taken)
    assert ExportOptions(to=tmp_path / "new").to == tmp_path / "new"
