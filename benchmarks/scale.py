"""Time and memory of the data plane by size: a generated catalog is scanned, written, split, tupled and indexed.

    python -m benchmarks.scale [--sizes 10000 100000 1000000] [--json]

Each step runs in a process of its own, so that its peak memory is its own. The rows are those of the synthetic data
set (people, expressions, degrees, yaws); the pictures are small random bytes, as what is measured is the plane and not
the decoder. Written: Parquet shards of 256 rows with their index. Split: labels read back and subjects dealt to train
and test. Tupled: five-tuples of one epoch. Indexed: the reader opened, and the median of random batches of 96.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.datasets import REGISTRY
from fer_core.datasets.synthetic import SyntheticOptions
from fer_core.directories import Directory, shards_of
from fer_core.folds import Part
from fer_core.ingest.scanning import SCAN, files_of, write_scan
from fer_core.pose import view_of
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import PictureReader, write_picture_shard
from fer_core.tuple_shards import read_samples, write_five_tuples

SIZES = (10_000, 100_000, 1_000_000)
ROWS_A_SHARD, PICTURE_BYTES, ROWS_A_PERSON = 256, 1024, 16
STEPS = ("nothing", "scan", "write", "split", "tuples", "open")


def directory(work: Path) -> Directory:
    return Directory(work, "faces", kind="faces", config={}, inputs={}, code="benchmark")


def nothing(work: Path, num_rows: int) -> None:
    """What a process has for its imports alone."""


def scan(work: Path, num_rows: int) -> None:
    options = SyntheticOptions(identities=num_rows // ROWS_A_PERSON, takes=2, max_yaw=45)
    faces = directory(work)
    faces.start()
    write_scan(faces.path, REGISTRY["synthetic"].stream(None, options), ROWS_A_SHARD)


def write(work: Path, num_rows: int) -> None:
    faces, rng = directory(work), np.random.default_rng(0)
    for file in sorted((faces.path / SCAN).glob("*.parquet")):
        rows = pq.read_table(file).to_pylist()
        for row in rows:
            row |= {"sample_id": row["source_path"], "rotation": 0.0, "image": rng.bytes(PICTURE_BYTES)}
            row["pose_bin"] = view_of(row["pose_yaw"])
        write_picture_shard(faces.path, f"part-{file.name}", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    faces.finish(files_of(faces.path), {})


def split(work: Path, num_rows: int) -> None:
    read_samples(directory(work).path, Part(), 0)


def tuples(work: Path, num_rows: int) -> None:
    write_five_tuples(work, read_samples(directory(work).path, Part(), 0), 0, 0)


def open_(work: Path, num_rows: int) -> dict[str, float]:
    reader = PictureReader(directory(work).path)
    batches = np.random.default_rng(0).integers(0, len(reader), (200, 96))
    spent = []
    for batch in batches:
        start = time.perf_counter()
        reader.encoded(batch)
        spent.append(time.perf_counter() - start)
    shards = len(shards_of(directory(work).path, "part-"))
    return {"batch_ms": 1e3 * statistics.median(spent), "shards": shards}


def step(name: str, work: Path, num_rows: int) -> dict[str, Any]:
    """Run a step here and give its seconds and this process's peak memory."""
    start = time.perf_counter()
    told = {"nothing": nothing, "scan": scan, "write": write, "split": split, "tuples": tuples, "open": open_}[name](
        work, num_rows
    )
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_mb": peak_bytes() / 2**20, **(told or {})}


def peak_bytes() -> int:
    """Of this process' memory so far; getrusage would count the memory of the process that started it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.step:
        print(json.dumps(step(options.step, options.work, options.sizes[0])))
        return
    table = {size: measure(size) for size in options.sizes}
    print(f"{'rows':>10}" + "".join(f"{name + ' s':>11}{'MB':>7}" for name in STEPS) + f"{'batch ms':>10}")
    for size, found in table.items():
        cells = "".join(f"{found[name]['seconds']:>11.2f}{found[name]['peak_mb']:>7.0f}" for name in STEPS)
        print(f"{size:>10}{cells}{found['open']['batch_ms']:>10.2f}")
    if options.json:
        print(json.dumps(table))


def measure(size: int) -> dict[str, dict[str, Any]]:
    """All steps of a size, each in a new process."""
    with tempfile.TemporaryDirectory(prefix="fer-scale-") as work:
        found = {}
        for name in STEPS:
            command = [sys.executable, "-m", "benchmarks.scale", "--step", name, "--work", work, "--sizes", str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
