import gc
import os
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_core import shards
from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import INDEX_SCHEMA, PictureReader, index_name, index_of, read_places, write_picture_shard

RNG = np.random.default_rng(0)
SIDE = 12


def picture(number: int, colour: bool = True) -> np.ndarray:
    """A picture that no other number has: uint8 (SIDE, SIDE, 3), or grey (SIDE, SIDE)."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (SIDE, SIDE, 3) if colour else (SIDE, SIDE), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def table_of(images: list[bytes], **known) -> pa.Table:
    rows = [{"sample_id": f"{number:016x}", **known, "image": image} for number, image in enumerate(images)]
    return pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)


def numbered(start: int, stop: int) -> pa.Table:
    """Every other picture is grey."""
    return table_of([png(picture(number, number % 2 == 0)) for number in range(start, stop)])


def directory_of(root: Path, tables: list[pa.Table]) -> Path:
    made = Directory(root, "faces", kind="faces", config={}, inputs={}, code="test")
    made.start()
    for number, table in enumerate(tables):
        write_picture_shard(made.path, f"part-{number:05d}.parquet", table)
    made.finish([file.name for file in made.path.glob("*.parquet")], {})
    return made.path


@pytest.fixture
def directory(tmp_path):
    """23 pictures in shards of 7, 0, 1, 10 and 5; every other one is grey."""
    return directory_of(tmp_path, [numbered(*span) for span in ((0, 7), (7, 7), (7, 8), (8, 18), (18, 23))])


def places_by_index(file: Path, index: pa.Table) -> list[bytes]:
    data = file.read_bytes()
    return [data[row["offset"] : row["offset"] + row["length"]] for row in index.to_pylist()]


def random_images(count: int, most: int = 3_000) -> list[bytes]:
    return [RNG.bytes(int(size)) for size in RNG.integers(1, most, count)]


@pytest.mark.parametrize(
    "images",
    [
        [],
        [b"\x89PNG one"],
        [b""],
        [b"", b"", b"a", b""],
        [b"same"] * 50,
        [b"\0" * size for size in (0, 1, 4, 8, 3, 100)],
        [(9).to_bytes(4, "little") + b"\x09\0\0\0\x09\0\0\0"] * 9,  # values that look like lengths
        random_images(300),
    ],
    ids=["none", "one", "one of no bytes", "some of no bytes", "alike", "zeros", "lengths", "random"],
)
def test_the_index_says_where_the_pictures_are(tmp_path, images):
    write_picture_shard(tmp_path, "part-00007.parquet", table_of(images))
    index = pq.read_table(tmp_path / "index-00007.parquet")
    assert index.schema.equals(INDEX_SCHEMA)
    assert places_by_index(tmp_path / "part-00007.parquet", index) == images


def test_nulls_and_values_in_other_columns_do_not_matter(tmp_path):
    images = random_images(40, 200)
    rows = [
        {
            "image": image,
            "expression": ("fear", None)[number % 2],
            "landmarks": None if number % 3 else [1.0] * number,
            "action_units": [(1, 0.5)] if number % 5 else None,
            "source_path": images[0].hex(),
        }
        for number, image in enumerate(images)
    ]
    write_picture_shard(tmp_path, "part-00000.parquet", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    index = pq.read_table(tmp_path / "index-00000.parquet")
    assert places_by_index(tmp_path / "part-00000.parquet", index) == images


@pytest.mark.parametrize(
    "layout",
    [
        {"data_page_size": 500},
        {"data_page_size": 500, "row_group_size": 17},
        {"data_page_size": 1, "write_batch_size": 1, "data_page_version": "2.0"},
        {"row_group_size": 1, "write_statistics": True, "write_page_checksum": True},
        {"write_page_index": True, "data_page_size": 4_000, "write_batch_size": 3},
    ],
    ids=["small pages", "row groups too", "a page a picture", "a group a picture", "statistics and page index"],
)
def test_shards_that_other_writers_lay_out_can_be_indexed(tmp_path, layout):
    images, file = random_images(100, 800), tmp_path / "part-00000.parquet"
    pq.write_table(table_of(images), file, **{"compression": "none", "use_dictionary": False, **layout})
    assert places_by_index(file, index_of(file)) == images


@pytest.mark.parametrize("layout", [{"compression": "zstd"}, {"compression": "snappy"}, {"use_dictionary": ["image"]}])
def test_pictures_that_are_not_stored_plain_are_an_error(tmp_path, layout):
    file = tmp_path / "part-00000.parquet"
    plain = {"compression": "none", "use_dictionary": False}
    pq.write_table(table_of([b"abcd" * 50, b"efgh" * 50] * 20), file, **{**plain, **layout})
    with pytest.raises(ValueError, match=r"part-00000\.parquet: the image column is not stored plain"):
        index_of(file)


def test_a_shard_is_read_by_anyone_who_reads_parquet(directory):
    table = pq.read_table(directory / "part-00003.parquet")
    assert table.schema.equals(SAMPLE_SCHEMA)
    assert table["image"].to_pylist() == numbered(8, 18)["image"].to_pylist()


def test_the_same_table_gives_the_same_shard_and_index(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_picture_shard(tmp_path / name, "part-00000.parquet", numbered(0, 5))
    for name in ("part-00000.parquet", index_name("part-00000.parquet")):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


ORDERS = {
    "all": list(range(23)),
    "backwards": list(range(22, -1, -1)),
    "across shards": [22, 0, 7, 8, 6, 17, 18],
    "again and again": [3, 3, 7, 3, 22, 22, 3],
    "one": [9],
}


@pytest.mark.parametrize("most_open", [3, 1, 512])
@pytest.mark.parametrize("pictures", ORDERS.values(), ids=ORDERS)
def test_pictures_come_as_they_were_asked_for(directory, monkeypatch, pictures, most_open):
    monkeypatch.setattr(shards, "MOST_OPEN_FILES", most_open)
    reader = PictureReader(directory, num_threads=2)
    assert len(reader) == 23
    images = reader.images(pictures)
    assert (images.shape, images.dtype) == ((len(pictures), SIDE, SIDE, 3), np.uint8)
    for image, number in zip(images, pictures, strict=True):
        expected = picture(number, number % 2 == 0)
        np.testing.assert_array_equal(image, expected if expected.ndim == 3 else np.dstack([expected] * 3))
    assert reader.encoded(np.array(pictures)) == [png(picture(number, number % 2 == 0)) for number in pictures]
    assert len(reader.encoded([])) == len(reader.images([])) == 0


def open_files(directory: Path) -> int:
    return sum(str(directory) in os.readlink(f"/proc/self/fd/{name}") for name in descriptors())


def descriptors() -> list[str]:
    return [name for name in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{name}")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors by /proc")
def test_few_files_are_open_at_once_and_none_afterwards(directory, monkeypatch):
    monkeypatch.setattr(shards, "MOST_OPEN_FILES", 3)
    reader = PictureReader(directory)
    assert open_files(directory) == 0
    for pictures in ORDERS.values():
        reader.images(pictures)
        assert 1 <= open_files(directory) <= 2 * 3  # ours and that of the mapping
    del reader
    gc.collect()
    assert open_files(directory) == 0


@pytest.mark.parametrize("num_threads", [1, 5])
def test_the_number_of_threads_changes_nothing(directory, num_threads):
    np.testing.assert_array_equal(
        PictureReader(directory, num_threads).images(range(23)), PictureReader(directory, 2).images(range(23))
    )


def test_an_empty_directory_of_pictures_has_none(tmp_path):
    reader = PictureReader(directory_of(tmp_path, [numbered(0, 0)]))
    assert (len(reader), len(reader.images([]))) == (0, 0)


def test_any_flipped_bit_of_a_picture_is_found_and_the_shard_named(directory):
    reader, places = PictureReader(directory), read_places(directory)
    file = directory / "part-00003.parquet"
    whole = file.read_bytes()
    start, length = int(places.offset_N[9]), int(places.length_N[9])
    for at in range(start, start + length, 7):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        file.write_bytes(data)
        with pytest.raises(InputError, match=r"part-00003\.parquet is missing or damaged"):
            reader.images([8, 9])
    assert len(reader.images([8, 10])) == 2  # the others are whole
    file.write_bytes(whole[: start + length - 1])
    with pytest.raises(InputError, match=r"part-00003\.parquet is missing or damaged"):
        reader.encoded([9])


def change_size(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *((name, harm) for name in ("part-00003.parquet", "index-00003.parquet") for harm in (change_size, cut)),
        ("index-00003.parquet", flip),
        ("part-00003.parquet", Path.unlink),
        ("index-00003.parquet", Path.unlink),
    ],
)
def test_a_damaged_or_missing_file_is_found_before_anything_is_read(directory, name, harm):
    harm(directory / name)
    with pytest.raises(InputError, match=rf"{name} is missing or damaged"):
        PictureReader(directory)


def test_an_index_of_other_pictures_is_found(tmp_path):
    made = Directory(tmp_path, "faces", kind="faces", config={}, inputs={}, code="test")
    made.start()
    write_picture_shard(made.path, "part-00000.parquet", numbered(0, 4))
    index = (made.path / "index-00000.parquet").read_bytes()
    write_picture_shard(made.path, "part-00000.parquet", numbered(0, 5))
    (made.path / "index-00000.parquet").write_bytes(index)
    made.finish([file.name for file in made.path.glob("*.parquet")], {})
    with pytest.raises(InputError, match=r"index-00000\.parquet is missing or damaged"):
        PictureReader(made.path)


def test_a_shard_that_is_cut_while_it_is_read_from_is_named_and_does_not_end_the_process(directory):
    reader = PictureReader(directory)
    reader.images([0])
    shard = directory / "part-00000.parquet"
    os.truncate(shard, shard.stat().st_size // 2)
    with pytest.raises(InputError, match=r"part-00000.parquet is missing or damaged"):
        reader.images([0])
