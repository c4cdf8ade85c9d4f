"""Proving and repairing what stands: every kind of damage to every kind of file, in this process, without engines."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny

from fer_core.directories import MANIFEST, damaged_files, read_manifest
from fer_core.errors import InputError
from fer_core.options.stages import PrepareOptions
from tasks import data
from tasks.inspection import prove_catalog, prove_faces
from tasks.made import Made
from tasks.tuples import write_tuples

LONG_AGO = 1_600_000_000_000_000_000
CATALOG_FILES = ["aside-scan-00000", *(f"{kind}-{number:05d}" for kind in ("aside", "part") for number in range(4))]
"""Of 49 records in partitions of 16."""


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


DAMAGES: list[Callable[[Path], None]] = [flip, cut, Path.unlink]


pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def options(tiny_ck_plus: Path, tmp_path: Path) -> PrepareOptions:
    """48 good pictures, one that is cut short, and one stray file."""
    anger = tiny_ck_plus / "CK+48" / "anger"
    picture = next(anger.glob("*.png")).read_bytes()
    (anger / "S999_001_00000010.png").write_bytes(picture[: len(picture) // 2])
    (anger / "notes.txt").write_text("stray")
    return PrepareOptions(
        dataset="ck_plus", source=tiny_ck_plus, home=tmp_path / "home", rotations=(0.0,), identities="estimated"
    )


def ingest(options: PrepareOptions, repair: bool = False) -> Made:
    return data.write_catalog.fn(options, repair)


def prepare(options: PrepareOptions, repair: bool = False) -> tuple[Made, Made]:
    catalog = ingest(options, repair)
    return catalog, data.write_faces.fn(options, catalog, repair)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def age(folder: Path) -> None:
    for file in folder.iterdir():
        os.utime(file, ns=(LONG_AGO, LONG_AGO))


def touched(folder: Path) -> set[str]:
    """The files that have been written since `age`; the manifest's time says when it was last used."""
    return {file.name for file in folder.iterdir() if file.stat().st_mtime_ns != LONG_AGO} - {MANIFEST}


def test_the_catalog_of_these_tests_has_every_kind_of_file(options: PrepareOptions) -> None:
    catalog, faces = prepare(options)
    assert sorted(read_manifest(catalog.path).shards) == sorted(f"{name}.parquet" for name in CATALOG_FILES)
    assert catalog.summary["rows"] == 48
    assert len(catalog.summary["set_aside"]) == 2
    kinds = {name.split("-")[0].removesuffix(".parquet") for name in read_manifest(faces.path).shards}
    assert kinds == {"part", "index", "aside", "identities"}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["part-00001.parquet", "aside-00000.parquet", "aside-scan-00000.parquet"])
def test_a_damaged_file_of_a_catalog(options: PrepareOptions, name: str, damage: Callable[[Path], None]) -> None:
    made = ingest(options)
    whole = contents(made.path)
    age(made.path)
    damage(made.path / name)
    proof = prove_catalog.fn(options)
    assert (proof.damaged, proof.files) == ([name], len(whole) - 1)
    repaired = ingest(options, repair=True)
    assert contents(made.path) == whole
    assert touched(made.path) == {name}
    assert repaired.repaired == (made.path / name,)
    assert (repaired.content, repaired.reused) == (made.content, False)
    assert prove_catalog.fn(options).damaged == []
    assert ingest(options).reused


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["part-00001.parquet", "index-00002.parquet", "aside-00000.parquet", "identities.parquet"]
)
def test_a_damaged_file_of_faces(options: PrepareOptions, name: str, damage: Callable[[Path], None]) -> None:
    catalog, faces = prepare(options)
    whole = contents(faces.path)
    age(catalog.path)
    age(faces.path)
    damage(faces.path / name)
    assert [proof.damaged for proof in prove_faces.fn(options)] == [[], [name]]
    catalog_again, faces_again = prepare(options, repair=True)
    assert contents(faces.path) == whole
    assert touched(faces.path) == {name}
    assert touched(catalog.path) == set()
    assert catalog_again.reused
    assert faces_again.repaired == (faces.path / name,)
    assert [proof.damaged for proof in prove_faces.fn(options)] == [[], []]


