"""How fast a network says what it sees."""

import statistics
import time
from pathlib import Path

import torch

from fer_core.folding import folded
from fer_core.runs import load_network, read_description

BATCH, NUM_REPEATS = 64, 5


def forward_speed(run: Path) -> float:
    """Pictures a second of the run's network as it is used, folded, on this machine: median of a few batches of 64.

    Decoding and cropping are not counted.
    """
    patch = read_description(run).patch
    network = folded(load_network(run))
    images_BHWC = torch.zeros(BATCH, patch, patch, 3, dtype=torch.uint8)
    seconds = []
    with torch.inference_mode():
        for _ in range(NUM_REPEATS + 1):
            start = time.perf_counter()
            network(images_BHWC)
            seconds.append(time.perf_counter() - start)
    return BATCH / statistics.median(seconds[1:])
