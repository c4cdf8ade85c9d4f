"""Finding the face of a picture: by the data set's landmarks, by its frame, or by detection."""

import math
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from fer_core.detection import Detection, FaceDetector, choose_face, intersection_over_union
from fer_core.faces.placement import Placement, by_box, by_frame, by_landmarks

ROTATIONS = (-10.0, -5.0, 0.0, 5.0, 10.0)
"""Degrees of the offline rotations of training rows (mul_dml, section IV-A)."""
LEAST_OVERLAP = 0.2
"""Intersection over union of a detection and the annotated box of the face that is meant; boxes are drawn variously."""


class Cropping(NamedTuple):
    """How faces are found and cropped.

    Attributes:
        face_size: side of a crop, pixels.
        rotations: degrees.
        virtual: store each picture once, upright, with the margin its turns need; else one row an angle.
        landmarks: annotated: those of the data set; mtcnn: found, even where there are annotated ones; auto: annotated,
            else the frame of a face crop, else found.
        face: which of several faces.
        no_face: what becomes of a picture without a face.
    """

    face_size: int
    rotations: tuple[float, ...] = ROTATIONS
    virtual: bool = False
    landmarks: Literal["auto", "annotated", "mtcnn"] = "auto"
    face: Literal["largest", "central"] = "largest"
    no_face: Literal["aside", "centre"] = "aside"

    @property
    def margin(self) -> int:
        """Pixels on each side of a stored crop, so that its largest turn has no empty corner; 0 unless virtual."""
        if not self.virtual:
            return 0
        turn = math.radians(max(abs(angle) for angle in self.rotations))
        return math.ceil(self.face_size * (math.cos(turn) + math.sin(turn) - 1) / 2)


class Face(NamedTuple):
    """A face that was found: its square, and its landmarks (P, 3) in pixels of the picture where there are any.

    Where it was looked for, also the detector's box (left, top, right, bottom) and how many faces the picture has.
    """

    placement: Placement
    landmarks_P3: np.ndarray | None
    yaw: float | None
    box: tuple[float, float, float, float] | None = None
    num_faces: int | None = None


def find_faces(rows: list[dict[str, Any]], images: list[np.ndarray], cropping: Cropping) -> list[Face | str]:
    """The face of each picture, or why it has none.

    Args:
        rows: of each picture `landmarks`, `pose_yaw`, `face_box` and `is_face_crop`, as in records.SAMPLE_SCHEMA.
        images: uint8 (H, W) or (H, W, 3).
    """
    found: list[Face | str | None] = [_known_face(*known, cropping) for known in zip(rows, images, strict=True)]
    missing = [place for place, face in enumerate(found) if face is None]
    detections = _detector().detect([images[place] for place in missing]) if missing else []
    for place, several in zip(missing, detections, strict=True):
        found[place] = _detected_face(rows[place], images[place], several, cropping)
    return found  # type: ignore[return-value]


def find_every_face(image: np.ndarray) -> list[Face]:
    """All the faces that a picture, uint8 (H, W) or (H, W, 3), is found to have, the largest first."""
    found = []
    for one in sorted(_detector().detect([image])[0], key=lambda detection: -detection.area):
        points = np.column_stack([one.landmarks_52, np.zeros(5)]).astype(np.float64)
        face = _of_landmarks(points, None, one.how)
        found += [] if face is None else [face._replace(box=one.box)]
    return found


@cache
def _detector() -> FaceDetector:
    return FaceDetector()


def _known_face(row: dict[str, Any], image: np.ndarray, cropping: Cropping) -> Face | str | None:
    """The face that the data set itself tells of, why it is no use, or None where it has to be looked for."""
    if cropping.landmarks != "mtcnn" and row["landmarks"] is not None:
        landmarks = np.asarray(row["landmarks"], dtype=np.float64).reshape(-1, 3)
        return _of_landmarks(landmarks, row["pose_yaw"], "landmarks") or "all landmarks are one point"
    if cropping.landmarks == "annotated":
        return "no annotated landmarks"
    if cropping.landmarks == "auto" and row["is_face_crop"]:
        return Face(by_frame(image.shape[0], image.shape[1], "frame"), None, None)
    return None


def _detected_face(row: dict[str, Any], image: np.ndarray, several: list[Detection], cropping: Cropping) -> Face | str:
    """The face that was found: that of the annotated box where there is one, else the one asked for."""
    height, width = image.shape[:2]
    if row["face_box"] is not None:
        chosen = _of_box(several, row["face_box"])
    else:
        chosen = choose_face(several, cropping.face, height, width)
    if chosen is not None:
        points = np.column_stack([chosen.landmarks_52, np.zeros(5)]).astype(np.float64)
        face = _of_landmarks(points, row["pose_yaw"], chosen.how)
        return "no face found" if face is None else face._replace(box=chosen.box, num_faces=len(several))
    if row["face_box"] is not None:
        low, high = np.asarray(row["face_box"], dtype=np.float64).reshape(2, 2)
        box = by_box(low, high, "face box")
        if box is not None:
            return Face(box, None, None)
    return Face(by_frame(height, width, "centre"), None, None) if cropping.no_face == "centre" else "no face found"


def _of_box(several: list[Detection], box: list[float]) -> Detection | None:
    """The detection that an annotated box is of, or None."""
    overlaps = [(intersection_over_union(detection.box, box), place) for place, detection in enumerate(several)]
    best, place = max(overlaps, default=(0.0, 0))
    return several[place] if best >= LEAST_OVERLAP else None


def _of_landmarks(landmarks_P3: np.ndarray, yaw: float | None, by: str) -> Face | None:
    placed = by_landmarks(landmarks_P3, yaw, by)
    return None if placed is None else Face(placed.placement, landmarks_P3, placed.yaw)