def test_verify_writes_nothing(options: PrepareOptions) -> None:
    catalog, faces = prepare(options)
    for made in (catalog, faces):
        flip(made.path / "part-00000.parquet")
    before = [contents(made.path) for made in (catalog, faces)]
    for made in (catalog, faces):
        age(made.path)
    prove_faces.fn(options)
    assert [contents(made.path) for made in (catalog, faces)] == before
    for made in (catalog, faces):
        assert touched(made.path) == set()
        assert (made.path / MANIFEST).stat().st_mtime_ns == LONG_AGO


def test_repair_of_what_is_whole_reuses_it(options: PrepareOptions) -> None:
    made = prepare(options)
    for one in made:
        age(one.path)
    again = prepare(options, repair=True)
    assert [one.reused for one in again] == [True, True]
    assert [one.repaired for one in again] == [(), ()]
    assert [touched(one.path) for one in made] == [set(), set()]


def test_faces_whose_catalog_is_damaged_too(options: PrepareOptions) -> None:
    """A faces shard is made of a catalog shard, so that has to be made again before."""
    catalog, faces = prepare(options)
    whole = contents(catalog.path), contents(faces.path)
    for made in (catalog, faces):
        flip(made.path / "part-00002.parquet")
    assert [proof.damaged for proof in prove_faces.fn(options)] == [["part-00002.parquet"]] * 2
    again = prepare(options, repair=True)
    assert (contents(catalog.path), contents(faces.path)) == whole
    assert [one.repaired for one in again] == [(made.path / "part-00002.parquet",) for made in (catalog, faces)]


@pytest.mark.parametrize("text", ["", "[1]", '{"schema_version": 2}'])
def test_an_unreadable_manifest(options: PrepareOptions, text: str) -> None:
    catalog, faces = prepare(options)
    whole = contents(catalog.path), contents(faces.path)
    (faces.path / MANIFEST).write_text(text)
    assert [proof.damaged for proof in prove_faces.fn(options)] == [[], [MANIFEST]]
    with pytest.raises(InputError):
        prepare(options)
    prepare(options, repair=True)
    assert contents(faces.path) == whole[1]
    (catalog.path / MANIFEST).write_text(text)
    assert prove_catalog.fn(options).damaged == [MANIFEST]
    assert [proof.damaged for proof in prove_faces.fn(options)] == [[MANIFEST]]
    prepare(options, repair=True)
    assert (contents(catalog.path), contents(faces.path)) == whole


@pytest.mark.parametrize("damage", [cut, lengthen])
def test_without_repair_a_file_of_another_size_is_an_error_that_says_so(
    options: PrepareOptions, damage: Callable[[Path], None]
) -> None:
    made = ingest(options)
    damage(made.path / "part-00001.parquet")
    with pytest.raises(InputError, match=r"part-00001\.parquet is missing or damaged; run `ingest --repair`"):
        ingest(options)


def test_a_deleted_file_is_made_again_unasked_and_what_is_damaged_beside_it(options: PrepareOptions) -> None:
    """The new manifest must not vouch for a file that only looks whole."""
    made = ingest(options)
    whole = contents(made.path)
    (made.path / "part-00000.parquet").unlink()
    flip(made.path / "part-00002.parquet")
    again = ingest(options)
    assert contents(made.path) == whole
    assert again.content == made.content
    assert sorted(again.repaired) == [made.path / "part-00000.parquet", made.path / "part-00002.parquet"]


