"""Shards of pictures, and reading single pictures out of them by position.

A shard stays an ordinary Parquet file. Its `image` column is uncompressed and PLAIN: each value is its length in four
bytes and then its bytes, so a picture can be read on its own where its place is known. The places stand in a side file
`index-NNNNN.parquet`: offset and length in the shard, and the CRC-32 of the bytes. They are found by looking for the
values themselves, so an index that is written has been read back.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from mmap import PROT_READ, mmap
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from isal.isal_zlib import crc32  # zlib's takes as long as reading does

from fer_core.directories import damaged, read_tables, shards_of
from fer_core.files import has_size, write_table

INDEX_SCHEMA = pa.schema([("offset", pa.int64()), ("length", pa.int32()), ("crc32", pa.uint32())])
PAGE_HEADER_AT_MOST = 2**15
"""Bytes between two values where a new page begins; 39 as written here, kilobytes where others add statistics."""
MOST_OPEN_FILES = 256
"""Each takes two descriptors, and a process is often allowed 1,024."""
MOST_THREADS = 8


def index_name(shard: str) -> str:
    """The side file of a shard."""
    return shard.replace("part-", "index-")


def write_picture_shard(folder: Path, shard: str, table: pa.Table) -> None:
    """Write a shard of samples and its index; where the index stands, both are whole."""
    write_table(folder / shard, table)
    write_table(folder / index_name(shard), index_of(folder / shard))


def index_of(file: Path) -> pa.Table:
    """Where each picture of a shard lies, by INDEX_SCHEMA.

    Raises:
        ValueError: the image column is not stored plain.
    """
    rows: list[tuple[int, int, int]] = []
    with pq.ParquetFile(file) as parquet, file.open("rb") as raw:
        for group in range(parquet.num_row_groups):
            start, size = _image_chunk(parquet.metadata.row_group(group))
            raw.seek(start)
            values = parquet.read_row_group(group, columns=["image"])["image"]
            rows += _locate(raw.read(size), values, start, file)
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table(
        [pa.array(list(values), field.type) for values, field in zip(columns, INDEX_SCHEMA, strict=True)],
        schema=INDEX_SCHEMA,
    )


def _image_chunk(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """Where the image column of a row group begins, and its bytes."""
    columns = (group.column(at) for at in range(group.num_columns))
    image = next(column for column in columns if column.path_in_schema == "image")
    return image.data_page_offset, image.total_compressed_size


def _locate(data: bytes, values: pa.ChunkedArray, start: int, file: Path) -> list[tuple[int, int, int]]:
    """(offset in the file, length, crc) of each value, walking from one to the next; page headers are stepped over."""
    found, at = [], 0
    for value in values:
        image = value.as_py()
        stored = len(image).to_bytes(4, "little") + image
        if data[at : at + len(stored)] != stored:
            at = data.find(stored, at, at + len(stored) + PAGE_HEADER_AT_MOST)
            if at < 0:
                raise ValueError(f"{file}: the image column is not stored plain")
        found.append((start + at + 4, len(image), crc32(image)))
        at += len(stored)
    return found


Place = tuple[int, int, int, int]
"""The number of a file, offset, length and CRC-32 of a picture."""


@dataclass(frozen=True)
class Places:
    """Where the pictures of a finished directory lie: for each the number of its file, offset, length and CRC-32.

    Memory is 20 bytes a picture.
    """

    files: list[Path]
    file_N: np.ndarray
    offset_N: np.ndarray
    length_N: np.ndarray
    crc_N: np.ndarray

    def of(self, pictures: np.ndarray) -> Iterator[Place]:
        """File number, offset, length and CRC-32 of pictures; looked up at once, as one by one it takes long."""
        columns = (self.file_N, self.offset_N, self.length_N, self.crc_N)
        return zip(*(column[pictures].tolist() for column in columns), strict=True)

    def check(self, file: int, crc: int, data: bytes | memoryview) -> None:
        """Raise unless `data` are the bytes that were written.

        Raises:
            InputError: they are not; the message names the shard.
        """
        if crc32(data) != crc:
            raise damaged(self.files[file])


def read_places(directory: Path) -> Places:
    """Read the indexes of a finished directory, which may be on any file system.

    Raises:
        InputError: a shard or an index is missing or damaged.
    """
    shards = shards_of(directory, "part-")
    files = [directory / name for name in shards]
    for file, shard in zip(files, shards.values(), strict=True):
        if not has_size(file, shard["bytes"]):
            raise damaged(file)
    index = read_tables(directory, "index-")
    counts = [shard["rows"] for shard in shards.values()]
    if sum(counts) != len(index):
        raise damaged(directory / index_name(next(iter(shards))))
    columns = (index[field.name].to_numpy() for field in INDEX_SCHEMA)
    return Places(files, np.repeat(np.arange(len(files), dtype=np.int32), counts), *columns)


def decode_colour(data: bytes | memoryview) -> np.ndarray:
    """Decode a stored picture: uint8 (H, W, 3) RGB, grey repeated."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None, "the bytes are those that were encoded"
    return image


