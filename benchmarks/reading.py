"""Time balanced random batches of face crops: shards by position against what people use instead.

    python -m benchmarks.reading [--rows 20000] [--json]

Peers: a folder of JPEG files read by threads, Hugging Face datasets, MosaicML streaming; the last two need
benchmarks/requirements.txt. All read the same pictures (236 pixels, JPEG quality 95) from the page cache, the same
batches of 96 in the same order, in turn in one process, with two threads where they have threads of their own to use;
once the bytes alone and once decoded by the same decoder. Medians over rounds of 20 batches of a second epoch.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from fer_core.directories import Directory
from fer_core.faces.warp import encode
from fer_core.records import SAMPLE_SCHEMA
from fer_core.sampling.balanced import BalancedSampler
from fer_core.shards import PictureReader, decode_colour, index_name, write_picture_shard
from fer_core.synthetic import Face, render
from fer_core.vocabulary import EIGHT

SIDE, ROWS_A_SHARD, BATCH, THREADS = 236, 1280, 96, 2
SMOOTHING = 0.85
NUM_FACES, NUM_ROUNDS, BATCHES_A_ROUND = 64, 7, 20

Read = Callable[[np.ndarray], list[bytes]]


def faces() -> list[bytes]:
    """Encoded crops, smoothed to the size of real ones: 13.3 kB on average for KDEF's (`prepare --dataset kdef`)."""
    made = []
    for number in range(NUM_FACES):
        picture, _ = render(Face(number, EIGHT[number % 8], 0.8, 0.0, 0), SIDE)
        made.append(encode(cv2.GaussianBlur(picture, (0, 0), SMOOTHING)))
    return made


