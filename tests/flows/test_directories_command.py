"""`directories` as a person runs it: what is listed, what is found damaged, what goes and what never does."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole_commands import PROJECT, folders, manifests, run

from fer_core.directories import Directory
from fer_core.files import write_bytes

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FACES = ["--synthetic.identities", "6", "--synthetic.takes", "1", "--face-size", "32"]
QUICK = [*FACES, "--batch-size", "16", "--epochs", "1", "--resamples", "100"]
STAGES = ["catalog", "faces", "run", "run", "subdivision", "subdivision", "evaluation"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a registered model of two levels."""
    home = tmp_path_factory.mktemp("home")
    run(home, "retrain", *QUICK, "--levels", "2")
    return home


@pytest.fixture
def leftover(home: Path) -> Iterator[Directory]:
    """A run that was killed."""
    directory = Directory(home / "runs", "killed", kind="run", config={}, inputs={}, code="test")
    directory.start()
    write_bytes(directory.path / "checkpoint.pt", b"1" * 1000)
    yield directory
    (directory.path / "checkpoint.pt").unlink(missing_ok=True)


def test_the_list_names_everything_and_what_uses_it(home: Path) -> None:
    values = run(home, "directories", "--json").values
    rows = values["directories"]
    assert [row["kind"] for row in rows] == STAGES
    assert {row["state"] for row in rows} == {"finished"}
    assert [row["rows"] for row in rows[:3]] == [48, 240, None]
    assert rows[0]["used_by"] == [rows[1]["name"]]
    named = [row["kind"] for row in rows if "fer version 1" in row["used_by"]]
    assert named == ["faces", "run", "subdivision", "evaluation"]
    assert values["removed"] == []
    assert values["freed_bytes"] == 0
    for row in rows:
        assert row["bytes"] == sum(file.stat().st_size for file in (home / row["name"]).rglob("*") if file.is_file())


def test_a_person_reads_a_table(home: Path) -> None:
    lines = run(home, "directories").out.splitlines()
    assert lines[0].split() == ["kind", "name", "MB", "age", "rows", "state", "used", "by"]
    assert len(lines) == len(STAGES) + 3
    assert len({line.index("finished") for line in lines[1 : len(STAGES) + 1]}) == 1
    assert lines[-1].startswith("7 directories, ")


def test_damage_is_named_with_exit_code_1_and_repaired(home: Path) -> None:
    before = manifests(home)
    (shard,) = home.glob("faces/*/part-00000.parquet")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert run(home, "directories", "--verify", "--json", code=1).values["damaged"] == [str(shard)]
    (line,) = [line for line in run(home, "prepare", *FACES, "--verify", code=1).out.splitlines() if "damaged" in line]
    assert line.split() == ["damaged", str(shard)]
    repaired = run(home, "prepare", *FACES, "--repair", "--json").values
    assert repaired["repaired"] == [str(shard)]
    assert repaired["reused"] == ["ingest"]
    assert run(home, "directories", "--verify", "--json").values["damaged"] == []
    assert manifests(home) == before


def test_nothing_goes_unasked(home: Path, leftover: Directory) -> None:
    before = manifests(home)
    ended = run(home, "directories", "--remove", "--older-than", "0", code=2)
    assert ended.err.splitlines()[-1].startswith("error: --remove asks before it deletes")
    assert run(home, "directories", "--dry-run", "--older-than", "0", "--json").values["removable"] == [
        f"runs/{leftover.path.name}"
    ]
    assert leftover.path.exists()
    assert manifests(home) == before


def test_a_terminal_is_asked(home: Path, leftover: Directory) -> None:
    before = manifests(home)
    arguments = ["directories", "--remove", "--older-than", "0", "--home", str(home)]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments],
        cwd=PROJECT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, b"y\n")
    out, err = process.communicate(timeout=200)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, err[-2000:]
    assert f"  runs/{leftover.path.name}  0.0 MB\nremove 1 directories, 0.0 MB? [y/N] " in err
    assert not leftover.path.exists()
    assert "removed: 1, 0.0 MB" in out.splitlines()
    assert manifests(home) == before


def test_what_is_registered_or_under_way_stays_whatever_is_asked(home: Path, leftover: Directory) -> None:
    before = manifests(home)
    everything = ["--remove", "--yes", "--evaluations", "--older-than", "0", "--json"]
    with leftover.lock():
        values = run(home, "directories", *everything).values
    assert values["removed"] == []
    assert [row["state"] for row in values["directories"] if "killed" in row["name"]] == ["under way"]
    values = run(home, "directories", *everything).values
    assert values["removed"] == [f"runs/{leftover.path.name}"]
    assert values["freed_bytes"] >= 1000
    assert len(values["directories"]) == len(STAGES)
    assert manifests(home) == before


def test_evaluations_go_on_request_and_everything_can_be_made_again(tmp_path: Path) -> None:
    run(tmp_path, "evaluate", *QUICK)
    before = manifests(tmp_path)
    values = run(tmp_path, "directories", "--remove", "--yes", "--older-than", "0", "--evaluations", "--json").values
    assert len(values["removed"]) == len(before) == 5
    assert values["directories"] == []
    assert manifests(tmp_path) == {}
    assert folders(tmp_path, "runs") == []
    run(tmp_path, "evaluate", *QUICK)
    assert manifests(tmp_path) == before
