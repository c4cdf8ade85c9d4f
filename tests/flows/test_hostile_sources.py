"""What people's folders, full disks and dying workers do to whole commands: nothing torn, nothing read from outside."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
from PIL import Image
from whole_commands import PROJECT, manifests, run, start, wait_for

from fer_core import files
from fer_core.directories import damaged_files
from fer_core.options.stages import PrepareOptions
from fer_core.pictures import FORMATS, picture_problem
from tasks import data

NO_PICTURE = f"not a {', '.join(FORMATS)} picture"
PICTURES = 20
SET_ASIDE = {
    "damaged or truncated picture": 2,
    "empty file": 1,
    "file cannot be read": 5,  # links to nowhere and to itself, a queue, a device, an oversized file
    "file is not a picture": 1,
    "file name is not UTF-8": 1,
    "label line without a path": 1,
    "label matches no image": 2,
    "labelled twice": 2,
    NO_PICTURE: 4,
    "path leaves the source folder": 6,
    "picture is too large": 2,
}
TABLE = """path,subject
happy/0.png,anna
happy/0.png,ben
sad\\0.png,ben
./sad/0.png,anna
../outside.png,anna
happy/../../outside.png,anna
{outside},anna
C:\\outside.png,anna
..,anna
..\\outside.png,anna
,anna
happy/missing.png,anna
happy/loop/happy/1.png,anna
"""


def hostile(folder: Path) -> Path:
    """Twenty good pictures among everything that goes wrong in folders of pictures."""
    source, outside = folder / "hostile", folder / "outside.png"
    for number in range(PICTURES):
        tiny.write_png(source / ("happy", "sad")[number % 2] / f"{number // 2}.png", tiny.face(20, 20, number))
    tiny.write_png(outside, tiny.face(9, 9, 99))
    (source / "labels.csv").write_text(TABLE.replace("{outside}", str(outside)))
    happy = source / "happy"
    _write_bad_pictures(happy)
    (happy / "loop").symlink_to(source)
    (happy / "itself.png").symlink_to("itself.png")
    (happy / "nowhere.png").symlink_to("gone.png")
    (happy / "passwords.png").symlink_to("/etc/passwd")
    (happy / "zeros.png").symlink_to("/dev/zero")
    os.mkfifo(happy / "queue.png")
    (happy / "folder.png").mkdir()
    (happy / "notes.txt").write_text("stray")
    with (happy / "oversized.png").open("wb") as file:
        file.truncate(2**28 + 1)
    with open(os.fsencode(happy) + b"/\xff.png", "wb") as file:
        file.write(outside.read_bytes())
    return source


def _write_bad_pictures(folder: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for kind in ("png", "jpeg"):
        whole = tiny.encoded(picture, kind.upper())
        (folder / f"cut.{kind}").write_bytes(whole[: len(whole) // 2])
    (folder / "animated.png").write_bytes(tiny.encoded(picture, "GIF"))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("<svg/>")
    (folder / "beheaded.jpg").write_bytes(tiny.encoded(picture, "JPEG")[20:])
    (folder / "bomb.png").write_bytes(tiny.png_header(60_000, 60_000))
    (folder / "warned.png").write_bytes(tiny.png_header(9_500, 9_500))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions of 8 rows one after the other."""

    def map_here(address: str | None, function: Any, partitions: Any, done: Any) -> None:
        for partition in partitions:
            done(function(*partition))

    monkeypatch.setattr(data, "map_partitions", map_here)
    monkeypatch.setattr(data, "ROWS_A_PARTITION", 8)


def prepare(source: Path, home: Path) -> None:
    options = PrepareOptions(dataset="image_folder", source=source, home=home, face_size=48, landmarks="auto")
    options = options.model_copy(update={"no_face": "centre", "rotations": (0.0,)})
    catalog = data.write_catalog.fn(options)
    data.write_faces.fn(options, catalog)


def contents(home: Path) -> dict[str, bytes]:
    """Every file of every data set directory, those of writers at work included."""
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.glob("*/*/*") if path.is_file()}


def sources_of(home: Path) -> dict[str, str]:
    """Source path -> digest of what was read."""
    found = {}
    for file in home.glob("catalogs/*/part-*.parquet"):
        for row in pq.read_table(file, columns=["source_path", "source_sha256", "subject_id"]).to_pylist():
            found[row["source_path"]] = row["source_sha256"]
    return found


def check_taken(source: Path, home: Path) -> None:
    """The good pictures are taken, each once, and nothing from outside the folder."""
    taken = sources_of(home)
    expected = {f"{('happy', 'sad')[number % 2]}/{number // 2}.png" for number in range(PICTURES)}
    assert taken.keys() == expected
    for name, digest in taken.items():
        assert hashlib.sha256((source / name).read_bytes()).hexdigest() == digest
    assert hashlib.sha256((source.parent / "outside.png").read_bytes()).hexdigest() not in taken.values()
    for shard in contents(home).values():
        assert b"root:" not in shard, "the picture that leads to the passwords is not copied"


@pytest.mark.usefixtures("in_this_process")
def test_what_is_hostile_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    source = hostile(tmp_path)
    options = PrepareOptions(dataset="image_folder", source=source, home=tmp_path / "home")
    catalog = data.write_catalog.fn(options)
    assert catalog.summary["set_aside"] == SET_ASIDE
    assert catalog.summary["rows"] == PICTURES
    check_taken(source, tmp_path / "home")


