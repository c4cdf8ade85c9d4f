"""Faces and their five landmarks in pictures of any sizes, many pictures at a time."""

from collections.abc import Sequence

import numpy as np
import torch

from fer_core.detection.cascade import find_faces, load_networks
from fer_core.detection.crops import Batch
from fer_core.detection.detections import Detection
from fer_core.detection.look import PUBLISHED_THRESHOLDS, SECOND_LOOK, Look, seen_by


class FaceDetector:
    """MTCNN (Zhang et al. 2016) over lists of pictures.

    Args:
        device: where the networks run.
        thresholds: least probability of a face for P-, R- and O-Net in the first look.
        least_face: least side of a face that is looked for, as a share of the picture's shorter side; the time falls
            with its square. Never below 12 pixels.
        largest_side: pixels; larger pictures are shrunk to this first, so that a photo costs no more than a frame.
        looks_twice: whether pictures without a face get `SECOND_LOOK`.
        pixels_at_once: of the pictures that go through P-Net together.

    Raises:
        InputError: the published weights are not installed.
    """

    def __init__(
        self,
        device: str = "cpu",
        thresholds: tuple[float, float, float] = PUBLISHED_THRESHOLDS,
        least_face: float = 0.1,
        largest_side: int = 640,
        looks_twice: bool = True,
        pixels_at_once: int = 1 << 20,
    ):
        if not 0 < least_face <= 1:
            raise ValueError(f"least_face is a share of the picture's shorter side, not {least_face}")
        self.device = torch.device(device)
        self.first_look = Look("mtcnn", thresholds)
        self.least_face, self.largest_side = least_face, largest_side
        self.looks_twice, self.pixels_at_once = looks_twice, pixels_at_once
        self.networks = load_networks(self.device)

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Find the faces of each picture, best first; an empty list where there is none.

        What is found in a picture does not depend on the others, but pictures of one size go through P-Net together,
        and all windows of the call through R- and O-Net: give many at a time, of few sizes.

        Args:
            images: uint8 (H, W) grey or (H, W, 3) RGB, of any sizes.

        Raises:
            ValueError: a picture is not uint8 of such a shape.
        """
        _check(images)
        found = self._look(images, self.first_look)
        missed = [number for number, faces in enumerate(found) if not faces]
        if self.looks_twice and missed:
            for number, faces in zip(missed, self._look([images[at] for at in missed], SECOND_LOOK), strict=True):
                found[number] = faces
        return found

    @torch.inference_mode()
    def _look(self, images: Sequence[np.ndarray], look: Look) -> list[list[Detection]]:
        found: list[list[Detection]] = [[] for _ in images]
        if not images:
            return found
        seen = [seen_by(look, image, self.largest_side) for image in images]
        # pictures of one size next to each other
        order = sorted(range(len(seen)), key=lambda number: seen[number].shape)
        batches = self._batches([seen[number] for number in order])
        faces = find_faces(self.networks, batches, self.least_face, look.thresholds)
        for number, box, score, landmarks_52 in zip(*(part.cpu().numpy() for part in faces), strict=True):
            at = order[number]
            ratio_2 = np.array(images[at].shape[1::-1]) / seen[at].shape[1::-1]
            points = (np.vstack([box.reshape(2, 2), landmarks_52]) + 0.5) * ratio_2 - 0.5
            left, top, right, bottom = points[:2].ravel().tolist()
            found[at].append(
                Detection((left, top, right, bottom), float(score), points[2:].astype(np.float32), look.how)
            )
        return found

    def _batches(self, pictures: list[np.ndarray]) -> list[Batch]:
        """Runs of equal size, cut where they exceed `pixels_at_once`."""
        batches, start = [], 0
        while start < len(pictures):
            height, width = shape = pictures[start].shape[:2]
            most = max(1, self.pixels_at_once // (height * width))
            stop = start
            while stop < min(start + most, len(pictures)) and pictures[stop].shape[:2] == shape:
                stop += 1
            pixels = torch.from_numpy(np.stack(pictures[start:stop])).to(self.device)
            batches.append(Batch(start, pixels))
            start = stop
        return batches


def _check(images: Sequence[np.ndarray]) -> None:
    for image in images:
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or not image.size:
            raise ValueError(f"a picture is uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")
