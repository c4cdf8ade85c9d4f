"""A trained model in use: face pictures in; expression, probabilities, embedding and sub-class out."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core.embedding import BATCH, embed
from fer_core.errors import InputError
from fer_core.evaluation.neighbours import count_votes, majority, nearest
from fer_core.faces.placement import by_frame, by_landmarks, transform_of
from fer_core.faces.warp import warp
from fer_core.ingest import decode, picture_problem
from fer_core.levels import Level, read_level
from fer_core.patches import Patches
from fer_core.runs import load_network, read_description

NEIGHBOURS = 11
"""Of the kNN decision (sgm, section 4.2.2); fixed beforehand, never chosen on the test part."""


@dataclass(frozen=True)
class Predictions:
    """What a model says of B pictures.

    Attributes:
        expression: (B,) index into the model's classes.
        probability: (B, C) float32.
        embedding: (B, D) float32.
        group: (B,) the sub-class: the most probable component of the predicted expression's mixture.
    """

    expression: np.ndarray
    probability: np.ndarray
    embedding: np.ndarray
    group: np.ndarray


class Predictor:
    """A run's network with its last level: the training embeddings and the mixtures.

    Args:
        run, level: folders that runs.save_run and levels.make_level have written.
    """

    def __init__(self, run: Path, level: Path) -> None:
        self.description = read_description(run)
        self.network = load_network(run)
        self.level: Level = read_level(level)
        self.classes = tuple(self.description.classes)
        self.decides_by = self.description.build_method().decides_by
        self._patches = Patches(self.description.face_size, self.description.patch)

    def predict_pictures(self, pictures: list[bytes], landmarks: list[np.ndarray | None] | None = None) -> Predictions:
        """Encoded pictures -> predictions; without landmarks (P, 2+) the whole picture is taken as the face.

        Raises:
            InputError: there is none, or one cannot be read; the message says which and why.
        """
        if not pictures:
            raise InputError("no picture was given")
        made = []
        for start in range(0, len(pictures), BATCH):
            batch = range(start, min(start + BATCH, len(pictures)))
            faces = [self._face(at, pictures[at], landmarks[at] if landmarks else None) for at in batch]
            made.append(self.predict_faces(np.stack(faces)))
        columns = ([getattr(part, field.name) for part in made] for field in dataclasses.fields(Predictions))
        return Predictions(*(np.concatenate(column) for column in columns))

    def predict_faces(self, faces_BHWC: np.ndarray) -> Predictions:
        """Face crops uint8 (B, S, S, 3) -> predictions; crops of another side than the model's are scaled to it."""
        return self.predicted(*embed(self.network, self._patches.central(self._scaled(faces_BHWC))))

    def _scaled(self, faces_BHWC: np.ndarray) -> np.ndarray:
        size, side = self.description.face_size, faces_BHWC.shape[1]
        if side == size:
            return faces_BHWC
        transform = transform_of(by_frame(side, side, "frame"), size, rotation=0.0)
        return np.stack([warp(face, transform, size) for face in faces_BHWC])

    def predicted(self, embedding_BD: np.ndarray, logits_BL: np.ndarray | None) -> Predictions:
        """Decide from what the network gives for a batch."""
        probability, expression = (
            self._by_neighbours(embedding_BD)
            if self.decides_by == "neighbours" or logits_BL is None
            else self._by_classifier(logits_BL)
        )
        return Predictions(expression, probability, embedding_BD, self.group(embedding_BD, expression))

    def _by_neighbours(self, embedding_BD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The share (B, C) of the 11 neighbours, and their majority (B,), ties as in the evaluation."""
        neighbour_BK = self.level.class_N[nearest(embedding_BD, self.level.embedding_ND, NEIGHBOURS)[0]]
        share_BC = count_votes(neighbour_BK, len(self.classes)) / neighbour_BK.shape[1]
        return share_BC.astype(np.float32), majority(neighbour_BK, len(self.classes))

    def _by_classifier(self, logits_BL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Softmax with the sub-classes of a class summed (B, C), and the most probable class (B,)."""
        exponent = np.exp(logits_BL - logits_BL.max(axis=1, keepdims=True))
        share = exponent / exponent.sum(axis=1, keepdims=True)
        class_of_label = np.asarray(self.description.class_of_label)
        own = [share[:, class_of_label == one].sum(axis=1) for one in range(len(self.classes))]
        probability_BC = np.stack(own, axis=1)
        return probability_BC, probability_BC.argmax(axis=1)

    def group(self, embedding_BD: np.ndarray, class_B: np.ndarray) -> np.ndarray:
        """The most probable component (B,) of each sample's own class."""
        level = self.level
        found = np.empty(len(embedding_BD), dtype=np.int64)
        for one in np.unique(class_B):
            own, of_class = class_B == one, level.class_G == one
            mean_KD, variance_KD = level.mean_GD[of_class], level.variance_GD[of_class]
            distance_BKD = np.square(embedding_BD[own][:, None] - mean_KD) / variance_KD + np.log(variance_KD)
            log_joint_BK = np.log(level.weight_G[of_class]) - distance_BKD.sum(axis=2) / 2
            found[own] = level.group_G[of_class][log_joint_BK.argmax(axis=1)]
        return found

    def _face(self, at: int, picture: bytes, landmarks: np.ndarray | None) -> np.ndarray:
        problem = picture_problem(picture)
        image = None if problem else decode(picture)
        if image is None:
            reason = ": ".join(problem) if problem else "damaged or truncated picture"
            raise InputError(f"picture {at} cannot be read: {reason}")
        size = self.description.face_size
        placement = by_frame(image.shape[0], image.shape[1], "frame")
        if landmarks is not None:
            points = np.asarray(landmarks, dtype=float)
            placed = by_landmarks(points, None, "landmarks") if len(points) and np.isfinite(points).all() else None
            if placed is None:
                raise InputError(f"picture {at} cannot be cropped: its landmarks are one point, none or not finite")
            placement = placed.placement
        face = warp(image, transform_of(placement, size, rotation=0.0), size)
        return face if face.ndim == 3 else np.repeat(face[:, :, None], 3, axis=2)
