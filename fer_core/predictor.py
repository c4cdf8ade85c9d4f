"""A trained model in use: face pictures in; expression, probabilities, embedding and sub-class out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from fer_core.embedding import Embeddings, embed
from fer_core.errors import InputError
from fer_core.evaluation.neighbours import count_votes, majority, nearest
from fer_core.faces.finding import Cropping, Face, find_faces
from fer_core.faces.placement import by_frame
from fer_core.faces.warp import crops_of
from fer_core.folding import folded
from fer_core.levels import Level, read_level
from fer_core.patches import Patches
from fer_core.pictures import in_colour, opened
from fer_core.runs import load_network, read_description

NEIGHBOURS = 11
"""Of the kNN decision (sgm, section 4.2.2); fixed beforehand, never chosen on the test part."""
MOST_AT_ONCE, PIXELS_AT_ONCE = 32, 2**24
"""Pictures decoded at once, and their pixels: what detection takes in one batch, and all that is in memory."""


class Unusable(NamedTuple):
    """Why a model can say nothing of a picture: it cannot be `read`, or no face can be `cropped` from it."""

    what: Literal["read", "cropped"]
    reason: str
    detail: str = ""


class Cut(NamedTuple):
    """A face cut out of a picture.

    Attributes:
        crop: uint8 (S, S, 3).
        num_faces: that were found in the picture; None where none was looked for, as it is a face crop itself or its
            landmarks are given.
        box: of this one: left, top, right, bottom in pixels; None likewise.
    """

    crop: np.ndarray
    num_faces: int | None
    box: tuple[float, float, float, float] | None


Content = bytes | np.ndarray | Unusable
"""A picture encoded, decoded as uint8 (H, W) or (H, W, 3) RGB, or why it cannot be read."""


class _Opened(NamedTuple):
    """A decoded picture, and what is known of it in a catalog row's fields."""

    image: np.ndarray
    row: dict[str, Any]

    @property
    def pixels(self) -> int:
        height, width = self.image.shape[:2]
        return height * width


@dataclass(frozen=True)
class Predictions:
    """What a model says of B pictures.

    Attributes:
        expression: (B,) index into the model's classes.
        probability: (B, C) float32.
        embedding: (B, D) float32.
        group: (B,) the sub-class: the most probable component of the predicted expression's mixture.
        yaw: (B,) degrees, the view the face is seen from; None where the model does not estimate it.
    """

    expression: np.ndarray
    probability: np.ndarray
    embedding: np.ndarray
    group: np.ndarray
    yaw: np.ndarray | None = None


