"""The peer to beat: a plain PyTorch loop on the same CK+ folds.

ResNet18 as published, cross-entropy, AdamW, one-cycle, 25 epochs over the upright faces, random crops and flips.
    python -m benchmarks.ck_plus_peer FACES_DIRECTORY [--folds 10] [--epochs 25]
where FACES_DIRECTORY is what `python -m flows prepare --dataset ck_plus ...` prints as `faces`.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fer_core.backbones.resnet import ResNet18
from fer_core.folds import Part
from fer_core.precision import trains_in_bfloat16
from fer_core.reading import FaceTable, read_faces

PATCH, BATCH = 44, 96
ORIGINAL_STEM = 224
"""The patch that ResNet18 is published for: its first convolution then has stride 2."""


def to_pixels(images_BHWC: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(images_BHWC).permute(0, 3, 1, 2).float() / 255
    return ((pixels - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def train_fold(faces: FaceTable, epochs: int, seed: int) -> float:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    train, test = faces.rows_of("train", upright=True), faces.rows_of("test", upright=True)
    images, labels = faces.images(train), torch.from_numpy(faces.label[train])
    room = images.shape[1] - PATCH
    model = nn.Sequential(ResNet18(ORIGINAL_STEM), nn.Linear(512, len(faces.classes)))
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    steps = -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, epochs=epochs, steps_per_epoch=steps)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(train)), steps):
            top, left = rng.integers(0, room + 1, size=2)
            patch = images[rows, top : top + PATCH, left : left + PATCH]
            patch = patch[:, :, ::-1].copy() if rng.random() < 0.5 else patch
            with torch.autocast("cpu", torch.bfloat16, enabled=trains_in_bfloat16("auto")):
                loss = nn.functional.cross_entropy(model(to_pixels(patch)).float(), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    centre = room // 2
    with torch.inference_mode():
        patch = faces.images(test)[:, centre : centre + PATCH, centre : centre + PATCH]
        predicted = model(to_pixels(patch)).argmax(dim=1).numpy()
    return float((predicted == faces.label[test]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    accuracies, seconds = [], []
    for fold in range(options.folds):
        started = time.perf_counter()
        faces = read_faces(options.faces, Part(fold, options.folds), options.seed)
        accuracies.append(train_fold(faces, options.epochs, options.seed))
        seconds.append(time.perf_counter() - started)
        print(f"fold {fold + 1}/{options.folds}: accuracy {accuracies[-1]:.4f}, {seconds[-1]:.1f} s", flush=True)
    print(f"accuracy {statistics.mean(accuracies):.4f} ± {statistics.stdev(accuracies):.4f}, ", end="")
    print(f"median {statistics.median(seconds):.1f} s a fold, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
