"""How fast a network says what it sees."""

import json
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from fer_core.evaluation.bootstrap import Interval
from fer_core.files import write_json
from fer_core.folding import folded
from fer_core.predictor import Predictor
from fer_core.runs import load_network, read_description

BATCH, NUM_REPEATS = 64, 6
"""The median of a distribution is between the least and the greatest of 6 draws with a probability of 97 %."""
PAIRED_BATCH = 16
"""Smaller: two networks are measured while nobody else may promote."""
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
    return [BATCH / _seconds(network, images_BHWC) for _ in range(NUM_REPEATS + 1)][1:]


def seconds_of_both(own: Predictor, rival: Predictor) -> tuple[float, float, Interval]:
    """Seconds an input of both networks as they are used, medians, and how many times the rival's the own's are.

    Batches of 16 in turn, six of each, so that what else the machine does meets both. The ratio is the median of six
    neighbours', with the least and the greatest. Pictures of zeros, or points, of the size that each network takes.
    """
    inputs = [_blank(predictor) for predictor in (own, rival)]
    taken = [
        [_seconds(one.network, batch) for one, batch in zip((own, rival), inputs, strict=True)]
        for _ in range(NUM_REPEATS + 1)
    ][1:]
    ratios = [ours / theirs for ours, theirs in taken]
    ours, theirs = (statistics.median(seconds) / PAIRED_BATCH for seconds in zip(*taken, strict=True))
    return ours, theirs, Interval(statistics.median(ratios), min(ratios), max(ratios))


def _blank(predictor: Predictor) -> Tensor:
    run = predictor.description
    if run.build_method().inputs == "points":
        return torch.zeros(PAIRED_BATCH, run.counts["numbers"])
    return torch.zeros(PAIRED_BATCH, run.patch, run.patch, 3, dtype=torch.uint8)


@torch.inference_mode()
def _seconds(network: nn.Module, inputs: Tensor) -> float:
    """One forward pass."""
    start = time.perf_counter()
    network(inputs)
    return time.perf_counter() - start
