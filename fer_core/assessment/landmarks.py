"""Testing a representation of landmarks: a linear SVM, similarity triplets, and what the decoder draws.

N training rows, M test rows, T triplets, X numbers of a face.
"""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import torch

from fer_core.assessment.base import Assessed, Case, Drawn
from fer_core.embedding import embed_rows
from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import Interval, share_interval
from fer_core.landmarks.drawing import transfer_figure, traversal_figure
from fer_core.landmarks.generation import Transfer, Traversals, transfer, traversals
from fer_core.landmarks.networks import LandmarkNetwork
from fer_core.landmarks.quality import LinearSvm, fit_svm, satisfied
from fer_core.landmarks.triplets import read_triplets
from fer_core.reading import FaceTable
from fer_core.tuples import label_triplets
from fer_core.tuples.human import DIFFERENCES

TRIPLETS_PER_SAMPLE = 4
"""1,000 triplets of 250 test samples (landmark_vae, section V-B)."""
NUM_TRANSFERS = 4


def with_landmarks(assessed: Assessed, case: Case) -> Assessed:
    """What was found of the expressions, with the SVM's accuracy, the satisfied triplets and the decoder's faces."""
    faces = case.tested
    rows = faces.rows_of("test", upright=True)
    emb_MD = np.stack(assessed.embeddings["embedding"].to_numpy(zero_copy_only=False))
    svm = _svm(case)
    right_M = svm.predicted(emb_MD) == faces.label[rows]
    metrics = {"svm_accuracy": _share(right_M, faces.group[rows], case)}
    counted, told = (
        _by_labels(emb_MD, rows, case) if case.human_triplets is None else _by_people(case.human_triplets, case)
    )
    metrics |= counted
    chosen = "The cost of the linear SVM and, of a model that is trained, its step were chosen on validation people."
    notes = [chosen, told]
    coder = getattr(case.predictor.network, "coder", None)
    facts = [*assessed.facts, ("numbers of a face", assessed.embeddings["embedding"].type.list_size)]
    known = dataclasses.replace(assessed, metrics=assessed.metrics | metrics, notes=assessed.notes + notes, facts=facts)
    if coder is None:
        return known
    generated = functools.cache(lambda: _generated(coder, case))  # for the figures and the files
    return dataclasses.replace(
        known,
        draw=lambda: assessed.draw() + _generated_figures(*generated()),
        files=lambda: assessed.files() | _generated_files(*generated()),
    )


def _svm(case: Case) -> LinearSvm:
    level, faces = case.predictor.level, case.trained
    rows = faces.rows_of("valid", upright=True)
    inputs = case.predictor.description.inputs(faces)
    valid_MD = embed_rows(case.predictor.network, inputs, rows, lambda *_: None).embedding_ND
    return fit_svm(level.embedding_ND, level.class_N, valid_MD, faces.label[rows])


def _share(right: np.ndarray, subjects: np.ndarray, case: Case) -> Interval:
    return share_interval(right, subjects, case.seed, case.resamples)


def _by_labels(emb_MD: np.ndarray, rows: np.ndarray, case: Case) -> tuple[dict[str, Interval], str]:
    """The satisfied share of triplets by labels, and what is to be told of it."""
    triplets_T3 = _triplets(case.tested, rows, case.seed)
    if triplets_T3 is None:
        return {}, "The test faces are too few for similarity triplets, so none are counted."
    share = _share(satisfied(emb_MD, triplets_T3), case.tested.group[rows][triplets_T3[:, 0]], case)
    told = f"{len(triplets_T3)} triplets of test faces by their labels; equal distances do not count."
    return {"satisfied_triplets": share}, told


def _by_people(folder: Path, case: Case) -> tuple[dict[str, Interval], str]:
    """The satisfied share of people's triplets of test faces, of all and by vote difference (table III)."""
    faces = case.tested
    rows = faces.rows_of("test", upright=True, unlabelled=True)
    made = read_triplets(folder, faces.sample_id[rows])
    if not len(made.weight_V):
        return {}, "None of people's triplets is of test faces, so none are counted."
    used, place = np.unique(made.triplets_V3, return_inverse=True)
    triplets_T3 = place.reshape(made.triplets_V3.shape)
    inputs = case.predictor.description.inputs(faces)
    emb_MD = embed_rows(case.predictor.network, inputs, rows[used], lambda *_: None).embedding_ND
    right_T, subject_T = satisfied(emb_MD, triplets_T3), faces.group[rows[used]][triplets_T3[:, 0]]
    chosen = {f"satisfied_triplets_{weight}": made.weight_V == weight for weight in DIFFERENCES}
    chosen = {"satisfied_triplets": made.weight_V > 0, **{name: own for name, own in chosen.items() if own.any()}}
    counts = ", ".join(f"{(made.weight_V == weight).sum()} of difference {weight}" for weight in DIFFERENCES)
    told = f"{len(right_T)} triplets of test faces that people judged ({counts}); equal distances do not count."
    return {name: _share(right_T[own], subject_T[own], case) for name, own in chosen.items()}, told


def _triplets(faces: FaceTable, rows: np.ndarray, seed: int) -> np.ndarray | None:
    intensity = None if np.isnan(faces.intensity[rows]).all() else faces.intensity[rows]
    names = np.array(faces.classes)[faces.label[rows]]
    try:
        return label_triplets(names, intensity, TRIPLETS_PER_SAMPLE * len(rows), seed)
    except InputError:  # too few test faces for so many triplets
        return None


def _generated(coder: LandmarkNetwork, case: Case) -> tuple[Traversals, list[Transfer], list[str]]:
    """Traversals from the mean neutral face, and expressions of some test people put on the next one."""
    faces = case.tested
    assert faces.points is not None
    neutral_X = case.predictor.network.neutral_X
    assert isinstance(neutral_X, torch.Tensor)
    moved = traversals(coder.decode, torch.zeros(coder.mu.out_features), neutral_X)
    rows = faces.rows_of("test", upright=True)
    first = rows[np.unique(faces.label[rows], return_index=True)[1]]
    chosen = [row for row in first.tolist() if faces.classes[faces.label[row]] != "neutral"][:NUM_TRANSFERS]
    made, names = [], []
    for row in chosen:
        others = rows[faces.group[rows] != faces.group[row]]
        if len(others):
            x_from, y_from = torch.from_numpy(faces.points[row]).chunk(2)
            y_to = torch.from_numpy(faces.points[others[0]]).chunk(2)[1]
            made.append(transfer(coder.encode, coder.decode, x_from, y_from, y_to))
            names.append(faces.classes[faces.label[row]])
    return moved, made, names


def _generated_figures(moved: Traversals, made: list[Transfer], names: list[str]) -> list[Drawn]:
    caption = (
        "One latent at a time from three deviations below to three above, on the mean neutral face; most telling first."
    )
    drawn = [Drawn("traversals", "Traversals", caption, traversal_figure(moved))]
    if made:
        caption = "A test person's expression, that person's neutral face, another's, and the expression on the other."
        drawn.append(Drawn("transfer", "Expression transfer", caption, transfer_figure(made, names)))
    return drawn


def _generated_files(moved: Traversals, made: list[Transfer], names: list[str]) -> dict[str, bytes]:
    transfers = [{"expression": name, **one.as_json()} for name, one in zip(names, made, strict=True)]
    return {
        "traversals.json": json.dumps(moved.as_json()).encode(),
        "transfers.json": json.dumps(transfers).encode(),
    }
