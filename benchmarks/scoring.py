"""Pictures/s of `score` beside the network alone, in turn in one run.

    python -m benchmarks.scoring                             # crops of 48, 112 and 224 pixels, and photos
    python -m benchmarks.scoring --cases 48 --threads 1 --rounds 5

network  the forward pass on ready tensors, 64 at a time: nothing can be faster
score    from files to rows: listed with their digests, read, checked, decoded, cropped, embedded, decided
serial   the same without the thread that reads, decodes and crops ahead
crops    listing, reading, decoding and cropping alone

The pictures are face crops (48: PNG, larger ones: JPEG), so that no face is looked for, but for the case `photo`: there
MTCNN is the bound. The network is `cnn` with ResNet18 and random weights. Medians over rounds that take turns.
`of wall time` and `of processor time` are the network's share of what `score` takes: the first is its speed beside the
network's, the second what is left of that where no core is free for the thread ahead, and holds on a busy machine.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch

from fer_core.embedding import embed
from fer_core.faces.warp import encode
from fer_core.levels import Level
from fer_core.methods import REGISTRY
from fer_core.predictor import Predictor
from fer_core.runs import RunDescription
from fer_core.scoring.faces import BATCH, Listing, Scorer, score_pictures
from fer_core.scoring.sources import open_source
from fer_core.synthetic import Face, render
from fer_core.targets import Counts
from fer_core.training import build_network
from fer_core.vocabulary import EIGHT

FACE_AND_PATCH = {"48": (48, 44), "112": (112, 104), "224": (236, 224), "photo": (112, 104)}
SIDE = {"48": 48, "112": 112, "224": 224, "photo": 320}
NUM_PICTURES = {"48": 512, "112": 256, "224": 128, "photo": 64}


def untrained(case: str) -> Predictor:
    """A model whose network has random weights."""
    face_size, patch_size = FACE_AND_PATCH[case]
    method, counts = REGISTRY["cnn"], Counts(len(EIGHT), len(EIGHT))
    options = method.Options()
    description = RunDescription(
        method="cnn",
        method_options=options.model_dump(mode="json"),
        backbone="resnet18",
        face_size=face_size,
        patch=patch_size,
        frame_is_face=case != "photo",
        classes=list(EIGHT),
        poses=[],
        class_of_label=list(range(len(EIGHT))),
        counts=vars(counts),
        history=[],
        steps={},
    )
    network = build_network(method(options), "resnet18", patch_size, counts, seed=0).eval()
    with (
        patch("fer_core.predictor.read_description", lambda _: description),
        patch("fer_core.predictor.load_network", lambda _: network),
        patch("fer_core.predictor.read_level", lambda _: drawn_level()),
    ):
        return Predictor(Path(), Path())


def drawn_level(size: int = 512) -> Level:
    """A component a class."""
    groups = np.arange(len(EIGHT))
    drawn = np.random.default_rng(0).normal(size=(len(EIGHT), size)).astype(np.float32)
    return Level(
        groups.astype(str), groups, groups, drawn, drawn, np.ones_like(drawn), np.full(len(EIGHT), 1.0), groups, groups
    )


def draw(folder: Path, case: str) -> Path:
    """Pictures of a few drawn people, each file with noise of its own."""
    rng = np.random.default_rng(0)
    images = [render(Face(at, EIGHT[at], 0.8, 0.0, 0), SIDE[case])[0] for at in range(len(EIGHT))]
    for at in range(NUM_PICTURES[case]):
        noisy = np.clip(images[at % len(EIGHT)] + rng.normal(0, 6, images[0].shape), 0, 255).astype(np.uint8)
        data = encode(noisy)
        (folder / f"{at:04d}.{'png' if data[1:4] == b'PNG' else 'jpg'}").write_bytes(data)
    return folder


@contextmanager
def serial(things: Iterable[object], most: int = 0) -> Iterator[Iterator[object]]:
    """As `ahead`, each thing made when it is asked for."""
    yield iter(things)


def ways_of(case: str, folder: Path) -> dict[str, Callable[[], int]]:
    """What is measured; each gives how many pictures it has done."""
    predictor, source = untrained(case), open_source(str(folder))
    scorer = Scorer("benchmark", 1, predictor)
    ready = torch.randint(0, 256, (BATCH, *2 * [predictor.description.patch], 3), dtype=torch.uint8)
    times = max(1, NUM_PICTURES[case] // BATCH)

    def network() -> int:
        deque((embed(predictor.network, ready) for _ in range(times)), maxlen=0)
        return times * BATCH

    def score() -> int:
        pictures = Listing(source.pictures(), NUM_PICTURES[case], lambda _: None).pictures_of(0)
        table, aside = score_pictures(source, pictures, 0, scorer, lambda _: None)
        return len(table) + len(aside)

    def one_by_one() -> int:
        with patch("fer_core.scoring.faces.ahead", serial):
            return score()

    def crops() -> int:
        pictures = list(source.pictures())
        return sum(map(len, predictor.crops_of(source.read(pictures, 0))))

    return {"network": network, "score": score, "serial": one_by_one, "crops": crops}


class Speed(NamedTuple):
    """Pictures a second of wall time, and of the processor's."""

    wall: float
    processor: float


def speed_of(work: Callable[[], int]) -> Speed:
    """Do it once."""
    wall, processor = time.perf_counter(), time.process_time()
    done = work()
    return Speed(done / (time.perf_counter() - wall), done / (time.process_time() - processor))


def share(rounds: list[dict[str, Speed]], kind: str) -> float:
    """The median of the network's share of what `score` takes."""
    return statistics.median(getattr(one["score"], kind) / getattr(one["network"], kind) for one in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(SIDE), default=list(SIDE))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of the network")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{'case':<8}{'threads':>8}{'network':>10}{'score':>10}{'serial':>10}{'crops':>10}   of wall, processor time")
    for case in options.cases:
        with tempfile.TemporaryDirectory(prefix="fer-scoring-") as folder:
            ways = ways_of(case, draw(Path(folder), case))
            for threads in options.threads:
                torch.set_num_threads(threads)
                rounds = [{way: speed_of(work) for way, work in ways.items()} for _ in range(options.rounds + 1)][1:]
                rates = {way: statistics.median(one[way].wall for one in rounds) for way in ways}
                shares = {kind: share(rounds, kind) for kind in Speed._fields}
                cells = "".join(f"{made:>10.0f}" for made in rates.values())
                print(f"{case:<8}{threads:>8}{cells}{shares['wall']:>10.2f}{shares['processor']:>10.2f}", flush=True)
                rows.append({"case": case, "threads": threads, **rates, **shares})
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
