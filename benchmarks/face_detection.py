"""Face detection on KDEF: rate and yaw for each view, and images/s against the package `mtcnn` on TensorFlow.

    python -m benchmarks.face_detection KDEF_FOLDER [--people 20] [--batches 1 8 16 64] [--peer-python PYTHON]
where PYTHON is the interpreter of an environment with `mtcnn==1.0.0 tensorflow`; without it the peer is left out.

A face counts as placed if the box of the largest face overlaps the median box of its view by 0.4 of their union:
KDEF's heads are about equally large and in about the same place. Pictures that are all black are left out.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from fer_core.detection import Detection, FaceDetector, choose_face, intersection_over_union
from fer_core.detection.look import PUBLISHED_THRESHOLDS
from fer_core.pose import estimate_yaw, estimated_view

YAWS = {"FL": -90, "HL": -45, "S": 0, "HR": 45, "FR": 90}
SHAPE = (304, 224, 3)
"""Of all but two KDEF pictures."""
PEER_LEAST_FACE = 20
"""Pixels, the peer's default. It builds a pyramid that is wrong for any larger face, and then finds none at all."""
THREADS = 2
NUM_TIMED = 64
"""Pictures a turn. Turns are short and many, as on a shared machine neighbours come and go."""


CALIBRATED_ON = 17
"""People up to this number of either sex are those that fer_core.pose's threshold was chosen on."""


def sample(folder: Path, num_people: int, seed: int) -> list[Path]:
    people = sorted({path.name[1:] for path in folder.iterdir() if path.is_dir()})
    chosen = np.random.default_rng(seed).choice(people, min(num_people, len(people)), replace=False)
    return sorted(path for person in chosen for path in folder.glob(f"[AB]{person}/*.JPG"))


def read(paths: list[Path]) -> dict[Path, np.ndarray]:
    pictures = {}
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if picture is not None and picture.shape == SHAPE and picture.mean() > 5:
            pictures[path] = picture
    return pictures


def view(path: Path) -> str:
    return path.stem[6:]


def in_batches(detector: FaceDetector, images: list[np.ndarray], batch: int) -> list[list[Detection]]:
    return [faces for at in range(0, len(images), batch) for faces in detector.detect(images[at : at + batch])]


def print_views(pictures: dict[Path, np.ndarray]) -> None:
    found = dict(zip(pictures, in_batches(FaceDetector(), list(pictures.values()), 64), strict=True))
    print(
        f"{len(pictures)} pictures\nview   num  first look  both looks  placed  yaw mean   sd  mae  right view (others)"
    )
    for name, yaw in YAWS.items():
        of_view = {path: faces for path, faces in found.items() if view(path) == name}
        of_path = {path: face for path, faces in of_view.items() if (face := choose_face(faces, "largest", *SHAPE[:2]))}
        chosen = list(of_path.values())
        median = tuple(np.median([face.box for face in chosen], axis=0))
        placed = sum(intersection_over_union(face.box, median) >= 0.4 for face in chosen)
        first = sum(face.how == "mtcnn" for face in chosen)
        shares = [count / len(of_view) for count in (first, len(chosen), placed)]
        yaws = np.array([estimate_yaw(face.landmarks_52) for face in chosen])
        others = [int(path.name[2:4]) > CALIBRATED_ON for path in of_path]
        right = np.mean([estimated_view(value) == yaw for value in yaws[others]])
        print(
            f"{name:4} {len(of_view):5}  {shares[0]:10.4f}  {shares[1]:10.4f}  {shares[2]:.4f}  {yaws.mean():8.1f} "
            f"{yaws.std():4.1f} {np.abs(yaws - yaw).mean():4.1f}  {right:11.3f}"
        )


def print_speed(pictures: dict[Path, np.ndarray], batches: list[int], rounds: int, peer_python: Path | None) -> None:
    images = [picture for path, picture in pictures.items() if view(path) in ("S", "HL", "HR")]
    images = images[:: max(1, len(images) // NUM_TIMED)][:NUM_TIMED]
    print(f"\n{len(images)} frontal and half-profile pictures, {THREADS} threads each, medians of {rounds} turns")
    alike = FaceDetector(least_face=PEER_LEAST_FACE / min(SHAPE[:2]), looks_twice=False)
    sides: dict[str, Callable[[], float]] = {
        f"ours, least face 20, batch {batch}": partial(timed, alike, images, batch) for batch in batches
    }
    sides[f"ours, as it comes, batch {batches[-1]}"] = partial(timed, FaceDetector(), images, batches[-1])
    if peer_python is None:
        print("peer left out: --peer-python is not given")
        return print_ratios({name: [side() for _ in range(rounds)] for name, side in sides.items()}, len(images))
    with tempfile.TemporaryDirectory() as folder, Peer(peer_python, images, Path(folder)) as peer:
        # in turns, so that a busy moment of the machine does not fall on one side alone
        seconds: dict[str, list[float]] = {name: [] for name in ("peer, least face 20, one at a time", *sides)}
        for _ in range(rounds):
            for name in seconds:
                seconds[name].append(sides[name]() if name in sides else peer.run()["seconds"])
        print_ratios(seconds, len(images))
        print_agreement(in_batches(alike, images, 64), peer.run()["faces"])


def timed(detector: FaceDetector, images: list[np.ndarray], batch: int) -> float:
    started = time.perf_counter()
    in_batches(detector, images, batch)
    return time.perf_counter() - started


def print_ratios(seconds: dict[str, list[float]], num_images: int) -> None:
    first = next(iter(seconds))
    for name, turns in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[first], turns, strict=True))
        print(f"{name:38} {num_images / statistics.median(turns):7.1f} images/s, {ratio:5.2f} x {first}")


def print_agreement(ours: list[list[Detection]], peers: list[list[list[float]]]) -> None:
    matched, distances = 0, []
    for detections, faces in zip(ours, peers, strict=True):
        for left, top, width, height, *points in faces:
            box = (left, top, left + width, top + height)
            same = [face for face in detections if intersection_over_union(face.box, box) >= 0.5]
            if same:
                matched += 1
                distances.append(np.linalg.norm(same[0].landmarks_52 - np.reshape(points, (5, 2)), axis=1).mean())
    total = sum(len(faces) for faces in peers)
    print(f"faces: peer {total}, ours {sum(len(faces) for faces in ours)}, matched at IoU 0.5 {matched}; ", end="")
    print(f"landmarks apart {np.median(distances):.2f} pixels (median), {np.percentile(distances, 95):.2f} (95th)")


class Peer:
    """The peer's process; each `run` is one pass over the pictures."""

    def __init__(self, python: Path, images: list[np.ndarray], folder: Path):
        np.save(folder / "pictures.npy", np.stack(images))
        script = Path(__file__).with_name("face_detection_peer.py")
        numbers = [str(value) for value in (PEER_LEAST_FACE, THREADS, *PUBLISHED_THRESHOLDS)]
        command = [str(python), str(script), str(folder / "pictures.npy"), *numbers]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()

    def run(self) -> dict:
        """One pass: `seconds`, and the `faces` of each picture."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("the peer ended; see its message above")
        return json.loads(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16, 64])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    cv2.setNumThreads(THREADS)
    pictures = read(sample(options.folder, options.people, options.seed))
    print_views(pictures)
    print_speed(pictures, options.batches, options.rounds, options.peer_python)


if __name__ == "__main__":
    main()
