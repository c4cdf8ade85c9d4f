"""Time ingest and prepare of a whole data set, say where the time goes, and how memory grows with the pictures.

    python -m benchmarks.ingest --dataset kdef --source KDEF
    python -m benchmarks.ingest --memory 10000 100000

The first runs the `prepare` command in a process of its own (pictures a second of each stage, peak memory of that
process), and then some partitions in this process, on one thread, with a clock around reading and decoding, detection,
warp, encoding and writing. The second makes 48x48 pictures in FER+'s layout, so many as asked for, and runs the
command on them: the peak should not grow.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from fer_core import pictures
from fer_core.faces import crop, finding, warp
from fer_core.ingest import scanning
from fer_core.options.stages import PrepareOptions
from fer_core.shards import write_picture_shard

PARTITIONS, ROWS = 4, 256
KINDS = 64
"""Distinct pictures of the generated source."""


def command(dataset: str, source: Path, home: Path) -> dict[str, Any]:
    """Run `prepare` and give its stages' seconds, rows and the peak memory of its process."""
    arguments = ["--dataset", dataset, "--source", str(source), "--home", str(home), "--json"]
    program = (
        "import resource, runpy, sys\n"
        f"sys.argv = ['flows', 'prepare', *{arguments!r}]\n"
        "try:\n    runpy.run_module('flows', run_name='__main__')\n"
        "finally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    values = json.loads(done.stdout.splitlines()[-1])
    seconds = values["seconds"]
    return {
        "pictures": values["rows"],
        "ingest_a_second": values["rows"] / seconds["ingest"],
        "prepare_a_second": values["rows"] / seconds["prepare"],
        "peak_mb": int(done.stderr.splitlines()[-1]) / 1024,
        "set_aside": values["set_aside"],
    }


def shares(dataset: str, source: Path) -> dict[str, float]:
    """Seconds of each kind of work over some partitions, on one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    options = PrepareOptions(dataset=dataset, source=source)
    spent: dict[str, float] = defaultdict(float)
    rows = [row for row in options.adapter.stream(source, options.own) if isinstance(row, dict)]
    chosen = np.random.default_rng(0).permutation(len(rows))[: PARTITIONS * ROWS]
    clocked(pictures, "picture_problem", "check header", spent)
    clocked(pictures, "decode", "decode", spent)
    clocked(crop, "decode", "decode", spent)
    clocked(warp, "averaged", "warp", spent)
    clocked(warp, "warp", "warp", spent)
    clocked(crop, "encode", "encode", spent)
    finding._detector()  # loads the weights
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PARTITIONS):
            part = [rows[at] for at in chosen[number * ROWS : (number + 1) * ROWS]]
            catalog, _ = scanning.catalog_partition(dataset, source, part)
            found, _ = with_detection_clocked(catalog, options, spent)
            written = time.perf_counter()
            write_picture_shard(Path(folder), f"part-{number:05d}.parquet", found)
            spent["write, index"] += time.perf_counter() - written
    spent["the rest"] = time.perf_counter() - started - sum(spent.values())
    return {"pictures": float(len(chosen)), **spent}


def with_detection_clocked(catalog: Any, options: PrepareOptions, spent: dict[str, float]) -> Any:
    """Crop a partition; what `detect` takes counts as detection."""
    detector = finding._detector()
    detect = type(detector).detect

    def clocked_detect(images: Any) -> Any:
        start = time.perf_counter()
        found = detect(detector, images)
        spent["detect"] += time.perf_counter() - start
        return found

    vars(detector)["detect"] = clocked_detect
    return crop.face_partition(catalog, options.cropping)


def clocked(module: Any, name: str, kind: str, spent: dict[str, float]) -> None:
    """Let a function of a module be timed."""
    function: Callable[..., Any] = getattr(module, name)

    def run(*given: Any) -> Any:
        start = time.perf_counter()
        made = function(*given)
        spent[kind] += time.perf_counter() - start
        return made

    setattr(module, name, run)


def generated(folder: Path, num_pictures: int) -> Path:
    """Pictures in FER+'s layout: a training part of so many, and a small test part."""
    rng = np.random.default_rng(0)
    noise = [cv2.resize(rng.integers(0, 256, (8, 8), dtype=np.uint8), (48, 48)) for _ in range(KINDS)]
    encoded = [cv2.imencode(".png", picture)[1].tobytes() for picture in noise]
    for part, count in (("FER2013Train", num_pictures), ("FER2013Test", 200)):
        (folder / "data" / part).mkdir(parents=True)
        lines = []
        for number in range(count):
            name = f"fer{number:07d}.png"
            (folder / "data" / part / name).write_bytes(encoded[number % KINDS])
            votes = ["10" if number % 8 == at else "0" for at in range(10)]
            lines.append(f'{name},"(0, 0, 48, 48)",{",".join(votes)}')
        (folder / "data" / part / "label.csv").write_text("\n".join(lines))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", default="kdef")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--memory", type=int, nargs="*", default=[])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="fer-ingest-") as folder:
        for number in options.memory:
            source = generated(Path(folder, f"source-{number}"), number)
            tell(command("ferplus", source, Path(folder, f"home-{number}")))
        if options.source:
            tell(command(options.dataset, options.source, Path(folder, "home")))
            spent = shares(options.dataset, options.source)
            pictures, total = spent.pop("pictures"), sum(spent.values())
            print(f"{pictures / total:.0f} pictures a second on one thread; of the time")
            for kind, seconds in sorted(spent.items(), key=lambda item: -item[1]):
                print(f"  {kind:<14}{seconds / total:>6.1%}")


def tell(found: dict[str, Any]) -> None:
    print(
        f"{found['pictures']} pictures: ingest {found['ingest_a_second']:.0f}/s, "
        f"prepare {found['prepare_a_second']:.0f}/s, peak {found['peak_mb']:.0f} MB, "
        f"set aside {found['set_aside'] or 'none'}"
    )


if __name__ == "__main__":
    main()
