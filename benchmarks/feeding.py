"""Images/s of training with and without the thread that makes batches ahead, in turn in one run.

    python -m benchmarks.feeding                                             # 96 crops of 236 pixels, and of 48
    python -m benchmarks.feeding --faces FACES --cases pooled --seconds 30   # a faces directory that stands

resnet18   `cnn` with ResNet18 on patches of 44 out of drawn crops of 48: computing takes most of a step
pooled     `cnn` on means over 28 x 28 pixels of patches of 224 out of crops of 236: decoding takes most of it

Without the thread each batch is read, decoded, cut and sent between two steps. Medians over rounds that take turns.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.training_speed import DEVICE, draw_faces, ours, plan_for
from fer_core import backbones
from fer_core.backbones import Backbone
from fer_core.sections import UNTIMED, Sections
from fer_core.training import TrainingPlan
from fer_core.training.feeding import Batch

FACE_SIZE_OF, PATCH_OF = {"resnet18": 48, "pooled": 236}, {"resnet18": 44, "pooled": 224}
BATCH = 96


class Pooled(Backbone):
    """Next to no computing: the means of 8 x 8 parts of the patch."""

    num_features = 192

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.means = nn.AdaptiveAvgPool2d(8)

    def forward(self, x_B3PP: Tensor) -> Tensor:
        """(B, 3, P, P) -> (B, 192)."""
        return self.means(x_B3PP).flatten(1)


@contextmanager
def unfed(
    make: Callable[[int], Batch], steps: range, device: torch.device = DEVICE, sections: Sections = UNTIMED
) -> Iterator[Iterator[Batch]]:
    """As `fed`, each batch made when it is asked for."""
    yield map(make, steps)


def measured(plan: TrainingPlan, rounds: int, seconds: float) -> dict[str, float]:
    """Images/s of both ways."""
    found: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(rounds):
        found["with"].append(ours(plan, seconds))
        with patch("fer_core.training.loop.fed", unfed):
            found["without"].append(ours(plan, seconds))
    return {way: statistics.median(rates) for way, rates in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(PATCH_OF), default=list(PATCH_OF))
    parser.add_argument("--faces", type=Path, nargs="+", help="a faces directory for each case; unset: drawn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    backbones.REGISTRY["pooled"] = Pooled
    rows = []
    print(
        f"{DEVICE.type}, {os.cpu_count()} processors, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'case':<10}{'with':>10}{'without':>10}{'gain':>8}   images/s")
    with tempfile.TemporaryDirectory(prefix="fer-feeding-") as home:
        for number, case in enumerate(options.cases):
            size = FACE_SIZE_OF[case]
            faces = options.faces[number] if options.faces else draw_faces(Path(home), size)
            plan = replace(plan_for(faces, "cnn", size, PATCH_OF[case], BATCH), backbone=case)
            rates = measured(plan, options.rounds, options.seconds)
            print(f"{case:<10}{rates['with']:>10.0f}{rates['without']:>10.0f}{rates['with'] / rates['without']:>8.2f}")
            rows.append({"case": case, **rates})
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
