"""Testing a representation of landmarks: a linear SVM, similarity triplets, and what the decoder draws.

N training rows, M test rows, T triplets, X numbers of a face.
"""

import dataclasses
import json

import numpy as np
import torch

from fer_core.assessment.base import Assessed, Case, Drawn
from fer_core.embedding import embed_rows
from fer_core.errors import InputError
from fer_core.evaluation.bootstrap import Interval, SubjectBootstrap
from fer_core.landmarks.drawing import transfer_figure, traversal_figure
from fer_core.landmarks.generation import Transfer, Traversals, transfer, traversals
from fer_core.landmarks.networks import LandmarkNetwork
from fer_core.landmarks.quality import LinearSvm, fit_svm
from fer_core.reading import FaceTable
from fer_core.tuples import label_triplets

TRIPLETS_PER_SAMPLE = 4
"""1,000 triplets of 250 test samples (landmark_vae, section V-B)."""
NUM_TRANSFERS = 4
DRAWN_DIMENSIONS = 10


def with_landmarks(assessed: Assessed, case: Case) -> Assessed:
    """What was found of the expressions, with the SVM's accuracy, the satisfied triplets and the decoder's faces."""
    faces = case.tested
    rows = faces.rows_of("test", upright=True)
    emb_MD = np.stack(assessed.embeddings["embedding"].to_numpy(zero_copy_only=False))
    svm = _svm(case)
    right_M = svm.predicted(emb_MD) == faces.label[rows]
    metrics = {"svm_accuracy": _share(right_M, faces.group[rows], case)}
    triplets_T3 = _triplets(faces, rows, case.seed)
    notes = ["The cost of the linear SVM and, of a model that is trained, its step were chosen on validation people."]
    if triplets_T3 is None:
        notes.append("The test faces are too few for similarity triplets, so none are counted.")
    else:
        distance_T2 = np.linalg.norm(emb_MD[triplets_T3[:, :1]] - emb_MD[triplets_T3[:, 1:]], axis=2)
        nearer_T = distance_T2[:, 0] < distance_T2[:, 1]
        metrics["satisfied_triplets"] = _share(nearer_T, faces.group[rows][triplets_T3[:, 0]], case)
        notes.append(f"{len(triplets_T3)} triplets of test faces by their labels; equal distances do not count.")
    coder = getattr(case.predictor.network, "coder", None)
    facts = [*assessed.facts, ("numbers of a face", assessed.embeddings["embedding"].type.list_size)]
    known = dataclasses.replace(assessed, metrics=assessed.metrics | metrics, notes=assessed.notes + notes, facts=facts)
    if coder is None:
        return known
    return dataclasses.replace(
        known,
        draw=lambda: assessed.draw() + _generated_figures(coder, case),
        files=lambda: assessed.files() | _generated_files(coder, case),
    )


def _svm(case: Case) -> LinearSvm:
    level, faces = case.predictor.level, case.trained
    rows = faces.rows_of("valid", upright=True)
    inputs = case.predictor.description.inputs(faces)
    valid_MD = embed_rows(case.predictor.network, inputs, rows, lambda *_: None).embedding_ND
    return fit_svm(level.embedding_ND, level.class_N, valid_MD, faces.label[rows])


def _share(right: np.ndarray, subjects: np.ndarray, case: Case) -> Interval:
    bootstrap = SubjectBootstrap(subjects, case.seed, case.resamples)
    sums = bootstrap.sums(np.column_stack([right, np.ones(len(right))]).astype(float))
    return bootstrap.interval(float(right.mean()), sums[:, 0] / sums[:, 1])


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


def _generated_figures(coder: LandmarkNetwork, case: Case) -> list[Drawn]:
    moved, made, names = _generated(coder, case)
    count = min(DRAWN_DIMENSIONS, len(moved.dimension_K))
    caption = (
        "One latent at a time from three deviations below to three above, on the mean neutral face; most telling first."
    )
    drawn = [Drawn("traversals", "Traversals", caption, traversal_figure(moved, count))]
    if made:
        caption = "A test person's expression, that person's neutral face, another's, and the expression on the other."
        drawn.append(Drawn("transfer", "Expression transfer", caption, transfer_figure(made, names)))
    return drawn


def _generated_files(coder: LandmarkNetwork, case: Case) -> dict[str, bytes]:
    moved, made, names = _generated(coder, case)
    transfers = [{"expression": name, **one.as_json()} for name, one in zip(names, made, strict=True)]
    return {
        "traversals.json": json.dumps(moved.as_json()).encode(),
        "transfers.json": json.dumps(transfers).encode(),
    }
