"""What workers bring and cost: a training step and ingest over 1 and 2 workers, and the bytes that a step sends.

    python -m benchmarks.workers [--workers 1 2] [--patch 44] [--batch 96] [--steps 15] [--rounds 3] [--json]

Training: processes of one thread each that meet over gloo on loopback, one batch over all of them, ResNet18 with
mul_dml's objective on drawn faces; the median seconds of a step over the rounds, which take turns. Bytes are those that
a worker hands to the collectives in a step: gradients (counted in DistributedDataParallel's hook), the batch that is
gathered, statistics of batch norm.

Ingest: `prepare` on drawn faces, mapped by Dask over so many worker processes of one thread each.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from benchmarks.training_speed import NoStore, draw_faces, plan_for
from fer_core.training import TrainingPlan, train
from fer_core.world import World

PRELOAD = ["torch._dynamo", "torch.multiprocessing", "fer_core.training"]
UNCOUNTED = 3
"""Steps at the start of a round."""
COLLECTIVES = ("all_reduce", "all_gather", "all_gather_into_tensor", "reduce_scatter_tensor", "broadcast")


class Enough(Exception):
    """The steps of a round are done."""


def count_bytes(sent: dict[str, int]) -> None:
    """From now on add up what is handed to each collective of torch.distributed, gradients in `gradients`."""
    for name in COLLECTIVES:
        original = getattr(dist, name)

        def counted(*given: Any, _name: str = name, _original: Any = original, **named: Any) -> Any:
            # what a process contributes: the last tensor given, as results come first
            own = [one for one in given if isinstance(one, torch.Tensor)][-1]
            sent[_name] += own.numel() * own.element_size()
            return _original(*given, **named)

        setattr(dist, name, counted)

    original_init = DistributedDataParallel.__init__

    def hooked(self: DistributedDataParallel, *given: Any, **named: Any) -> None:
        original_init(self, *given, **named)
        self.register_comm_hook(None, reduce_gradients)

    def reduce_gradients(_: Any, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        buffer = bucket.buffer()
        sent["gradients"] += buffer.numel() * buffer.element_size()
        work = dist.distributed_c10d._get_default_group().allreduce([buffer.div_(dist.get_world_size())])
        return work.get_future().then(lambda done: done.value()[0])

    DistributedDataParallel.__init__ = hooked  # type: ignore[method-assign]


def worker(rank: int, folder: str, plan: TrainingPlan, size: int, steps: int) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{size}", rank=rank, world_size=size)
    sent: dict[str, int] = defaultdict(int)
    count_bytes(sent)
    ends: list[float] = []
    counts: list[dict[str, int]] = []
    stepped = torch.optim.AdamW.step

    def clocked(self: torch.optim.AdamW, *given: Any) -> Any:
        result = stepped(self, *given)
        ends.append(time.perf_counter())
        counts.append(dict(sent))
        if len(ends) > UNCOUNTED + steps:
            raise Enough
        return result

    torch.optim.AdamW.step = clocked  # type: ignore[method-assign]
    with contextlib.suppress(Enough):
        train(plan, World(rank, size), NoStore(), lambda _: None)
    if rank == 0:
        seconds = [end - start for start, end in zip(ends[UNCOUNTED:], ends[UNCOUNTED + 1 :], strict=False)]
        names = counts[-1]
        each = {name: (names[name] - counts[UNCOUNTED].get(name, 0)) / len(seconds) for name in names}
        Path(folder, "found.json").write_text(json.dumps({"seconds": seconds, "bytes": each}))
    if size > 1:
        dist.destroy_process_group()


def training(plan: TrainingPlan, size: int, steps: int) -> dict[str, Any]:
    """Seconds of each step, and bytes a step by collective."""
    with tempfile.TemporaryDirectory(prefix="fer-workers-") as folder:
        mp.start_processes(worker, (folder, plan, size, steps), nprocs=size, start_method="forkserver")
        return json.loads(Path(folder, "found.json").read_text())


@contextlib.contextmanager
def dask_workers(count: int, folder: Path) -> Iterator[str]:
    """The address of a scheduler with so many worker processes of one thread."""
    file = folder / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    processes = [subprocess.Popen([*dask, *common], **quiet)]
    one = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"]
    try:
        while not file.exists():
            time.sleep(0.1)
        processes += [
            subprocess.Popen([*one, *common, "--local-directory", str(folder / str(at))], **quiet)
            for at in range(count)
        ]
        address = json.loads(file.read_text())["address"]
        from dask.distributed import Client

        with Client(address) as client:
            client.wait_for_workers(count)
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait()


def ingest(count: int, identities: int) -> dict[str, float]:
    """Rows a second of ingest and of prepare."""
    with tempfile.TemporaryDirectory(prefix="fer-workers-") as folder, dask_workers(count, Path(folder)) as address:
        command = ["prepare", "--dataset", "synthetic", "--synthetic.identities", str(identities), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "flows", *command, "--home", f"{folder}/home"],
            env={**os.environ, "DASK_SCHEDULER_ADDRESS": address, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        values = json.loads(done.stdout.splitlines()[-1])
    return {stage: values["rows"] / values["seconds"][stage] for stage in ("ingest", "prepare")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--patch", type=int, default=44)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--identities", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    multiprocessing.set_forkserver_preload(PRELOAD)
    steps: dict[int, list[float]] = defaultdict(list)
    sent: dict[int, dict[str, float]] = {}
    rows: dict[int, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="fer-workers-") as home:
        face_size = round(options.patch * 48 / 44)
        faces = draw_faces(Path(home), face_size)
        plan = plan_for(faces, "mul_dml", face_size, options.patch, options.batch)
        for _ in range(options.rounds):
            for size in options.workers:
                found = training(plan, size, options.steps)
                steps[size] += found["seconds"]
                sent[size] = found["bytes"]
                rows[size].append(ingest(size, options.identities))
    medians = {size: statistics.median(seconds) for size, seconds in steps.items()}
    speed = {
        size: {stage: statistics.median(row[stage] for row in found) for stage in ("ingest", "prepare")}
        for size, found in rows.items()
    }
    first = options.workers[0]
    print(f"{os.cpu_count()} processors, one thread a worker, batch {options.batch}, {options.patch} pixels")
    columns = {"workers": 7, "step ms": 9, "images/s": 10, "ratio": 7, "ingest/s": 10, "ratio ": 7, "prepare/s": 11}
    print("".join(f"{name.strip():>{width}}" for name, width in columns.items()) + f"{'ratio':>7}")
    for size in options.workers:
        told = f"{size:>7}{1e3 * medians[size]:>9.0f}{options.batch / medians[size]:>10.1f}"
        told += f"{medians[first] / medians[size]:>7.2f}"
        for stage, width in (("ingest", 10), ("prepare", 11)):
            told += f"{speed[size][stage]:>{width}.0f}{speed[size][stage] / speed[first][stage]:>7.2f}"
        print(told)
    for size in options.workers:
        if sent[size]:
            parts = ", ".join(f"{name} {count / 1e6:.3f} MB" for name, count in sorted(sent[size].items()))
            print(f"{size} workers: a worker hands {sum(sent[size].values()) / 1e6:.2f} MB a step: {parts}")
    if options.json:
        print(json.dumps({"step_seconds": medians, "bytes": sent, "rows_a_second": speed}))


if __name__ == "__main__":
    main()
