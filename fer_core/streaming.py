"""Face crops on an object store: sorted by class, and read in blocks.

A request to an object store takes as long for one picture as for a hundred. So the shards are copied with their rows
sorted by class (within a class in the order of a hash, so that neighbours are a random sample), and a block of
neighbouring pictures is fetched at once. The sampler, told which block each row is in, draws a few blocks of each class
at a time: its batches are as balanced as ever, and each block is fetched about once an epoch.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from upath import UPath

from fer_core.credentials import OF_OBJECT_STORES, require_no_credentials
from fer_core.directories import MANIFEST, read_columns, read_manifest
from fer_core.errors import InputError
from fer_core.estimates.expressions import EXPRESSIONS
from fer_core.estimates.identities import IDENTITIES
from fer_core.files import file_sha256, has_size, write_bytes
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import PictureReader, Places, decode_colour, index_name, read_places, write_picture_shard

CLASS_SORTED = "class"
"""The `order` in the config of a directory whose rows are sorted by class."""
BLOCK = 64
"""Pictures fetched together: about 800 kB at 236 pixels."""
ROWS_A_SHARD = 4096
BLOCKS_IN_MEMORY = 256
"""About 200 MB; ten classes draw from 40 blocks at once."""
CONNECTIONS = 8


def write_class_sorted(faces: Path, folder: Path) -> Iterator[int]:
    """Copy a faces directory's rows into `folder`, sorted by class; gives the rows of each shard once it stands.

    Shards that stand already are left. Memory is that of a shard and of the labels.
    """
    for name in (IDENTITIES, EXPRESSIONS):
        if (faces / name).exists():
            write_bytes(folder / name, (faces / name).read_bytes())
    labels = read_columns(faces, "part-", [name for name in SAMPLE_SCHEMA.names if name != "image"])
    pictures = PictureReader(faces)
    for number, rows in enumerate(_shards_by_class(labels)):
        name = f"part-{number:05d}.parquet"
        if not (folder / index_name(name)).exists():
            image = pa.array(pictures.encoded(rows), pa.binary())
            table = labels.take(pa.array(rows)).append_column("image", image).select(SAMPLE_SCHEMA.names)
            write_picture_shard(folder, name, table)
        yield len(rows)


def _shards_by_class(labels: pa.Table) -> Iterator[np.ndarray]:
    expression = np.array([name or "" for name in labels["expression"].to_pylist()])
    keys = zip(labels["sample_id"].to_pylist(), labels["rotation"].to_pylist(), strict=True)
    hashed = np.array([hashlib.sha256(repr(key).encode()).digest()[:8] for key in keys])
    for name in np.unique(expression):
        rows = np.flatnonzero(expression == name)
        rows = rows[np.argsort(hashed[rows], kind="stable")]
        yield from (rows[start : start + ROWS_A_SHARD] for start in range(0, len(rows), ROWS_A_SHARD))


def upload(directory: Path, destination: Path, look_inside: bool = False) -> None:
    """Copy a finished directory, its manifest last; files that are there are left.

    Args:
        look_inside: whether a file counts as there by its content; else by its size, which costs no reading.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for name, shard in read_manifest(directory).shards.items():
        file = destination / name
        if not has_size(file, shard["bytes"]) or (look_inside and file_sha256(file) != shard["sha256"]):
            file.write_bytes((directory / name).read_bytes())
    (destination / MANIFEST).write_bytes((directory / MANIFEST).read_bytes())


def require_place(uri: str) -> None:
    """Raise InputError unless a path or fsspec URI names a folder that outlives the command.

    Raises:
        InputError: its protocol is unknown, needs a package that is not installed, or keeps nothing; it is empty, or
            carries credentials.
    """
    require_no_credentials(uri, "--stream", OF_OBJECT_STORES)
    try:
        place = UPath(uri)
        is_named = bool(uri) and bool(place.path.strip("/")) and place.protocol != "memory"
    except (ValueError, ImportError, NotImplementedError) as error:
        raise InputError(f"--stream {uri}: {error}") from None
    if not is_named:
        raise InputError(f"--stream {uri!r} names no folder that lasts; give a path or a URI such as s3://bucket/faces")


def try_out(destination: Path) -> None:
    """Make a folder on any file system and write to it, before there is much to lose.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        destination.mkdir(parents=True, exist_ok=True)
        (destination / "written-to").write_bytes(b"")
        (destination / "written-to").unlink()
    except (OSError, NotImplementedError, ImportError) as error:
        raise InputError(f"--stream {destination} cannot be written to: {error or type(error).__name__}") from error


class PictureStream:
    """The pictures of a class-sorted directory on any file system, fetched in blocks and checked one by one.

    Args:
        directory: the class-sorted directory.

    Raises:
        InputError: a shard or an index is missing or damaged.
    """

    def __init__(self, directory: Path) -> None:
        self._places: Places = read_places(directory)
        starts = np.searchsorted(self._places.file_N, np.arange(len(self._places.files)))
        place_in_file = np.arange(len(self._places.file_N)) - starts[self._places.file_N]
        first_of_block = place_in_file % BLOCK == 0
        self._block_N = np.cumsum(first_of_block) - 1
        self._first = np.append(np.flatnonzero(first_of_block), len(self._block_N))
        self._fetched: OrderedDict[int, bytes] = OrderedDict()
        self._pool = ThreadPoolExecutor(CONNECTIONS)
        self.num_requests = 0

    def __len__(self) -> int:
        return len(self._block_N)

    def block_of(self, pictures: np.ndarray) -> np.ndarray | None:
        """The number of the block that each picture is fetched with, int64."""
        return self._block_N[pictures]

    def images(self, pictures: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode pictures of one size into one array: uint8 (B, H, W, 3) RGB, grey repeated.

        Raises:
            InputError: a picture's bytes are not those that were written; the message names the shard.
        """
        asked = np.asarray(pictures, dtype=np.int64)
        block_B = self._block_N[asked]
        blocks = self._fetch(np.unique(block_B).tolist())
        starts = self._places.offset_N[self._first[block_B]]
        data = []
        for (file, offset, length, crc), block, start in zip(
            self._places.of(asked), block_B.tolist(), starts.tolist(), strict=True
        ):
            picture = blocks[block][offset - start : offset - start + length]
            self._places.check(file, crc, picture)
            data.append(picture)
        return np.stack(list(self._pool.map(decode_colour, data)))

    def _fetch(self, needed: list[int]) -> dict[int, bytes]:
        missing = [block for block in needed if block not in self._fetched]
        for block, data in zip(missing, self._pool.map(self._read, missing), strict=True):
            self._fetched[block] = data
        self.num_requests += len(missing)
        found = {block: self._fetched[block] for block in needed}
        for block in needed:
            self._fetched.move_to_end(block)
        while len(self._fetched) > BLOCKS_IN_MEMORY:
            self._fetched.popitem(last=False)
        return found

    def _read(self, block: int) -> bytes:
        first, last = self._first[block], self._first[block + 1] - 1
        file = UPath(self._places.files[self._places.file_N[first]])
        end = self._places.offset_N[last] + self._places.length_N[last]
        return file.fs.cat_file(file.path, start=int(self._places.offset_N[first]), end=int(end))
