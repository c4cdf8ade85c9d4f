"""Faces that can be looked through by their embeddings: those a model has scored, or those that it was trained on.

N faces, D embedding size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core.directories import read_columns
from fer_core.errors import InputError
from fer_core.galleries.training_faces import TrainingFaces
from fer_core.ingest.scanning import escaped
from fer_core.levels import embedding_matrix
from fer_core.predictor import Cut, Predictor
from fer_core.scoring.asked_pictures import PictureSource
from fer_core.scoring.faces import PREDICTIONS, Listing

Crops = Callable[[Sequence[str]], dict[str, np.ndarray]]
"""Names of faces -> the crops, uint8 (S, S, 3) RGB, of those that still can be looked at."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Faces with what is known of them.

    Attributes:
        what: they are, in a few words.
        name: (N,) the path of the picture, or the sample id.
        expression, sub_class: (N,) as scored, or as trained on; None of a model that tells people apart.
        embedding_ND: float32.
        crops: looks them up.
    """

    what: str
    name: list[str]
    expression: list[str | None]
    sub_class: list[str | None]
    embedding_ND: np.ndarray
    crops: Crops


def scored_gallery(folder: Path, crops: Crops) -> Gallery:
    """The faces of a finished directory of scores.

    Raises:
        InputError: there is none, or a shard is missing or damaged.
    """
    columns = ["source_path", "expression", "sub_class", "embedding"]
    table = read_columns(folder, f"{PREDICTIONS}/part-", columns)
    if not len(table):
        raise InputError(f"{folder} holds no face; what was set aside is in its aside-*.parquet")
    name, expression, sub_class = (table[column].to_pylist() for column in columns[:3])
    return Gallery("scored pictures", name, expression, sub_class, embedding_matrix(table["embedding"]), crops)


def training_gallery(predictor: Predictor, faces: TrainingFaces | None) -> Gallery:
    """The faces that a model's sub-classes were made from; `faces` is None where they are gone."""
    level, classes = predictor.level, predictor.classes
    name: list[str] = level.sample_id.tolist()
    row_of = {sample: row for row, sample in enumerate(name)}
    of_group = {group: level.name_of(group, classes) for group in level.group_G.tolist()}
    sub_class: list[str | None] = [of_group[group] for group in level.group_N.tolist()]
    expression: list[str | None] = [classes[label] for label in level.class_N.tolist()]
    if predictor.decides_by == "distance":
        expression = sub_class = [None] * len(name)

    def crops(names: Sequence[str]) -> dict[str, np.ndarray]:
        looked_up = {name: None if faces is None else faces.crop(row_of[name]) for name in names}
        return {name: crop for name, crop in looked_up.items() if crop is not None}

    return Gallery("training faces", name, expression, sub_class, level.embedding_ND, crops)


def scored_crops(predictor: Predictor, source: PictureSource, listing: Listing) -> Crops:
    """Looks up faces of scored pictures where they came from; the first, of several pictures of one name."""

    def crops(names: Sequence[str]) -> dict[str, np.ndarray]:
        wanted, found = set(names), dict[str, np.ndarray]()
        for place, picture in enumerate(listing):
            name = escaped(picture.source_path)
            if name in wanted and name not in found:
                ((cut,),) = predictor.crops_of(source.read([picture], place))
                found |= {name: cut.crop} if isinstance(cut, Cut) else {}
        return found

    return crops


def no_crops(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Of faces that can no longer be looked at."""
    return {}
