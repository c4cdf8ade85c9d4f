"""A plan for a large run from constants that are measured here: files, memory, network, checkpoints, hours by stage.

    python -m benchmarks.planning [--images 1e8] [--gpus 64] [--backbone resnet18] [--batch 6144] [--rate 5000]
        [--crop-bytes 13300] [--cores 512] [--link-gbit 100] [--components 5] [--rows 1000000] [--json]

Measured: seconds and bytes a row of scanning, writing, splitting, tupling and indexing (benchmarks.scale on --rows
rows, what an empty process takes taken off), of the balanced sampler, of EM; seconds to decode a crop; the size of a
checkpoint. Assumed, since no command here can know them: the images/s of one GPU (--rate), a crop's bytes (13.3 kB are
KDEF's at 236 pixels), the processors for ingest and the link between hosts. Everything else is arithmetic.
"""

import argparse
import io
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks import scale
from fer_core.methods import REGISTRY
from fer_core.sampling.balanced import BalancedSampler
from fer_core.subdivision import fit_mixtures
from fer_core.targets import Counts
from fer_core.training import build_network

GPUS_A_HOST, CLASSES, SHARD_ROWS = 8, 7, 4096
GIGA = 1e9


@dataclass(frozen=True)
class Constants:
    """Measured here. Seconds are of one core."""

    scan_s: float
    write_s: float
    split_s: float
    tuples_s: float
    open_s: float
    label_bytes: float
    index_bytes: float
    sampler_bytes: float
    sampler_first_s: float
    sampler_batch_s: float
    em_s: float
    decode_s: float
    parameters: int
    checkpoint_bytes: int


def of_rows(num_rows: int) -> dict[str, float]:
    """Seconds and bytes a row of the data plane's steps."""
    found = scale.measure(num_rows)
    base = found["nothing"]["peak_mb"]
    seconds = {f"{name}_s": found[name]["seconds"] / num_rows for name in ("scan", "write", "split", "tuples", "open")}
    memory = {
        f"{kind}_bytes": max(found[name]["peak_mb"] - base, 0) * 2**20 / num_rows
        for kind, name in (("label", "split"), ("index", "open"))
    }
    return {**seconds, **memory}


def of_sampler(num_rows: int, batch: int) -> dict[str, float]:
    """Run in a process of its own, as memory is that of the process."""
    label = np.random.default_rng(0).integers(0, CLASSES, num_rows)
    before = scale.peak_bytes()
    started = time.perf_counter()
    sampler = BalancedSampler(label, batch, 0)
    sampler.batch(0, 0)
    first = time.perf_counter() - started
    started = time.perf_counter()
    for step in range(1, 101):
        sampler.batch(0, step)
    each = (time.perf_counter() - started) / 100
    grown = scale.peak_bytes() - before
    return {
        "sampler_bytes": grown / num_rows,
        "sampler_first_s": first / num_rows,
        "sampler_batch_s": each / batch,
    }


