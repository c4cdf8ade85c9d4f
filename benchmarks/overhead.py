"""What Prefect and Ray cost over the bare training loop: seconds that grow with the run, and start-up apart.

    python -m benchmarks.overhead [--epochs 2 10] [--rounds 1] [--patch 44] [--json]

Three ways to train the same plan on drawn faces, with as many checkpoints, each in a new process of one thread:

bare       fer_core.training.train called by a script
command    python -m flows train: Prefect's flows and tasks, Ray Train in this process
worker     python -m flows train --workers 1: a Ray cluster with one worker

Command and worker are each run beside a bare one at the same time, so that what disturbs the machine disturbs both,
with the few and with the many epochs. The difference of the two is the work that grows; what is left of the short run
is start-up. The overhead is the growing part over that of the bare run beside it. It needs two processors and Linux.

Told of the seconds that pass, and of the processors' seconds of all processes that a way starts: what engines do beside
the training costs those always, and the first only where no processor is free for it.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psutil

WAYS = ("command", "worker")
BARE = """
import sys
from pathlib import Path
from fer_core.checkpoints import FolderStore
from fer_core.runs import save_run
from fer_core.training import train
from fer_core.world import World
from benchmarks.overhead import plan_of
faces, folder, epochs, patch = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
folder.mkdir()
plan = plan_of(faces, epochs, patch)
save_run(folder, plan, train(plan, World(), FolderStore(folder), lambda row: None))
"""


def plan_of(faces: Path, epochs: int, patch: int) -> Any:
    """The plan that the command makes of its default options."""
    from fer_core.folds import Part
    from fer_core.options.stages import TrainOptions
    from fer_core.precision import trains_in_bfloat16
    from fer_core.training import TrainingPlan

    options = TrainOptions.model_validate(chosen(faces.parents[1], epochs, patch))
    return TrainingPlan(
        faces=faces,
        part=Part(),
        method=options.method,
        method_options=options.method_options.model_dump(mode="json"),
        recipe=options.recipe,
        backbone=options.backbone_name,
        patch=options.patch_size,
        face_size=options.crop_size,
        frame_is_face=False,
        bfloat16=trains_in_bfloat16(options.precision),
        seed=options.seed,
        checkpoint_steps=options.checkpoint_steps,
    )


def chosen(home: Path, epochs: int, patch: int) -> dict[str, Any]:
    return {"home": home, "dataset": "synthetic", "face_size": round(patch * 48 / 44), "patch": patch, "epochs": epochs}


def command(name: str, home: Path, epochs: int, patch: int, *more: str) -> list[str]:
    options = chosen(home, epochs, patch).items()
    pairs = [text for option, value in options for text in (f"--{option.replace('_', '-')}", str(value))]
    if name == "prepare":
        pairs = pairs[:6]
    return [sys.executable, "-m", "flows", name, *pairs, "--json", *more]


class Spent(NamedTuple):
    """Seconds: that passed, and of all processors."""

    wall: float
    processors: float


def side_by_side(commands: list[list[str]]) -> list[Spent]:
    """What whole processes take that start at the same time."""
    one_thread, quiet = {**os.environ, "OMP_NUM_THREADS": "1"}, subprocess.DEVNULL
    started = time.perf_counter()
    running = [psutil.Popen(arguments, env=one_thread, stdout=quiet, stderr=quiet) for arguments in commands]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda process: _watched(process, started), running))


def _watched(process: psutil.Popen, started: float) -> Spent:
    """A process to its end, with what it starts: threads are asked twice a second, as the last of them are killed."""
    seconds_of: dict[Path, float] = {}
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            for one in (process, *process.children(recursive=True)):
                seconds_of.update(_seconds_by_thread(one.pid))
        time.sleep(0.5)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    return Spent(time.perf_counter() - started, sum(seconds_of.values()))


def _seconds_by_thread(process: int) -> Iterator[tuple[Path, float]]:
    """As the scheduler counts: times sampled by the clock, as `ps` has them, tell twice as many of who polls."""
    with contextlib.suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{process}/task").iterdir():
            yield thread, int((thread / "schedstat").read_text().split()[0]) / 1e9


def measure(way: str, faces: Path, epochs: int, patch: int, number: int) -> list[Spent]:
    """What a whole process takes this way, and the bare one beside it; the faces stand already."""
    home = faces.parents[1]
    folder = home / f"bare-{way}-{number}-{epochs}"
    bare = [sys.executable, "-c", BARE, str(faces), str(folder), str(epochs), str(patch)]
    # another seed each time, so that nothing is reused
    more = ["--seed", str(1 + 2 * number + (way == "worker")), "--workers", "1" if way == "worker" else "0"]
    return side_by_side([command("train", home, epochs, patch, *more), bare])


def told(kind: str, spent: dict[tuple[str, int], list[Spent]], few: int, many: int) -> dict[str, dict[str, float]]:
    """Print the table of one kind of seconds, medians over the rounds; way -> what grows, start-up and overhead."""
    median = {at: statistics.median(getattr(one, kind) for one in rounds) for at, rounds in spent.items()}
    print(f"\n{kind:<21}{'few s':>8}{'many s':>8}{'grows s':>9}{'start-up s':>12}{'overhead':>10}")
    found = {}
    for way in WAYS:
        grows = {name: median[name, many] - median[name, few] for name in (f"bare beside {way}", way)}
        for name, seconds in grows.items():
            start_up = median[name, few] - seconds * few / (many - few)
            overhead = seconds / grows[f"bare beside {way}"] - 1
            found[name] = {"grows": seconds, "overhead": overhead, "start_up": start_up}
            shown = f"{median[name, few]:>8.1f}{median[name, many]:>8.1f}{seconds:>9.1f}{start_up:>12.1f}"
            print(f"{name:<21}{shown}{overhead:>10.1%}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, nargs=2, default=[2, 10], metavar=("FEW", "MANY"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--patch", type=int, default=44)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    few, many = options.epochs
    spent: dict[tuple[str, int], list[Spent]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="fer-overhead-") as home:
        prepared = subprocess.run(
            command("prepare", Path(home), few, options.patch), check=True, capture_output=True, text=True
        )
        faces = Path(json.loads(prepared.stdout.splitlines()[-1])["faces"]).absolute()
        for number, epochs, way in itertools.product(range(options.rounds), (few, many), WAYS):
            own, bare = measure(way, faces, epochs, options.patch, number)
            spent[way, epochs].append(own)
            spent[f"bare beside {way}", epochs].append(bare)
            print(f"{epochs} epochs: {way} {own.wall:.1f} s, bare {bare.wall:.1f} s", file=sys.stderr, flush=True)
    print(f"{os.cpu_count()} processors, one thread, {few} and {many} epochs, {options.rounds} rounds")
    found = {kind: told(kind, spent, few, many) for kind in Spent._fields}
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