class Predictor:
    """A run's network with its last level: the training embeddings and the mixtures.

    Args:
        run, level: folders that runs.save_run and levels.make_level have written.
    """

    def __init__(self, run: Path, level: Path) -> None:
        self.description = read_description(run)
        self.network = folded(load_network(run)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.level: Level = read_level(level)
        self.classes = tuple(self.description.classes)
        self.decides_by = self.description.build_method().decides_by
        self._patches = Patches(self.description.face_size, self.description.patch)

    def predict_pictures(self, pictures: list[bytes], landmarks: list[np.ndarray | None] | None = None) -> Predictions:
        """Encoded pictures -> predictions, the face found as it was in training.

        Cropped by its landmarks (P, 2+) where they are given; else the whole picture is the face, if the model was
        trained on face crops; else the largest face that is detected.

        Raises:
            InputError: there is no picture, or one cannot be read or holds no face; the message says which and why.
        """
        return self.predicted(self.embed_pictures(pictures, landmarks))

    def embed_pictures(self, pictures: list[bytes], landmarks: list[np.ndarray | None] | None = None) -> Embeddings:
        """Encoded pictures -> what the network gives for them, all that a model has that decides by distance.

        Raises:
            InputError: as predict_pictures.
        """
        if not pictures:
            raise InputError("no picture was given")
        at, parts = 0, []
        for batch in self.crops_of(pictures, landmarks):
            parts.append(self.embed_faces(np.stack([_required(at + place, cut) for place, cut in enumerate(batch)])))
            at += len(batch)
        return Embeddings.joined(parts)

    def crops_of(
        self, pictures: Iterable[Content], landmarks: Sequence[np.ndarray | None] | None = None
    ) -> Iterator[list[Cut | Unusable]]:
        """The face of each picture, or why it has none, in order and in batches that fit into memory.

        Raises:
            InputError: the model does not look at pictures.
        """
        if self.description.build_method().inputs != "pictures":
            raise InputError(f"a model of {self.description.method} looks at landmarks, not at pictures")
        opened: list[_Opened | Unusable] = []
        pixels = 0
        for at, picture in enumerate(pictures):
            opened.append(self._opened(picture, landmarks[at] if landmarks else None))
            pixels += 0 if isinstance(opened[-1], Unusable) else opened[-1].pixels
            if len(opened) == MOST_AT_ONCE or pixels >= PIXELS_AT_ONCE:
                yield self._cropped(opened)
                opened, pixels = [], 0
        if opened:
            yield self._cropped(opened)

    def _opened(self, picture: Content, landmarks: np.ndarray | None) -> _Opened | Unusable:
        image = picture if isinstance(picture, np.ndarray | Unusable) else opened(picture)
        if isinstance(image, tuple):
            return image if isinstance(image, Unusable) else Unusable("read", *image)
        row = self._row(landmarks)
        return row if isinstance(row, Unusable) else _Opened(image, row)

    def _cropped(self, opened: list[_Opened | Unusable]) -> list[Cut | Unusable]:
        usable = [one for one in opened if isinstance(one, _Opened)]
        images, rows = [one.image for one in usable], [one.row for one in usable]
        faces = iter(find_faces(rows, images, Cropping(self.description.face_size)))
        return [self._cut(one.image, next(faces)) if isinstance(one, _Opened) else one for one in opened]

    def predict_faces(self, faces_BHWC: np.ndarray) -> Predictions:
        """Face crops uint8 (B, S, S, 3) -> predictions; crops of another side than the model's are scaled to it."""
        return self.predicted(self.embed_faces(faces_BHWC))

    def label_faces(self, faces_BHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Face crops, as predict_faces takes them -> the most probable expression of each by name, its probability."""
        made = self.predict_faces(faces_BHWC)
        return np.array(self.classes)[made.expression], made.probability[np.arange(len(faces_BHWC)), made.expression]

    def embed_faces(self, faces_BHWC: np.ndarray) -> Embeddings:
        """Face crops, as predict_faces takes them -> what the network gives for them."""
        patches = np.ascontiguousarray(self._patches.central(self._scaled(faces_BHWC)))
        return embed(self.network, torch.from_numpy(patches))

    def _scaled(self, faces_BHWC: np.ndarray) -> np.ndarray:
        size, side = self.description.face_size, faces_BHWC.shape[1]
        if side == size:
            return faces_BHWC
        frame = by_frame(side, side, "frame")
        return np.stack([crops_of(face, frame, size)[0] for face in faces_BHWC])

    def predicted(self, given: Embeddings) -> Predictions:
        """Decide from what the network gives for a batch.

        Raises:
            InputError: the model tells people apart, by distance, and says no expression.
        """
        if self.decides_by == "distance":
            raise InputError(f"a model of {self.description.method} tells people apart and says no expression")
        probability, expression = (
            self._by_neighbours(given.embedding_ND)
            if self.decides_by == "neighbours" or given.logits_NC is None
            else self._by_classifier(given.logits_NC)
        )
        yaws = np.array(self.description.poses)
        yaw = None if given.pose_logits_NP is None else yaws[given.pose_logits_NP.argmax(axis=1)]
        group = self.group(given.embedding_ND, expression)
        return Predictions(expression, probability, given.embedding_ND, group, yaw)

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

    def _row(self, landmarks: np.ndarray | None) -> dict[str, Any] | Unusable:
        """What is known of a picture, in a catalog row's fields."""
        known = {"landmarks": None, "pose_yaw": None, "face_box": None, "is_face_crop": self.description.frame_is_face}
        if landmarks is None:
            return known
        points = np.asarray(landmarks, dtype=float)
        if not len(points) or not np.isfinite(points).all():
            return Unusable("cropped", "it has no landmarks, or some that are not finite")
        flat = np.column_stack([points[:, :2], np.zeros(len(points))])
        return known | {"landmarks": flat.ravel().tolist()}

    def _cut(self, image: np.ndarray, face: Face | str) -> Cut | Unusable:
        if isinstance(face, str):
            return Unusable("cropped", face)
        crop = crops_of(image, face.placement, self.description.face_size)[0]
        return Cut(in_colour(crop), face.num_faces, face.box)


def _required(at: int, cut: Cut | Unusable) -> np.ndarray:
    if isinstance(cut, Cut):
        return cut.crop
    reason = f"{cut.reason}: {cut.detail}" if cut.detail else cut.reason
    way_out = "; give its landmarks, or leave it out" if cut.what == "cropped" else ""
    raise InputError(f"picture {at} cannot be {cut.what}: {reason}{way_out}")