def of_em(num_rows: int = 20_000, size: int = 64, components: int = 5) -> float:
    """Seconds a row and component of EM, all its starts and iterations."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, num_rows)
    emb_ND = (
        rng.normal(size=(num_rows, size))
        + rng.normal(size=(CLASSES * components, size))[label * components + rng.integers(0, components, num_rows)]
    )
    started = time.perf_counter()
    fit_mixtures(emb_ND, label, components, 0)
    return (time.perf_counter() - started) / num_rows / components


def of_decoding(side: int = 236) -> float:
    ramp = np.linspace(0, 255, side, dtype=np.uint8)
    noise = np.random.default_rng(0).normal(0, 6, (side, side, 3))
    image = np.clip(np.stack([np.add.outer(ramp // 2, ramp // 2)] * 3, axis=-1) + noise, 0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    cv2.setNumThreads(1)
    started = time.perf_counter()
    for _ in range(200):
        cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    return (time.perf_counter() - started) / 200


def of_network(backbone: str) -> tuple[int, int]:
    """Parameters, and bytes of a checkpoint: weights, two moments and their moving average."""
    method = REGISTRY["mul_dml"](REGISTRY["mul_dml"].Options())
    counts = Counts(labels=CLASSES, expressions=CLASSES, poses=0, identities=0, numbers=0)
    network = build_network(method, backbone, 224, counts, 0)
    optimizer = torch.optim.AdamW(network.parameters())
    sum(one.sum() for one in network.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    buffer = io.BytesIO()
    parts = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**parts, "average": {name: value.clone() for name, value in network.state_dict().items()}}, buffer)
    return sum(one.numel() for one in network.parameters()), len(buffer.getvalue())


def measured(options: argparse.Namespace) -> Constants:
    command = [sys.executable, "-m", "benchmarks.planning", "--sampler", str(20 * options.rows)]
    done = subprocess.run([*command, "--batch", str(options.batch)], capture_output=True, text=True, check=True)
    parameters, checkpoint = of_network(options.backbone)
    return Constants(
        **of_rows(options.rows),
        **json.loads(done.stdout),
        em_s=of_em(),
        decode_s=of_decoding(),
        parameters=parameters,
        checkpoint_bytes=checkpoint,
    )


def planned(constants: Constants, options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Rows of the plan: what, how it comes about, how much."""
    images, gpus, batch = int(options.images), options.gpus, options.batch
    c, workers_a_host = constants, min(gpus, GPUS_A_HOST)
    steps = -(-images // batch)
    epoch_hours = images / (gpus * options.rate) / 3600
    gradients = 4 * c.parameters
    ring = 2 * (gpus - 1) / gpus * gradients
    gathered = batch * 4 * options.embedding
    step_seconds = batch / (gpus * options.rate)
    link = options.link_gbit / 8 * GIGA

    def core_hours(seconds_a_row: float) -> str:
        hours = images * seconds_a_row / 3600
        return f"{hours:,.1f} core-hours, {60 * hours / options.cores:,.1f} min on {options.cores}"

    return [
        ("store", f"{options.crop_bytes:,} bytes a crop", f"{images * options.crop_bytes / 1e12:.2f} TB"),
        ("shards", f"of {SHARD_ROWS} rows (256 is the default)", f"{images / SHARD_ROWS:,.0f} files"),
        ("", f"{SHARD_ROWS * options.crop_bytes / 1e6:.0f} MB each, with an index each", ""),
        ("scan", "in one process", f"{images * c.scan_s / 3600:.1f} h"),
        ("write", "Dask, beside reading, decoding and detection", core_hours(c.write_s)),
        ("decode", "once in prepare", core_hours(c.decode_s)),
        (
            "labels",
            f"{c.label_bytes:.0f} bytes a row at the peak, a process",
            f"{images * c.label_bytes / GIGA:.0f} GB",
        ),
        ("", f"on a host with {workers_a_host} workers", f"{workers_a_host * images * c.label_bytes / GIGA:,.0f} GB"),
        ("index", f"{c.index_bytes:.0f} bytes a row at the peak, a process", f"{images * c.index_bytes / GIGA:.1f} GB"),
        ("split", "each worker, at its start", f"{images * c.split_s / 60:.0f} min"),
        ("open", "each worker, at its start", f"{images * c.open_s / 60:.0f} min"),
        ("five-tuples", "an epoch, with reading", f"{images * c.tuples_s / 60:.0f} min"),
        ("sampler", f"{c.sampler_bytes:.0f} bytes a row", f"{images * c.sampler_bytes / GIGA:.1f} GB"),
        ("", "the first batch of a walk", f"{images * c.sampler_first_s:.0f} s"),
        ("", f"a batch of {batch}", f"{1e3 * batch * c.sampler_batch_s:.1f} ms"),
        ("decoders", f"cores a GPU at {options.rate:,.0f} images/s", f"{options.rate * c.decode_s:.1f}"),
        ("epoch", f"{steps:,} steps of {batch}", f"{epoch_hours:.2f} h, {epoch_hours * gpus:,.0f} GPU-hours"),
        ("a step", f"computing, at {options.rate:,.0f} images/s", f"{1e3 * step_seconds:.0f} ms"),
        (
            "network",
            f"gradients, ring, {c.parameters / 1e6:.1f} M parameters",
            f"{ring / 1e6:.0f} MB a worker and step",
        ),
        ("", f"the batch's embeddings ({options.embedding} numbers)", f"{gathered / 1e6:.2f} MB a worker and step"),
        ("", f"both over {options.link_gbit:.0f} Gbit/s, not overlapped", f"{1e3 * (ring + gathered) / link:.0f} ms"),
        ("checkpoint", "weights, moments, average", f"{c.checkpoint_bytes / 1e6:.0f} MB"),
        ("embed", "as the forward pass, a third of a step", f"{epoch_hours / 3:.2f} h"),
        (
            "EM",
            f"{options.components} components, shares on {gpus} workers",
            f"{images * options.components * c.em_s / gpus / 60:.1f} min",
        ),
        ("", "sent an iteration", f"{8 * CLASSES * options.components * (2 * options.embedding + 1) / 1e3:.0f} kB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=float, default=1e8)
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--batch", type=int, default=64 * 96)
    parser.add_argument("--rate", type=float, default=5000)
    parser.add_argument("--crop-bytes", type=int, default=13_300)
    parser.add_argument("--cores", type=int, default=512)
    parser.add_argument("--link-gbit", type=float, default=100)
    parser.add_argument("--embedding", type=int, default=7 * 256)
    parser.add_argument("--components", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sampler", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.sampler:
        print(json.dumps(of_sampler(options.sampler, options.batch)))
        return
    constants = measured(options)
    print(f"{options.images:,.0f} images, {options.gpus} GPUs, {options.backbone}, batch {options.batch}")
    for what, how, much in planned(constants, options):
        print(f"{what:<12}{how:<52}{much}")
    if options.json:
        values: dict[str, Any] = vars(constants)
        print(json.dumps(values))


if __name__ == "__main__":
    main()