def write_shards(folder: Path, pictures: list[bytes], labels: np.ndarray) -> Path:
    """The form this pipeline writes."""
    directory = Directory(folder, "faces", kind="faces", config={}, inputs={}, code="benchmark")
    directory.start()
    files = []
    for number, start in enumerate(range(0, len(labels), ROWS_A_SHARD)):
        name = f"part-{number:05d}.parquet"
        rows = [
            {"sample_id": f"{row:016x}", "expression": EIGHT[labels[row]], "image": pictures[row % len(pictures)]}
            for row in range(start, min(start + ROWS_A_SHARD, len(labels)))
        ]
        write_picture_shard(directory.path, name, pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
        files += [name, index_name(name)]
    directory.finish(files, {})
    return directory.path


def folder_of_files(folder: Path, pictures: list[bytes], labels: np.ndarray, pool: ThreadPoolExecutor) -> Read:
    """A file a picture in a folder a class."""
    files = [folder / EIGHT[label] / f"{row:06d}.jpg" for row, label in enumerate(labels.tolist())]
    for name in EIGHT:
        (folder / name).mkdir(parents=True)
    for row, file in enumerate(files):
        file.write_bytes(pictures[row % len(pictures)])
    return lambda rows: list(pool.map(lambda row: files[row].read_bytes(), rows.tolist()))


def hugging_face(folder: Path, pictures: list[bytes], labels: np.ndarray) -> Read:
    """An Arrow data set, memory-mapped."""
    import datasets

    datasets.disable_progress_bars()
    features = datasets.Features({"image": datasets.Value("binary"), "label": datasets.Value("int64")})

    def rows() -> Iterator[dict[str, Any]]:
        for row, label in enumerate(labels.tolist()):
            yield {"image": pictures[row % len(pictures)], "label": label}

    made = datasets.Dataset.from_generator(rows, features=features, cache_dir=str(folder))
    return lambda rows: made[rows.tolist()]["image"]


def mosaic(folder: Path, pictures: list[bytes], labels: np.ndarray) -> Read:
    """MDS shards, read at random by index."""
    without_torchvision()
    from streaming import MDSWriter, StreamingDataset

    with MDSWriter(out=str(folder), columns={"image": "bytes", "label": "int"}) as writer:
        for row, label in enumerate(labels.tolist()):
            writer.write({"image": pictures[row % len(pictures)], "label": label})
    made = StreamingDataset(local=str(folder), batch_size=1, shuffle=False)
    return lambda rows: [made[row]["image"] for row in rows.tolist()]


def without_torchvision() -> None:
    """Let `streaming` import: it wants torchvision, for data sets that are not used here, which CPU torch has not."""
    for name, attributes in (
        ("", ()),
        (".datasets", ("VisionDataset",)),
        (".transforms", ()),
        (".transforms.functional", ("to_tensor",)),
    ):
        module = types.ModuleType("torchvision" + name)
        module.__spec__ = ModuleSpec(module.__name__, None)
        vars(module).update(dict.fromkeys(attributes, object))
        sys.modules.setdefault(module.__name__, module)


def decoded(read: Read, pool: ThreadPoolExecutor) -> Callable[[np.ndarray], np.ndarray]:
    """A reader's batches, decoded by the pool into one array."""

    def batch(rows: np.ndarray) -> np.ndarray:
        return decode_all(read(rows), pool)

    return batch


def decode_all(data: list[bytes], pool: ThreadPoolExecutor) -> np.ndarray:
    """The decoder's own work: bytes in memory to one array, on two threads."""
    batch = np.empty((len(data), SIDE, SIDE, 3), np.uint8)

    def fill(places: np.ndarray) -> None:
        for place in places.tolist():
            batch[place] = decode_colour(data[place])

    list(pool.map(fill, np.array_split(np.arange(len(data)), THREADS)))
    return batch


def rates(ways: dict[str, Callable[[np.ndarray], Any]], sampler: BalancedSampler) -> dict[str, float]:
    """Pictures a second of each way, the median of rounds that take turns, once an epoch has been read."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        for step in range(sampler.steps_per_epoch):
            way(sampler.batch(0, step))
    for turn in range(NUM_ROUNDS):
        batches = [sampler.batch(1, turn * BATCHES_A_ROUND + at) for at in range(BATCHES_A_ROUND)]
        for name, way in ways.items():
            start = time.perf_counter()
            for rows in batches:
                way(rows)
            spent[name].append(time.perf_counter() - start)
    return {name: BATCHES_A_ROUND * BATCH / statistics.median(times) for name, times in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    work = Path(tempfile.mkdtemp(prefix="fer-reading-"))
    try:
        result = measure(work, options.rows)
    finally:
        shutil.rmtree(work)
    if options.json:
        print(json.dumps(result))


def measure(work: Path, num_rows: int) -> dict[str, Any]:
    """Write all forms below `work`, time them, print the table."""
    pictures, pool = faces(), ThreadPoolExecutor(THREADS)
    labels = np.random.default_rng(1).permutation(np.arange(num_rows) % 8)
    reader = PictureReader(write_shards(work, pictures, labels), THREADS)
    ways: dict[str, Read] = {
        "shards by position": reader.encoded,
        "folder of files": folder_of_files(work / "files", pictures, labels, pool),
    }
    for name, peer in (("Hugging Face datasets", hugging_face), ("MosaicML streaming", mosaic)):
        try:
            ways[name] = peer(work / name.split()[0], pictures, labels)
        except ImportError as error:
            print(f"{name} is left out: {error}; pip install -r benchmarks/requirements.txt")
    sampler = BalancedSampler(labels, BATCH, seed=0)
    rows = sampler.batch(0, 0)
    expected = reader.encoded(rows)
    for name, read in ways.items():
        assert read(rows) == expected, f"{name} gives other pictures"
    data = reader.encoded(rows)
    with_decode: dict[str, Callable[[np.ndarray], Any]] = {"shards by position": reader.images}
    with_decode |= {name: decoded(read, pool) for name, read in ways.items() if read is not ways["shards by position"]}
    with_decode["decoder alone, bytes in memory"] = lambda rows: decode_all(data, pool)
    bytes_a_second, images_a_second = rates(dict(ways), sampler), rates(with_decode, sampler)
    size = np.mean([len(picture) for picture in pictures])
    print(f"{num_rows} rows of {size / 1000:.1f} kB, batches of {BATCH}, {THREADS} threads")
    _print("bytes", bytes_a_second)
    _print("decoded", images_a_second)
    return {"rows": num_rows, "bytes": bytes_a_second, "decoded": images_a_second}


def _print(title: str, found: dict[str, float]) -> None:
    own = found["shards by position"]
    print(f"\n{title:<32}{'pictures/s':>12}{'ours is':>10}")
    for name, rate in found.items():
        print(f"{name:<32}{rate:>12.0f}{own / rate:>9.2f}x")


if __name__ == "__main__":
    main()
