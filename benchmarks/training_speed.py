"""Images/s of training, ours beside a plain PyTorch recipe in one run, and what bounds each: decode, copy or kernels.

    python -m benchmarks.training_speed                    # a GPU: ResNet18 at 224 by batches of 96 and 1024, dml_net
    python -m benchmarks.training_speed --patch 44 --batches 96 --methods mul_dml --seconds 20      # small, for a CPU

Drawn faces are cropped once (`prepare`), JPEGs or PNGs as the pipeline stores them. Then, for each method and batch:

ours       the training loop as the `train` command runs it, on one device, images/s by its own progress rows
plain      the same pictures from a list of encoded bytes by torch's DataLoader with its own processes (decode, random
           crop, flip), the same backbones and a linear classifier, autocast, channels-last, AdamW: no metric loss
kernels    our step on a batch that lies on the device: no reading, no copy
plain's    the plain step likewise
decode     the pictures read and decoded by our reader alone
copy       crops sent from pinned memory to the device alone

Utilisation is the floating point operations of our network's forward and backward pass (counted by torch) over what a
large bfloat16 matrix product reaches on the same device in the same run.
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
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from fer_core.backbones.weights import build_backbone
from fer_core.folds import Part
from fer_core.methods import REGISTRY, Recipe
from fer_core.precision import trains_in_bfloat16
from fer_core.reading import FaceTable
from fer_core.targets import Targets
from fer_core.training import TrainingPlan, build_network, build_objective, train
from fer_core.world import World

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CHANNELS_OF = {"mul_dml": 1, "dml_net": 3}
"""Backbones of a method's network: dml_net looks at face, eyes and mouth, each by its own."""


class Enough(Exception):
    """The time for a measurement is over."""


class NoStore:
    """Checkpoints of a run that is thrown away."""

    def load(self) -> None:
        """There is none."""

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        """Keep nothing."""


def draw_faces(home: Path, face_size: int) -> Path:
    """The faces directory of drawn people at all views."""
    command = ["prepare", "--dataset", "synthetic", "--synthetic.max-yaw", "45", "--rotations=0", "--home", str(home)]
    command += ["--face-size", str(face_size), "--json"]
    done = subprocess.run([sys.executable, "-m", "flows", *command], capture_output=True, text=True, check=True)
    return Path(json.loads(done.stdout.splitlines()[-1])["faces"])


def plan_for(faces: Path, method: str, face_size: int, patch: int, batch: int) -> TrainingPlan:
    return TrainingPlan(
        faces=faces,
        part=Part(),
        method=method,
        method_options=REGISTRY[method].Options().model_dump(mode="json"),
        recipe=Recipe(epochs=100_000, batch_size=batch, lr=1e-3, one_cycle=True, weight_decay=0.05),
        backbone=REGISTRY[method].backbone,
        patch=patch,
        face_size=face_size,
        frame_is_face=False,
        bfloat16=trains_in_bfloat16("auto"),
        seed=0,
        checkpoint_steps=1_000_000,
    )


def ours(plan: TrainingPlan, seconds: float) -> float:
    """Images/s of the training loop: the median of its progress rows but the first."""
    rows, started = [], time.perf_counter()

    def keep(row: dict[str, float]) -> None:
        rows.append(row["images_per_second"])
        if len(rows) > 3 and time.perf_counter() - started > seconds:
            raise Enough

    with contextlib.suppress(Enough):
        train(plan, World(device=DEVICE), NoStore(), keep)
    return statistics.median(rows[1:])


class Encoded(Dataset[tuple[torch.Tensor, int]]):
    """Encoded pictures, decoded, cut at random and flipped by the DataLoader's processes."""

    def __init__(self, pictures: list[bytes], labels: list[int], patch: int) -> None:
        self.pictures, self.labels, self.patch = pictures, labels, patch

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        cv2.setNumThreads(1)
        image = cv2.imdecode(np.frombuffer(self.pictures[index], np.uint8), cv2.IMREAD_COLOR_RGB)
        top, left = torch.randint(0, image.shape[0] - self.patch + 1, (2,)).tolist()
        patch = image[top : top + self.patch, left : left + self.patch]
        patch = patch[:, ::-1] if torch.rand(()) < 0.5 else patch
        return torch.from_numpy(patch.copy()), self.labels[index]


class PlainNetwork(nn.Module):
    """The method's backbones on the same pictures, and a linear classifier."""

    def __init__(self, backbone: str, count: int, patch: int, num_classes: int) -> None:
        super().__init__()
        self.backbones = nn.ModuleList([build_backbone(backbone, patch, seed) for seed in range(count)])
        width = sum(one.num_features for one in self.backbones)  # type: ignore[misc]
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, pixels_BCHW: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.classifier(torch.cat([one(pixels_BCHW) for one in self.backbones], dim=1))