@pytest.mark.usefixtures("in_this_process")
def test_what_is_hostile_gives_the_same_bytes_again(tmp_path: Path) -> None:
    source = hostile(tmp_path)
    prepare(source, tmp_path / "home")
    prepare(source, tmp_path / "again")
    assert contents(tmp_path / "home") == contents(tmp_path / "again")


@pytest.mark.parametrize("content", [b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0"])
def test_what_is_said_of_a_file_that_is_no_picture_is_the_same_each_time(content: bytes) -> None:
    reason, detail = picture_problem(content) or ("", "")
    assert reason == NO_PICTURE
    assert " object at 0x" not in detail, "an address differs from run to run"


class FullDisk:
    """Writes end half-way with ENOSPC, from the n-th on."""

    def __init__(self, most: int) -> None:
        self.most, self.count = most, 0
        self._write = files.write_atomically

    def write_atomically(self, path: Path, write: Any) -> None:
        self.count += 1

        def half(temporary: Path) -> None:
            write(temporary)
            os.truncate(temporary, temporary.stat().st_size // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        self._write(path, half if self.count > self.most else write)


@pytest.mark.usefixtures("in_this_process")
def test_a_disk_that_fills_up_at_any_write_leaves_nothing_torn(
    tmp_path: Path, tiny_ck_plus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = PrepareOptions(dataset="ck_plus", source=tiny_ck_plus, home=tmp_path / "clean", rotations=(0.0,))

    def both(home: Path) -> None:
        here = options.model_copy(update={"home": home})
        data.write_faces.fn(here, data.write_catalog.fn(here))

    counter = FullDisk(10**9)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomically", counter.write_atomically)
        both(tmp_path / "clean")
    whole = contents(tmp_path / "clean")
    for most in range(0, counter.count, 3):
        home = tmp_path / f"full {most}"
        with monkeypatch.context() as patch:
            patch.setattr(files, "write_atomically", FullDisk(most).write_atomically)
            with pytest.raises(OSError, match="No space left on device"):
                both(home)
        for name, content in contents(home).items():
            assert name not in whole or content == whole[name], f"{name} is torn after {most} writes"
        both(home)
        assert contents(home) == whole, most


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_a_hostile_source_from_the_command_line(tmp_path: Path) -> None:
    source, home = hostile(tmp_path), tmp_path / "home"
    arguments = ["ingest", "--dataset", "image_folder", "--source", str(source), "--json"]
    looked = run(home, *arguments, "--dry-run").values
    values = run(home, *arguments).values
    assert (values["rows"], values["set_aside"]) == (PICTURES, SET_ASIDE)
    assert (looked["rows"], looked["set_aside"]) == (PICTURES, SET_ASIDE)
    check_taken(source, home)


IN_A_SMALL_HOME = """
mkdir -p "$HOME_DIR/catalogs" "$HOME_DIR/faces"
for folder in catalogs faces; do
    mount -t tmpfs -o size=$SIZE tmpfs "$HOME_DIR/$folder"
    "$@" 2> "$HOME_DIR/$folder.err"
    echo $? > "$HOME_DIR/$folder.code"
    mount -o remount,size=1g "$HOME_DIR/$folder"
done
"$@" && cp -r "$HOME_DIR/catalogs" "$HOME_DIR/faces" "$KEPT"
"""


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_a_full_disk_is_said_and_the_same_command_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A file system of its own for each stage's folder, too small for it: needs leave to mount one."""
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    options = ["prepare", "--synthetic.identities", "34", "--synthetic.takes", "2", "--face-size", "48"]
    home, kept = tmp_path / "home", tmp_path / "kept"
    home.mkdir()
    kept.mkdir()
    run(tmp_path / "clean", *options)
    command = [sys.executable, "-m", "flows", *options, "--home", str(home)]
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", IN_A_SMALL_HOME, "sh", *command],
        cwd=PROJECT,
        env={**os.environ, "HOME_DIR": str(home), "KEPT": str(kept), "SIZE": "1500k"},
        capture_output=True,
        text=True,
        check=False,
    )
    for folder in ("catalogs", "faces"):
        said = (home / f"{folder}.err").read_text()
        assert (home / f"{folder}.code").read_text().strip() == "2", said[-3000:]
        assert said.splitlines()[-1].startswith(f"error: the disk of --home {home} is full"), said[-3000:]
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert contents(kept) == contents(tmp_path / "clean")


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # distributed's own, when a worker is gone
def test_a_killed_dask_worker_costs_its_partitions_and_no_more(tmp_path: Path) -> None:
    from distributed import LocalCluster

    options = ["ingest", "--synthetic.identities", "96", "--synthetic.takes", "2"]
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0")
    with cluster:
        process = start(tmp_path / "killed", *options, "--json", DASK_SCHEDULER_ADDRESS=cluster.scheduler_address)
        wait_for(process, tmp_path / "killed", "catalogs/*/part-*.parquet")
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        stood = _times(tmp_path / "killed")
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    assert 0 < len(stood) < 6, "killed in the middle"
    after = _times(tmp_path / "killed")
    assert {name: after[name] for name in stood} == stood, "what stood is not made again"
    run(tmp_path / "clean", *options)
    assert manifests(tmp_path / "killed") == manifests(tmp_path / "clean")
    assert contents(tmp_path / "killed") == contents(tmp_path / "clean")
    (catalog,) = (tmp_path / "killed").glob("catalogs/[!.]*")
    assert damaged_files(catalog) == []


def _times(home: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in home.glob("catalogs/*/part-*.parquet")}
