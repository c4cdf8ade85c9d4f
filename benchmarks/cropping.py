"""Time crop and rotation of faces against OpenCV's bare warp and against albumentations with key points.

    python -m benchmarks.cropping [--json]

Pictures of 562x762 as KDEF's, a face of 68 landmarks in each, crops of 236 pixels at five angles. Ours: the face's
placement, one warp an angle, and, in its second form, the landmarks moved along. Bare: `warpAffine` alone with the
same matrices and the same interpolation, one warp a crop on both sides. albumentations: rotate, crop and resize of
picture and key points, in one Compose. One thread, in turn in one process; medians over rounds.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else importing it asks the network

import albumentations as A
import cv2
import numpy as np

from fer_core.faces.crop import moved_landmarks
from fer_core.faces.finding import ROTATIONS, Face
from fer_core.faces.placement import by_landmarks, transform_of
from fer_core.faces.warp import crops_of

HEIGHT, WIDTH, SIDE = 762, 562, 236
NUM_PICTURES, NUM_ROUNDS = 40, 9


def pictures() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures, and 68 landmarks (68, 3) of a face of about 400 pixels in the middle of each."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(NUM_PICTURES):
        noise = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        landmarks = np.zeros((68, 3))
        landmarks[:, :2] = rng.uniform((180, 250), (380, 520), (68, 2))
        landmarks[36:42, :2] = rng.uniform((217, 312), (233, 328), (6, 2))
        landmarks[42:48, :2] = rng.uniform((327, 312), (343, 328), (6, 2))
        landmarks[[30, 48, 54], :2] = (280, 400), (240, 475), (320, 475)
        made.append((cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), landmarks))
    return made


def ours(image: np.ndarray, landmarks_P3: np.ndarray) -> list[Any]:
    """Five crops."""
    placed = by_landmarks(landmarks_P3, None, "landmarks")
    assert placed is not None
    return crops_of(image, placed.placement, SIDE, ROTATIONS)


def ours_with_landmarks(image: np.ndarray, landmarks_P3: np.ndarray) -> list[Any]:
    """Five crops with their landmarks."""
    placed = by_landmarks(landmarks_P3, None, "landmarks")
    assert placed is not None
    face = Face(placed.placement, landmarks_P3, placed.yaw)
    crops = crops_of(image, face.placement, SIDE, ROTATIONS)
    moved = [moved_landmarks(face, transform_of(face.placement, SIDE, angle)) for angle in ROTATIONS]
    return [crops, moved]


def bare(matrices: dict[int, list[np.ndarray]]) -> Callable[[np.ndarray, np.ndarray], list[Any]]:
    """Five warps by matrices that are there already."""

    def run(image: np.ndarray, landmarks_P3: np.ndarray) -> list[Any]:
        size, border = (SIDE, SIDE), cv2.BORDER_REPLICATE
        return [cv2.warpAffine(image, m, size, flags=cv2.INTER_LINEAR, borderMode=border) for m in matrices[id(image)]]

    return run


def albumentations() -> Callable[[np.ndarray, np.ndarray], list[Any]]:
    """Five crops with their landmarks."""
    keypoints = A.KeypointParams(format="xy", remove_invisible=False)
    steps = [
        A.Compose(
            [
                A.Affine(rotate=(angle, angle), border_mode=cv2.BORDER_REPLICATE, p=1),
                A.Crop(80, 200, 480, 600, p=1),
                A.Resize(SIDE, SIDE, p=1),
            ],
            keypoint_params=keypoints,
        )
        for angle in ROTATIONS
    ]
    return lambda image, landmarks: [step(image=image, keypoints=landmarks[:, :2]) for step in steps]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    data = pictures()
    matrices = {}
    for image, landmarks in data:
        placed = by_landmarks(landmarks, None, "landmarks")
        assert placed is not None
        matrices[id(image)] = [transform_of(placed.placement, SIDE, angle) for angle in ROTATIONS]
    ways = {"ours": ours, "bare warpAffine": bare(matrices)}
    ways |= {"ours with landmarks": ours_with_landmarks, "albumentations with key points": albumentations()}
    np.testing.assert_array_equal(ways["ours"](*data[0]), ways["bare warpAffine"](*data[0]))
    rates = measure(ways, data)
    own = rates["ours"], rates["ours with landmarks"]
    print(f"{'':<32}{'crops/s':>10}{'ours is':>10}{'with landmarks':>16}")
    for name, rate in rates.items():
        print(f"{name:<32}{rate:>10.0f}{own[0] / rate:>9.2f}x{own[1] / rate:>15.2f}x")
    if options.json:
        print(json.dumps(rates))


def measure(ways: dict[str, Callable[..., Any]], data: list[Any]) -> dict[str, float]:
    """Crops a second of each way."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(NUM_ROUNDS + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            for image, landmarks in data:
                way(image, landmarks)
            if turn:
                spent[name].append(time.perf_counter() - start)
    return {name: len(data) * len(ROTATIONS) / statistics.median(times) for name, times in spent.items()}


if __name__ == "__main__":
    main()