def test_a_repair_that_is_killed_goes_on(options: PrepareOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ingest(options)
    whole = contents(made.path)
    for name in ("part-00000.parquet", "part-00002.parquet"):
        flip(made.path / name)
    write, written = data.scanning.write_catalog_shard, []

    def write_or_die(folder: Path, number: int, *rest: Any) -> int:
        if number == 2:
            raise KeyboardInterrupt
        written.append(number)
        return write(folder, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(data.scanning, "write_catalog_shard", write_or_die)
        with pytest.raises(KeyboardInterrupt):
            ingest(options, repair=True)
    assert written == [0, 1]
    assert damaged_files(made.path) == ["part-00002.parquet"]
    ingest(options)
    assert contents(made.path) == whole


def test_what_a_killed_worker_has_half_written_does_not_stay(
    options: PrepareOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partition is given to another worker of the same run."""
    write = data.scanning.write_catalog_shard

    def leave_a_half_behind(folder: Path, *rest: Any) -> int:
        (folder / ".part-00000.parquet.0123.tmp").write_bytes(b"half")
        return write(folder, *rest)

    monkeypatch.setattr(data.scanning, "write_catalog_shard", leave_a_half_behind)
    made = ingest(options)
    assert {file.name for file in made.path.iterdir()} == {MANIFEST, *read_manifest(made.path).shards}


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_file_that_comes_out_otherwise_is_told(
    options: PrepareOptions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Any edit of the source gives another directory, so this is an edit that nobody can see."""
    monkeypatch.setattr(data.scanning, "source_fingerprint", lambda source: "same")
    catalog, faces = prepare(options)
    (made_of,) = (options.source / "CK+48" / "happy").glob("S010*10.png")
    tiny.write_png(made_of, tiny.face(5, 5, 77))
    for name in ("part-00000.parquet", "part-00001.parquet", "part-00002.parquet"):
        flip(catalog.path / name)
    with caplog.at_level(logging.WARNING, logger="fer"):
        catalog_again, faces_again = prepare(options, repair=True)
    (told,) = warnings_in(caplog)
    assert "part-00001.parquet was made again and is not what it was" in told
    assert catalog_again.content != catalog.content
    assert faces_again.path != faces.path
    assert not faces_again.reused


def test_a_file_that_comes_out_the_same_is_no_warning(
    options: PrepareOptions, caplog: pytest.LogCaptureFixture
) -> None:
    made = ingest(options)
    flip(made.path / "part-00001.parquet")
    with caplog.at_level(logging.WARNING, logger="fer"):
        ingest(options, repair=True)
    assert warnings_in(caplog) == []


def test_repair_after_an_edit_of_the_source_makes_another_catalog(options: PrepareOptions) -> None:
    made = ingest(options)
    flip(made.path / "part-00001.parquet")
    next((options.source / "CK+48" / "happy").glob("*.png")).touch()
    with pytest.raises(InputError, match="has not been made, or is unfinished, or its source has changed since"):
        prove_catalog.fn(options)
    again = ingest(options, repair=True)
    assert again.path != made.path
    assert damaged_files(made.path) == ["part-00001.parquet"]
    assert damaged_files(again.path) == []


def test_nothing_to_verify(options: PrepareOptions) -> None:
    for prove in (prove_catalog.fn, prove_faces.fn):
        with pytest.raises(InputError, match="there is nothing to verify"):
            prove(options)
    ingest(options)
    with pytest.raises(InputError, match=r"there is nothing to verify: .*/faces/ck_plus-48-"):
        prove_faces.fn(options)


def test_nothing_to_repair_is_an_ordinary_run(options: PrepareOptions) -> None:
    made = ingest(options, repair=True)
    assert (made.reused, made.repaired) == (False, ())


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_tuples(options: PrepareOptions, damage: Callable[[Path], None]) -> None:
    with_tuples = options.model_copy(update={"tuples": "similarity"})
    _, faces = prepare(with_tuples)
    made = write_tuples.fn(with_tuples, faces)
    whole = contents(made.path)
    (name,) = read_manifest(made.path).shards
    damage(made.path / name)
    assert write_tuples.fn(with_tuples, faces, repair=True).repaired == (made.path / name,)
    assert contents(made.path) == whole


def test_using_a_directory_renews_its_time(options: PrepareOptions) -> None:
    made = ingest(options)
    age(made.path)
    ingest(options)
    assert (made.path / MANIFEST).stat().st_mtime_ns > LONG_AGO
    assert touched(made.path) == set()
