"""What a model says of one picture, for a person to look at: of every face, and which training faces it goes by.

D embedding size, N training faces.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from fer_core.embedding import Embeddings
from fer_core.errors import InputError
from fer_core.evaluation.neighbours import nearest
from fer_core.faces.finding import Face, find_every_face
from fer_core.faces.placement import by_frame
from fer_core.faces.warp import crops_of
from fer_core.pictures import in_colour, opened
from fer_core.predictor import Predictor

MOST_FACES = 32
"""Of a picture that something is said of, the largest ones; of a crowd only their number is told."""
NUM_SHOWN = 8
"""Training faces of each kind."""


def explain(predictor: Predictor, picture: bytes, whole: bool) -> dict[str, Any]:
    """What a model says of each face of an encoded picture, as JSON values.

    Args:
        predictor: of a method that looks at pictures.
        whole: the picture is one face as it is; else faces are looked for.

    Returns:
        width, height, and found (the number of faces); faces, the largest first, each with
        square (x, y of its centre, side, and tilt in degrees clockwise: what is cut out and looked at) and by (how it
        was found); expression, probabilities (by expression), sub_class and yaw, null where the model says none;
        nearest (the training faces next to it) and typical (those next to the middle of its sub-class), each with row
        (in the level), expression, sub_class and distance.

    Raises:
        InputError: the bytes are no picture that may be decoded.
    """
    image = _required(picture)
    height, width = image.shape[:2]
    found = [Face(by_frame(height, width, "frame"), None, None)] if whole else find_every_face(image)
    told = found[:MOST_FACES]
    return {
        "width": width,
        "height": height,
        "found": len(found),
        "faces": _explained(predictor, image, told) if told else [],
    }


def _required(picture: bytes) -> np.ndarray:
    image = opened(picture)
    if isinstance(image, tuple):
        reason, detail = image
        raise InputError(f"the picture cannot be read: {reason}{f' ({detail})' if detail else ''}")
    return in_colour(image)


def _explained(predictor: Predictor, image: np.ndarray, faces: list[Face]) -> list[dict[str, Any]]:
    crops = [crops_of(image, face.placement, predictor.description.face_size)[0] for face in faces]
    given = predictor.embed_faces(np.stack(crops))
    said = _said(predictor, given)
    index_FK, distance_FK = nearest(given.embedding_ND, predictor.level.embedding_ND, NUM_SHOWN)
    return [
        {
            "square": {name: getattr(face.placement, name) for name in ("x", "y", "side", "tilt")},
            "by": face.placement.by,
            **said[at],
            "nearest": _rows(predictor, index_FK[at], distance_FK[at]),
        }
        for at, face in enumerate(faces)
    ]


def _said(predictor: Predictor, given: Embeddings) -> list[dict[str, Any]]:
    """Of each face what it expresses; of a model that tells people apart nothing."""
    if predictor.decides_by == "distance":
        names = ("expression", "probabilities", "sub_class", "yaw")
        return [{**dict.fromkeys(names), "typical": []} for _ in given.embedding_ND]
    made, classes = predictor.predicted(given), predictor.classes
    return [
        {
            "expression": classes[made.expression[at]],
            "probabilities": dict(zip(classes, made.probability[at].tolist(), strict=True)),
            "sub_class": predictor.level.name_of(group, classes),
            "yaw": None if made.yaw is None else float(made.yaw[at]),
            "typical": _typical(predictor, group),
        }
        for at, group in enumerate(made.group.tolist())
    ]


def _typical(predictor: Predictor, group: int) -> list[dict[str, Any]]:
    """The training faces of a sub-class that lie next to its middle."""
    level = predictor.level
    own = np.flatnonzero(level.group_N == group)
    index_1K, distance_1K = nearest(level.mean_GD[level.group_G == group], level.embedding_ND[own], NUM_SHOWN)
    return _rows(predictor, own[index_1K[0]], distance_1K[0])


def _rows(predictor: Predictor, rows: np.ndarray, distances: np.ndarray) -> list[dict[str, Any]]:
    level, classes = predictor.level, predictor.classes
    described: Iterable[tuple[int, float]] = zip(rows.tolist(), distances.tolist(), strict=True)
    return [
        {
            "row": row,
            "expression": classes[level.class_N[row]],
            "sub_class": level.name_of(level.group_N[row], classes),
            "distance": distance,
        }
        for row, distance in described
    ]
