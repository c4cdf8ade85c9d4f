"""What a storage refuses is tried again; what it holds is whole."""

import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pyarrow.fs import FileType, PyFileSystem

from fer_core.errors import InputError
from infra.patient_files import PatientFiles, StorageLostError
from infra.run_events import STORAGE, RunEvents

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")


@pytest.fixture
def files(tmp_path):
    return PatientFiles(str(tmp_path / "storage"), RunEvents(tmp_path), patience=0.5)


def stand_in_the_way(files, seconds):
    """For so long there is a file where the folder should be."""
    place = files.events.file.with_name("storage")
    place.write_text("")
    threading.Timer(seconds, place.unlink).start()


def test_what_is_put_is_there(files):
    files.put(f"{files.root}/run/a", b"abc")
    assert files.get(f"{files.root}/run/a") == b"abc"
    assert files.events.read() == []


def test_it_waits_until_the_storage_takes_it(files):
    files.patience = 20.0
    stand_in_the_way(files, 0.7)
    files.put(f"{files.root}/a", b"abc")
    told = [event["message"] for event in files.events.read()]
    assert [event["kind"] for event in files.events.read()] == [STORAGE] * len(told)
    assert re.search(r"storage refuses: .*; tried again in 0.5 s", told[0])
    assert re.search(r"tried again in 1.0 s", told[1])
    assert told[-1].endswith("is back after 2 s")
    assert files.get(f"{files.root}/a") == b"abc"


def test_it_gives_up_after_a_stated_time(files):
    files.patience = 1.0
    stand_in_the_way(files, 4.0)
    started = time.monotonic()
    with pytest.raises(StorageLostError, match=r"refuses: .*, for \d s; run the same command again"):
        files.put(f"{files.root}/a", b"abc")
    assert time.monotonic() - started < 3


def test_a_file_that_is_not_there_is_not_waited_for(files):
    files.patience = 60.0
    with pytest.raises(FileNotFoundError):
        files.get(f"{files.root}/none")


def test_pyarrow_sees_a_file_system(files):
    seen = pickle.loads(pickle.dumps(PyFileSystem(files)))
    path = f"{files.root}/run/snapshot.json"
    seen.create_dir(f"{files.root}/run")
    with seen.open_output_stream(path) as out:
        out.write(b"half")
        assert seen.get_file_info(path).type == FileType.NotFound
        out.write(b" and half")
    with seen.open_input_stream(path) as stream:
        assert stream.readall() == b"half and half"
    assert seen == PyFileSystem(files)
    assert seen != PyFileSystem(PatientFiles("/elsewhere", files.events))
    seen.delete_dir(f"{files.root}/run")
    assert seen.get_file_info(path).type == FileType.NotFound


def test_a_stream_waits_as_well(files):
    files.patience = 20.0
    stand_in_the_way(files, 0.7)
    with PyFileSystem(files).open_output_stream(f"{files.root}/a") as out:
        out.write(b"abc")
    assert files.get(f"{files.root}/a") == b"abc"


@pytest.mark.parametrize("uri", ["gopher://there/a", "s3://"])
def test_what_is_no_storage_is_refused_at_once(tmp_path, uri):
    with pytest.raises(InputError, match=rf"the storage {uri} cannot be"):
        PatientFiles(uri, RunEvents(tmp_path)).require("run")


def test_a_storage_that_refuses_is_refused_at_once(files):
    stand_in_the_way(files, 1.0)
    started = time.monotonic()
    with pytest.raises(InputError, match=r"the storage .* cannot be written to: .*Not a directory|File exists"):
        files.require("run")
    assert time.monotonic() - started < 1


def test_keys_are_not_sent_to_workers(files, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "known-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "known-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    bucket = PatientFiles("s3://bucket/checkpoints", files.events)
    assert bucket.root == "bucket/checkpoints"
    sent = pickle.dumps(PyFileSystem(bucket))
    assert b"known" not in sent
    assert pickle.loads(sent) == PyFileSystem(bucket)


def test_the_endpoint_is_that_of_the_environment(files, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"the storage s3://bucket/a cannot be written to: .*127.0.0.1.*"):
        PatientFiles("s3://bucket/a", files.events).require("run")


@pytest.fixture
def s3_server(tmp_path, monkeypatch):
    """start() -> the process of an S3 server with the bucket `bucket`, always at the same address."""
    (tmp_path / "s3" / "bucket").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    keys = {"AWS_ACCESS_KEY_ID": "some-name", "AWS_SECRET_ACCESS_KEY": "some-secret"}
    # what this server cannot do, and pyarrow does by itself
    own = {"AWS_ENDPOINT_URL": f"http://{address}", "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}
    for name, value in (keys | own).items():
        monkeypatch.setenv(name, value)
    processes = []

    def start():
        command = [RCLONE, "serve", "s3", str(tmp_path / "s3"), "--addr", address]
        environment = {**os.environ, "RCLONE_AUTH_KEY": '"some-name,some-secret"', "RCLONE_CONFIG": "/dev/null"}
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.integration
@pytest.mark.skipif(RCLONE is None, reason="no rclone, which serves S3 here")
def test_an_s3_server_goes_away_and_comes_back(tmp_path, s3_server):
    files = PatientFiles("s3://bucket/checkpoints", RunEvents(tmp_path), patience=60.0)
    server = s3_server()
    files.put(f"{files.root}/run/first", b"a" * 6_000_000)
    assert len(files.get(f"{files.root}/run/first")) == 6_000_000
    server.kill()
    server.wait()
    threading.Timer(3.0, s3_server).start()
    with PyFileSystem(files).open_output_stream(f"{files.root}/run/snapshot.json") as out:
        out.write(b"{}")
    assert files.get(f"{files.root}/run/snapshot.json") == b"{}"
    assert "is back after" in files.events.read()[-1]["message"]
    with pytest.raises(FileNotFoundError):
        files.get(f"{files.root}/run/none")
    files.delete_dir(f"{files.root}/run")
    assert PyFileSystem(files).get_file_info(f"{files.root}/run").type == FileType.NotFound
