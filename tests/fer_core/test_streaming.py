from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from upath import UPath

from fer_core import streaming
from fer_core.directories import MANIFEST, Directory, read_manifest, read_tables
from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.reading import read_faces
from fer_core.records import SAMPLE_SCHEMA
from fer_core.sampling.balanced import BalancedSampler
from fer_core.shards import PictureReader, write_picture_shard
from fer_core.streaming import CLASS_SORTED, PictureStream, require_place, upload, write_class_sorted

CLASSES = ("anger", "fear", "happiness", None)
BLOCK, ROWS_A_SHARD = 8, 40


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Blocks of 8 pictures and shards of 5 blocks."""
    monkeypatch.setattr(streaming, "BLOCK", BLOCK)
    monkeypatch.setattr(streaming, "ROWS_A_SHARD", ROWS_A_SHARD)


def rows_of(count: int, share_tested: float = 0.2) -> list[dict]:
    """Rows of three expressions and of none, each picture of a colour that no other has."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        image = np.full((6, 6, 3), (number % 256, number // 256, 7), np.uint8)
        rows.append(
            {
                "sample_id": f"{number:016x}",
                "expression": CLASSES[rng.choice(4, p=(0.5, 0.3, 0.15, 0.05))],
                "split": "test" if rng.random() < share_tested else "train",
                "rotation": 0.0,
                "action_units": [(1, 0.5)] if number % 2 else None,
                "image": cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes(),
            }
        )
    return rows


def finished(root: Path, name: str, write, **config) -> Path:
    made = Directory(root, name, kind="faces", config=config, inputs={}, code="test")
    made.start()
    write(made.path)
    made.finish([file.name for file in made.path.glob("*.parquet")], {})
    return made.path


def faces_of(root: Path, rows: list[dict]) -> Path:
    def write(folder: Path) -> None:
        for number, start in enumerate(range(0, len(rows), 100)):
            table = pa.Table.from_pylist(rows[start : start + 100], schema=SAMPLE_SCHEMA)
            write_picture_shard(folder, f"part-{number:05d}.parquet", table)

    return finished(root, "faces", write, margin=0)


def sorted_copy(root: Path, faces: Path) -> Path:
    return finished(root, "sorted", lambda folder: list(write_class_sorted(faces, folder)), order=CLASS_SORTED)


@pytest.fixture
def faces(tmp_path):
    return faces_of(tmp_path, rows_of(330))


@pytest.fixture
def copy(tmp_path, faces):
    return sorted_copy(tmp_path, faces)


@pytest.fixture(params=["memory", "file"])
def remote(request, tmp_path, copy):
    """The class-sorted copy on a file system that fsspec reaches."""
    place = f"memory://bucket{tmp_path}" if request.param == "memory" else f"file://{tmp_path}/bucket"
    upload(copy, UPath(place) / copy.name)
    return UPath(place) / copy.name


def by_id(table: pa.Table) -> dict:
    return {row["sample_id"]: row for row in table.to_pylist()}


def test_the_copy_holds_the_same_rows_with_those_of_a_class_together(faces, copy):
    table = read_tables(copy, "part-")
    assert table.schema.equals(SAMPLE_SCHEMA)
    assert by_id(table) == by_id(read_tables(faces, "part-"))
    shards = [read_tables(copy, name) for name in read_manifest(copy).shards if name.startswith("part-")]
    assert all(0 < len(shard) <= ROWS_A_SHARD for shard in shards)
    of_shard = [set(shard["expression"].to_pylist()) for shard in shards]
    assert all(len(names) == 1 for names in of_shard)
    order = [next(iter(names)) or "" for names in of_shard]
    assert order == sorted(order)


def test_neighbours_in_a_class_are_a_random_sample(copy):
    """Ids rise with the rows of the source; sorted by a hash they are not correlated with their place."""
    table = read_tables(copy, "part-")
    ids = [int(row["sample_id"], 16) for row in table.to_pylist() if row["expression"] == "anger"]
    assert abs(np.corrcoef(ids, np.arange(len(ids)))[0, 1]) < 3 / np.sqrt(len(ids))


def test_the_copy_goes_by_the_rows_and_not_by_their_shards(tmp_path, copy):
    rows = rows_of(330)
    other = sorted_copy(tmp_path / "other", faces_of(tmp_path / "other", [*rows[200:], *rows[:200]]))
    assert read_manifest(other).content == read_manifest(copy).content


def test_a_copy_that_was_cut_off_goes_on_and_ends_with_the_same_bytes(tmp_path, faces, copy, monkeypatch):
    folder = tmp_path / "cut"
    folder.mkdir()
    for _, _ in zip(range(3), write_class_sorted(faces, folder), strict=False):
        pass
    (folder / "index-00001.parquet").unlink()  # killed between a shard and its index
    written = []
    write = streaming.write_picture_shard
    monkeypatch.setattr(streaming, "write_picture_shard", lambda *args: written.append(args[1]) or write(*args))
    assert sum(write_class_sorted(faces, folder)) == 330
    assert "part-00001.parquet" in written
    assert "part-00000.parquet" not in written
    for name in read_manifest(copy).shards:
        assert (folder / name).read_bytes() == (copy / name).read_bytes()


def test_an_upload_that_was_cut_off_goes_on_with_what_is_missing_or_cut(remote, copy, monkeypatch):
    (remote / MANIFEST).unlink()
    (remote / "part-00000.parquet").write_bytes(b"half")
    (remote / "index-00001.parquet").unlink()
    written = []
    write = type(remote).write_bytes
    monkeypatch.setattr(type(remote), "write_bytes", lambda self, data: written.append(self.name) or write(self, data))
    upload(copy, remote)
    assert written == ["index-00001.parquet", "part-00000.parquet", MANIFEST]
    for name in (MANIFEST, *read_manifest(copy).shards):
        assert (remote / name).read_bytes() == (copy / name).read_bytes()