def plain(plan: TrainingPlan, table: FaceTable, seconds: float) -> tuple[float, float]:
    """Images/s of the plain recipe with its loader, and of its step alone."""
    rows = table.rows_of("train", upright=False)
    reader: Any = table.pictures
    pictures = [bytes(one) for one in reader.encoded(table.picture[rows])]
    data = Encoded(pictures, table.label[rows].tolist(), plan.patch)
    batch = min(plan.recipe.batch_size, len(data))
    loader = DataLoader(
        data,
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=os.cpu_count() or 1,
        pin_memory=DEVICE.type == "cuda",
        persistent_workers=True,
    )
    network = PlainNetwork(plan.backbone, CHANNELS_OF[plan.method], plan.patch, len(table.classes))
    network.to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=DEVICE.type == "cuda")

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        images, labels = images.to(DEVICE, non_blocking=True), labels.to(DEVICE, non_blocking=True)
        pixels = (images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=plan.bfloat16):
            loss = nn.functional.cross_entropy(network(pixels).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def endless() -> Iterator[Any]:
        return itertools.chain.from_iterable(iter(loader) for _ in itertools.count())

    batches = endless()
    whole = rate(lambda: step(*next(batches)), batch, seconds)
    kept = next(batches)
    return whole, rate(lambda: step(*kept), batch, seconds / 2)


def our_kernels(plan: TrainingPlan, table: FaceTable, seconds: float) -> tuple[float, float]:
    """Images/s of our step on a batch that stays on the device, and floating point operations an image."""
    method = plan.build_method()
    rows = table.rows_of("train", upright=False)
    training_rows = table.training_rows(rows)
    sampler, counts = method.sampler(training_rows, plan.recipe.batch_size, 0), training_rows.counts(0)
    network = build_network(method, plan.backbone, plan.patch, counts, 0)
    network.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = build_objective(method, counts, 0).to(DEVICE)
    drawn = sampler.batch(0, 0)
    size = (len(drawn), plan.patch, plan.patch, 3)
    images = torch.randint(0, 256, size, dtype=torch.uint8, device=DEVICE)
    targets = Targets.of(training_rows.targets(drawn).stacked().to(DEVICE))
    optimizer = torch.optim.AdamW([*network.parameters(), *objective.parameters()], fused=DEVICE.type == "cuda")

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=plan.bfloat16):
            outputs = network(images)
        loss = torch.stack(list(objective(outputs.mapped(torch.Tensor.float), targets, 0.5).values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    with FlopCounterMode(display=False) as counter:
        step()
    return rate(step, len(drawn), seconds), counter.get_total_flops() / len(drawn)


def decoding(table: FaceTable, batch: int, seconds: float) -> float:
    rows = table.rows_of("train", upright=False)
    rng = np.random.default_rng(0)
    return rate(lambda: table.images(rng.choice(rows, batch)), batch, seconds)


def copying(face_size: int, batch: int, seconds: float) -> float:
    """Images/s of sending whole crops to the device; none where it is the processor."""
    if DEVICE.type == "cpu":
        return float("nan")
    crops = torch.zeros(batch, face_size, face_size, 3, dtype=torch.uint8).pin_memory()
    return rate(lambda: crops.to(DEVICE, non_blocking=True), batch, seconds)


def rate(step: Callable[[], object], batch: int, seconds: float) -> float:
    """Images/s: `step` again and again for so many seconds, after two that are not counted."""
    for _ in range(2):
        step()
    settle()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step()
        count += 1
        if count % 8 == 0:
            settle()
    settle()
    return count * batch / (time.perf_counter() - started)


def settle() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def peak_flops(seconds: float) -> float:
    """Floating point operations a second of a large matrix product, bfloat16 where training is."""
    side = 8192 if DEVICE.type == "cuda" else 2048
    kind = torch.bfloat16 if trains_in_bfloat16("auto") else torch.float32
    one = torch.randn(side, side, device=DEVICE, dtype=kind)
    return rate(lambda: one @ one, 2 * side**3, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=list(CHANNELS_OF), default=list(CHANNELS_OF))
    parser.add_argument("--patch", type=int, default=224)
    parser.add_argument("--batches", type=int, nargs="+", default=[96, 1024])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    face_size = round(options.patch * 236 / 224)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="fer-speed-") as home:
        faces = draw_faces(Path(home), face_size)
        peak = peak_flops(options.seconds / 4)
        name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else torch.backends.cpu.get_cpu_capability()
        print(
            f"{name}, {os.cpu_count()} processors, {torch.get_num_threads()} threads; matrix product {peak:.3g} FLOP/s"
        )
        columns = ("ours", "plain", "kernels", "plain's", "decode", "copy", "utilised")
        print(f"{'method':<9}{'batch':>6}" + "".join(f"{column:>10}" for column in columns))
        for method, batch in itertools.product(options.methods, options.batches):
            plan = plan_for(faces, method, face_size, options.patch, batch)
            table = replace(plan, faces=faces).read_faces()
            own = ours(plan, options.seconds)
            other, other_kernels = plain(plan, table, options.seconds)
            kernels, flops = our_kernels(plan, table, options.seconds / 2)
            decode, copy = decoding(table, batch, options.seconds / 4), copying(face_size, batch, options.seconds / 8)
            values = (own, other, kernels, other_kernels, decode, copy)
            used = own * flops / peak
            print(f"{method:<9}{batch:>6}" + "".join(f"{value:>10.0f}" for value in values) + f"{used:>10.1%}")
            found.append(
                {"method": method, "batch": batch, "peak": peak, "flops_an_image": flops}
                | dict(zip(columns, (*values, used), strict=True))
            )
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