class _OpenShard(NamedTuple):
    """A shard that is read from: its descriptor, and its bytes, which stay on disk until they are looked at."""

    descriptor: int
    data: memoryview


class PictureReader:
    """The pictures of a local directory, read by position and checked one by one.

    The system is told of a whole batch before its first picture is read, so that a disk can fetch them side by side.
    Shards are mapped into memory: bytes are checked and decoded where the system keeps them, without a copy.

    Not for use by several threads at once; its own threads decode.

    Args:
        directory: a faces directory.
        num_threads: that read and decode.

    Raises:
        InputError: a shard or an index is missing or damaged.
    """

    def __init__(self, directory: Path, num_threads: int | None = None) -> None:
        self._places = read_places(directory)
        self._open: dict[int, _OpenShard] = {}
        self._shape: tuple[int, ...] | None = None
        self._threads = num_threads or min(MOST_THREADS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads)

    def __len__(self) -> int:
        return len(self._places.file_N)

    def __del__(self) -> None:
        for shard in getattr(self, "_open", {}).values():
            os.close(shard.descriptor)

    def block_of(self, pictures: np.ndarray) -> np.ndarray | None:
        """None: each picture is read by itself."""
        return None

    def encoded(self, pictures: Sequence[int] | np.ndarray) -> list[memoryview]:
        """The bytes of pictures, in the order asked for: views of the shards.

        Raises:
            InputError: a picture's bytes are not those that were written; the message names the shard.
        """
        found = []
        for places in self._ready(pictures):
            found += [self._read(*place) for place in places]
        return found

    def images(self, pictures: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode pictures of one size into one array: uint8 (B, H, W, 3) RGB, grey repeated.

        Raises:
            InputError: as `encoded`.
        """
        batch = np.empty((0, 0, 0, 3), np.uint8)
        filled = 0
        for places in self._ready(pictures):
            if not filled:
                self._shape = self._shape or decode_colour(self._read(*places[0])).shape
                batch = np.empty((len(pictures), *self._shape), np.uint8)
            into = batch[filled : filled + len(places)]
            turns = range(self._threads)
            list(self._pool.map(self._decode_into, [into] * self._threads, [places] * self._threads, turns))
            filled += len(places)
        return batch

    def _decode_into(self, batch: np.ndarray, places: list[Place], turn: int) -> None:
        """Decode every so many-th picture, as many as there are threads."""
        for at in range(turn, len(places), self._threads):
            batch[at] = decode_colour(self._read(*places[at]))

    def _read(self, file: int, offset: int, length: int, crc: int) -> memoryview:
        data = self._open[file].data[offset : offset + length]
        self._places.check(file, crc, data)
        return data

    def _ready(self, pictures: Sequence[int] | np.ndarray) -> Iterator[list[Place]]:
        """The places of pictures, in parts whose shards can be open at once; when a part is given they are."""
        asked = np.asarray(pictures, dtype=np.int64)
        for start in range(0, len(asked), MOST_OPEN_FILES):
            places = list(self._places.of(asked[start : start + MOST_OPEN_FILES]))
            self._open_files({file for file, *_ in places})
            for file, offset, length, _ in places:
                os.posix_fadvise(self._open[file].descriptor, offset, length, os.POSIX_FADV_WILLNEED)
            yield places

    def _open_files(self, needed: set[int]) -> None:
        for file in needed - self._open.keys():
            if len(self._open) >= MOST_OPEN_FILES:
                os.close(self._open.pop(next(at for at in self._open if at not in needed)).descriptor)
            descriptor = os.open(self._places.files[file], os.O_RDONLY)
            self._open[file] = _OpenShard(descriptor, memoryview(mmap(descriptor, 0, prot=PROT_READ)))
        for file in needed:  # reading beyond the end of a file that was cut since would end the process
            if os.fstat(self._open[file].descriptor).st_size != len(self._open[file].data):
                raise damaged(self._places.files[file])