def test_an_upload_that_looks_inside_replaces_what_differs_in_content_alone(remote, copy, monkeypatch):
    file = remote / "part-00001.parquet"
    file.write_bytes(b"\0" * file.stat().st_size)
    written = []
    write = type(remote).write_bytes
    monkeypatch.setattr(type(remote), "write_bytes", lambda self, data: written.append(self.name) or write(self, data))
    upload(copy, remote)
    assert written == [MANIFEST]
    upload(copy, remote, look_inside=True)
    assert written == [MANIFEST, "part-00001.parquet", MANIFEST]
    assert file.read_bytes() == (copy / file.name).read_bytes()


@pytest.mark.parametrize("uri", ["", "/", "file:///", "memory://faces", "nothing://bucket/faces"])
def test_a_place_that_does_not_last_is_refused(uri):
    with pytest.raises(InputError, match="--stream"):
        require_place(uri)


def test_a_folder_is_a_place(tmp_path):
    require_place(str(tmp_path))
    require_place(f"file://{tmp_path}/faces")


def test_a_stream_gives_the_pictures_of_the_reader(remote, copy):
    stream, reader = PictureStream(remote), PictureReader(copy)
    assert len(stream) == len(reader) == 330
    rng = np.random.default_rng(0)
    for pictures in (range(330), [329, 0, 40, 39, 0, 0], rng.permutation(330)[:50]):
        np.testing.assert_array_equal(stream.images(pictures), reader.images(pictures))


def test_a_faces_table_of_the_copy_is_that_of_the_faces(remote, faces):
    here, there = read_faces(faces, Part(), seed=0), read_faces(remote, Part(), seed=0)
    assert there.classes == here.classes
    order = np.argsort(there.sample_id)
    for name in ("sample_id", "role", "label", "rotation"):
        np.testing.assert_array_equal(getattr(there, name)[order], getattr(here, name))
    np.testing.assert_array_equal(there.images(order), here.images(range(len(order))))
    assert here.block_of(order) is None
    blocks = there.block_of(np.argsort(there.picture))
    assert (np.diff(blocks) >= 0).all()
    assert np.bincount(blocks).max() == BLOCK


def test_a_block_is_fetched_once_while_it_is_remembered(copy):
    stream = PictureStream(copy)
    stream.images([0, 7, 3])
    assert stream.num_requests == 1
    stream.images([0, 8, 15, 1])
    assert stream.num_requests == 2
    stream.images([40])  # the first of the next shard
    assert stream.num_requests == 3


def test_memory_is_bounded_by_blocks_and_the_oldest_go_first(copy, monkeypatch):
    monkeypatch.setattr(streaming, "BLOCKS_IN_MEMORY", 3)
    stream = PictureStream(copy)
    stream.images([0, 8, 16])
    stream.images([0])
    stream.images([24])
    assert stream.num_requests == 4
    stream.images([0, 16, 24])
    assert stream.num_requests == 4
    stream.images([8])
    assert stream.num_requests == 5
    assert len(stream.images(range(40))) == 40  # more at once than are remembered


def test_a_damaged_block_is_found_when_it_is_read_and_named(remote, copy):
    stream = PictureStream(remote)
    file = remote / "part-00002.parquet"
    data = bytearray((copy / "part-00002.parquet").read_bytes())
    first = 2 * ROWS_A_SHARD
    data[int(stream._places.offset_N[first + 3]) + 5] ^= 4
    file.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"part-00002\.parquet is missing or damaged"):
        stream.images([first, first + 3])
    assert len(stream.images([first, first + 2])) == 2


@pytest.mark.parametrize("name", ["part-00001.parquet", "index-00001.parquet"])
def test_a_cut_or_missing_file_is_named_before_anything_is_streamed(remote, name):
    data = (remote / name).read_bytes()
    (remote / name).write_bytes(data[:-1])
    with pytest.raises(InputError, match=rf"{name} is missing or damaged"):
        PictureStream(remote)
    (remote / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing or damaged"):
        PictureStream(remote)


def test_an_unfinished_upload_is_no_directory(remote):
    (remote / MANIFEST).unlink()
    with pytest.raises(InputError, match="has no manifest"):
        PictureStream(remote)


def requests_of_an_epoch(directory: Path, in_blocks: bool) -> tuple[int, int]:
    """(requests, rows drawn) of a balanced training epoch."""
    faces = read_faces(directory, Part(), seed=0)
    rows = faces.rows_of("train", upright=False)
    sampler = BalancedSampler(faces.label[rows], 12, 0, faces.block_of(rows) if in_blocks else None)
    for step in range(sampler.steps_per_epoch):
        faces.images(rows[sampler.batch(0, step)])
    return faces.pictures.num_requests, sampler.steps_per_epoch * sampler.rows_per_batch


@pytest.mark.parametrize(("share_tested", "times"), [(0.01, 1.15), (0.2, 1.4)])
def test_an_epoch_asks_about_once_for_each_block_that_it_draws(tmp_path, monkeypatch, share_tested, times):
    """Blocks hold test rows too, so a fifth of what they bring is not drawn."""
    monkeypatch.setattr(streaming, "BLOCKS_IN_MEMORY", 3 * 3 * 4)  # three classes draw from four times three blocks
    copy = sorted_copy(tmp_path, faces_of(tmp_path, rows_of(1_500, share_tested)))
    by_block, drawn = requests_of_an_epoch(copy, True)
    by_row, _ = requests_of_an_epoch(copy, False)
    assert by_block < times * drawn / BLOCK
    assert by_block < by_row / 3
    assert by_row < drawn
