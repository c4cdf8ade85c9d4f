"""A registered model handed on: by `mlflow models serve`, what it answers and how it refuses; and by `export`."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
from served import ACCURACY, CLASSES, REASON, free_port, picture, png, register
from tiny import png_header

from fer_core.errors import InputError
from fer_core.onnx_export import DESCRIPTION, NETWORK
from fer_core.options.serve import ExportOptions, ServeOptions
from flows.serving import export
from infra.mlflow_engine import Registry
from infra.settings import engine_environment
from tasks.serving import open_served

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # of what MLflow imports
]
FACE = png(picture())


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


GOOD = {"image": base64_of(FACE)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def registry(home: Path) -> Registry:
    """Of the home, with a champion."""
    return register(home)


@pytest.fixture(scope="module")
def address(home: Path, registry: Registry) -> Iterator[str]:
    """A server of the champion, started as the documentation says."""
    port = free_port()
    programs = Path(sys.executable).parent
    command = [str(programs / "mlflow"), "models", "serve", "-m", "models:/fer@champion", "--env-manager", "local"]
    environment = {
        **os.environ,
        **engine_environment(home, verbose=False),
        "MLFLOW_TRACKING_URI": registry.uri,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}/ping", home / "server.log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], ping: str, log: Path) -> None:
    deadline = time.monotonic() + 300
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        try:
            httpx.get(ping, timeout=10).raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.2)


def asked(address: str, body: Any) -> httpx.Response:
    text = body if isinstance(body, str) else json.dumps(body)
    return httpx.post(address, content=text, headers={"content-type": "application/json"}, timeout=60)


def test_pictures_in_base64_are_predicted(address: str) -> None:
    points = [20.0, 20.0, 0.0, 70.0, 80.0, 0.0]
    records = {"dataframe_records": [{**GOOD, "landmarks": None}, {**GOOD, "landmarks": points}]}
    answer = asked(address, records)
    assert answer.status_code == 200, answer.text
    found, cut = answer.json()["predictions"]
    assert found["expression"] in CLASSES
    assert found["sub_class"].startswith(found["expression"])
    assert np.isclose(sum(found["probabilities"]), 1)
    assert len(found["embedding"]) == len(cut["embedding"]) == 512
    assert not np.allclose(found["embedding"], cut["embedding"])
    split = {"dataframe_split": {"columns": ["image"], "data": [[GOOD["image"]]]}}
    assert np.allclose(asked(address, split).json()["predictions"][0]["embedding"], found["embedding"], rtol=1e-4)


def of_image(data: bytes) -> dict[str, Any]:
    return {"dataframe_records": [{"image": base64_of(data)}]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"dataframe_records": [{"landmarks": [1.0, 2.0, 3.0]}]}, "missing inputs ['image']"),
        ({"dataframe_records": [{"image": None}]}, "Failed to convert column image"),
        ({"dataframe_records": [{"image": "abcde"}]}, "Invalid base64-encoded string"),
        ({"dataframe_records": []}, "missing inputs ['image']"),
        ({"dataframe_split": {"columns": ["image"], "data": []}}, "no face was given"),
        (of_image(b""), "picture 0 cannot be read: empty file"),
        (of_image(b"hello"), "picture 0 cannot be read: not a PNG, JPEG, BMP, TIFF picture"),
        ({"dataframe_records": [GOOD, *of_image(b"hello")["dataframe_records"]]}, "picture 1 cannot be read"),
        (of_image(FACE[:900]), "picture 0 cannot be read: damaged or truncated picture"),
        (of_image(png_header(60_000, 60_000)), "picture 0 cannot be read: picture is too large"),
        (of_image(png_header(10_000, 6_000)), "10000 x 6000, at most 50000000 pixels"),
        (of_image(png(np.zeros((96, 96, 3), np.uint8))), "picture 0 cannot be cropped: no face found"),
        ({"dataframe_records": [{**GOOD, "landmarks": [1.0, 2.0]}]}, "landmarks of picture 0 are 2 numbers"),
        ({"dataframe_records": [{**GOOD, "landmarks": [1.0] * 9}]}, "all landmarks are one point"),
        ({"dataframe_records": [{**GOOD, "landmarks": "x"}]}, "Failed to convert column landmarks"),
        ('{"dataframe_records', "valid JSON"),
    ],
)
def test_wrong_input_is_refused_with_the_reason_and_no_trace(address: str, body: Any, reason: str) -> None:
    answer = asked(address, body)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]
    assert "stack_trace" not in answer.json()
    assert "Traceback" not in answer.text


def test_the_exported_model_says_what_the_registered_one_says(home: Path, registry: Registry, tmp_path: Path) -> None:
    values = export(ExportOptions(home=home, to=tmp_path / "onnx"))
    assert (values["model_name"], values["model_version"]) == ("fer", 1)
    said = json.loads((tmp_path / "onnx" / DESCRIPTION).read_text())
    assert said["sha256"] == values["sha256"]
    crops = np.stack([picture(person, size=said["face_size"]) for person in range(5)])
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / NETWORK, providers=["CPUExecutionProvider"])
    embedding, probabilities = session.run(["embedding", "probabilities"], {"inputs": crops})
    made = registry.predictor(1).predict_faces(crops)
    np.testing.assert_allclose(probabilities, made.probability, atol=1e-4)
    np.testing.assert_allclose(embedding, made.embedding, rtol=1e-4, atol=1e-4)
    assert [said["classes"][at] for at in probabilities.argmax(axis=1)] == [CLASSES[at] for at in made.expression]
    with pytest.raises(ValueError, match="is no empty folder"):
        ExportOptions(home=home, to=tmp_path / "onnx")
    with pytest.raises(InputError, match="has no version 9"):
        export(ExportOptions(home=home, to=tmp_path / "other", version=9))
    assert not (tmp_path / "other").exists()


def test_training_faces_are_shown_to_nobody_else_and_only_while_they_stand(home: Path, registry: Registry) -> None:
    served = open_served(ServeOptions(home=home))
    assert served.faces is not None
    assert served.told["shows_faces"]
    assert served.told["aliases"] == ["champion"]
    assert served.told["metrics"] == [{"label": "Accuracy", **ACCURACY}]
    assert (served.told["verdict"], served.told["reason"]) == ("first", REASON)
    registry.set_tag(1, "rolled_back", "at noon: too slow")
    assert open_served(ServeOptions(home=home)).told["rolled_back"] == "at noon: too slow"
    registry.set_tag(1, "rolled_back", None)
    assert open_served(ServeOptions(home=home, host="0.0.0.0")).faces is None
    assert open_served(ServeOptions(home=home, show_faces=False)).faces is None
    assert open_served(ServeOptions(home=home, host="0.0.0.0", show_faces=True)).faces is not None
    faces = Path(registry.tags_of(1)["faces"])
    faces.rename(faces.with_name("moved"))
    try:
        assert open_served(ServeOptions(home=home)).told["shows_faces"] is False
    finally:
        faces.with_name("moved").rename(faces)
