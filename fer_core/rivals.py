"""What a model says of the cases that another one was tested on, so that the two can be compared on equal rows."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from fer_core.assessment.pairs import IndexPairs, assess_pairs
from fer_core.directories import read_columns, read_manifest
from fer_core.embedding import Embeddings, embed_rows
from fer_core.landmarks.table import with_points
from fer_core.predictor import Predictor
from fer_core.reading import open_pictures, read_tested, without_margin

AT_ONCE = 256
"""Crops that a model is given together."""


def decisions_of(predictor: Predictor, faces: Path, tested: pa.Table) -> np.ndarray:
    """The model's decision on each case, strings (N,); empty where it can say nothing of it, which is wrong.

    Args:
        predictor: the model.
        faces: directory that holds the faces of the cases.
        tested: the other model's predictions: sample_id, truth and, of pairs, fold.

    Raises:
        InputError: a file of `faces` is missing or damaged, or a model of landmarks finds none in them.
    """
    sample_id = np.array(tested["sample_id"].to_pylist())
    protocol = predictor.description.build_method().protocol
    if protocol == "pairs":
        return _of_pairs(predictor, faces, tested)
    if protocol == "landmarks":
        return _of_landmarks(predictor, faces, sample_id)
    said = predictor.predicted(_embedded(predictor, faces, sample_id)).expression
    return np.array(predictor.classes)[said]


def _of_pairs(predictor: Predictor, faces: Path, tested: pa.Table) -> np.ndarray:
    """Same or different, with the thresholds that are best for this model on the other folds."""
    pairs = [name.split("|") for name in tested["sample_id"].to_pylist()]
    names = np.unique(pairs)
    first, second = (np.searchsorted(names, [pair[side] for pair in pairs]) for side in (0, 1))
    same = np.array(tested["truth"].to_pylist()) == "same"
    made = _embedded(predictor, faces, names).embedding_ND
    index = IndexPairs(first, second, same, tested["fold"].to_numpy())
    found = assess_pairs(made, names, names, index, seed=0, resamples=1)
    return np.array(found.table["decision"].to_pylist())


def _of_landmarks(predictor: Predictor, faces: Path, sample_id: np.ndarray) -> np.ndarray:
    run = predictor.description
    table = with_points(read_tested(faces, predictor.classes, tuple(run.poses)))
    rows = np.flatnonzero(np.isin(table.sample_id, sample_id))
    said = predictor.predicted(embed_rows(predictor.network, run.inputs(table), rows, lambda *_: None)).expression
    decision_of = dict(zip(table.sample_id[rows].tolist(), np.array(predictor.classes)[said].tolist(), strict=True))
    return np.array([decision_of.get(name, "") for name in sample_id.tolist()])


def _embedded(predictor: Predictor, faces: Path, sample_id: np.ndarray) -> Embeddings:
    """The upright crops of some samples, embedded in their order."""
    place_of = _upright_places(faces)
    crops, margin = open_pictures(faces), read_manifest(faces).config.get("margin", 0)
    parts = []
    for names in _in_parts(sample_id.tolist()):
        wide = crops.images([place_of[name] for name in names])
        parts.append(predictor.embed_faces(without_margin(wide, margin)))
    return Embeddings.joined(parts)


def _in_parts(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE))


def _upright_places(faces: Path) -> dict[str, int]:
    table = read_columns(faces, "part-", ["sample_id", "rotation"])
    rotation = table["rotation"].to_numpy()
    return {name: place for place, name in enumerate(table["sample_id"].to_pylist()) if rotation[place] == 0}
