"""Face crops on a real S3 server: what comes back is what was put there, by ranges of bytes."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from fer_core.directories import Directory
from fer_core.scoring.sources import open_source
from fer_core.shards import PictureReader
from fer_core.streaming import CLASS_SORTED, PictureStream, try_out, upload, write_class_sorted

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
KEY, SECRET = "a-name-of-a-key", "a-key-for-this-test"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(RCLONE is None, reason="no rclone, which serves S3"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore"),
]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UPath]:
    (tmp_path / "s3" / "fer").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    monkeypatch.setenv("RCLONE_AUTH_KEY", f'"{KEY},{SECRET}"')
    for name, value in {"ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET, "ENDPOINT_URL": f"http://{address}"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("REQUEST_CHECKSUM_CALCULATION", "RESPONSE_CHECKSUM_VALIDATION"):
        monkeypatch.setenv(f"AWS_{name}", "when_required")  # rclone gives the whole object's for a part of it
    command = [str(RCLONE), "serve", "s3", str(tmp_path / "s3"), "--addr", address, "--config", "/dev/null"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        while True:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        UPath("s3://fer").fs.clear_instance_cache()  # of another test's server
        yield UPath("s3://fer/faces")
        server.kill()


def test_pictures_of_a_folder_on_s3_are_asked_about(bucket: UPath) -> None:
    data = {f"{person}/{take}.png": bytes([person, take]) * 500 for person in range(3) for take in range(20)}
    for name, content in {**data, "notes.txt": b"x"}.items():
        (bucket / name).write_bytes(content)
    source = open_source("s3://fer/faces")
    pictures = list(source.pictures())
    assert [picture.source_path for picture in pictures] == sorted(data)
    assert len({picture.sha256 for picture in pictures}) == len(data)
    assert list(open_source("s3://fer/faces/").pictures()) == pictures
    assert list(source.read(pictures[7:57], 7)) == [data[name] for name in sorted(data)[7:57]]


def test_pictures_are_read_back_from_s3(bucket: UPath, tiny_faces: Path, tmp_path: Path) -> None:
    made = Directory(tmp_path, "sorted", kind="faces", config={"order": CLASS_SORTED}, inputs={}, code="test")
    made.start()
    assert sum(write_class_sorted(tiny_faces, made.path)) == 144
    made.finish([file.name for file in made.path.glob("*.parquet")], {})
    try_out(bucket)
    upload(made.path, bucket / "sorted")
    there, here = PictureStream(bucket / "sorted"), PictureReader(made.path)
    order = np.random.default_rng(0).permutation(144)
    np.testing.assert_array_equal(there.images(order), here.images(order))
    assert there.num_requests == 3, "blocks of 64 pictures"
