"""How fast a network says what it sees."""

import json
import statistics
import time
from pathlib import Path

import torch

from fer_core.evaluation.bootstrap import Interval
from fer_core.files import write_json
from fer_core.folding import folded
from fer_core.runs import load_network, read_description

BATCH, NUM_REPEATS = 64, 6
"""The median of a distribution is between the least and the greatest of 6 draws with a probability of 97 %."""
KEPT = "forward_speed.json"
"""Beside the run's files, as no two runs measure alike."""


def forward_speed(run: Path) -> Interval:
    """Pictures a second of the run's network as it is used, folded, on the machine that measured it first.

    The median of six batches of 64, with the least and the greatest. Decoding and cropping are not counted. It is
    measured once and kept in the folder of the run.
    """
    file = run / KEPT
    if not file.exists():
        rates = _measure(run)
        write_json(file, vars(Interval(statistics.median(rates), min(rates), max(rates))))
    return Interval(**json.loads(file.read_text()))


def _measure(run: Path) -> list[float]:
    patch = read_description(run).patch
    network = folded(load_network(run))
    images_BHWC = torch.zeros(BATCH, patch, patch, 3, dtype=torch.uint8)
    rates = []
    with torch.inference_mode():
        for _ in range(NUM_REPEATS + 1):
            start = time.perf_counter()
            network(images_BHWC)
            rates.append(BATCH / (time.perf_counter() - start))
    return rates[1:]
