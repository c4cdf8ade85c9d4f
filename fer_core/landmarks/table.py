"""The landmarks of a faces directory beside each person's neutral ones, as rows to train and test on."""

import dataclasses

import numpy as np

from fer_core.divided import read_undivided
from fer_core.errors import InputError
from fer_core.landmarks.neutral import neutral_rows
from fer_core.landmarks.points import table_vectors
from fer_core.reading import FaceTable

COLUMNS = ["landmarks", "landmarks_3d", "pose_yaw", "action_units", "expression", "rotation"]
_WAY_OUT = "label one face of each person neutral, or code action units"


def with_points(faces: FaceTable) -> FaceTable:
    """The upright rows that have landmarks and whose person has a neutral face, with `points` (N, 2X) float32 [x, y].

    x are the row's landmarks as `points.table_vectors` gives them, y those of the person's neutral face. That may be a
    face that is no row of the table, as frames of no expression are none.

    Raises:
        InputError: no row has landmarks, none of a role is left, or the training rows that are left are of one class.
    """
    rows = read_undivided(faces.directory, COLUMNS)
    vectors = table_vectors(rows.table)
    upright = np.flatnonzero(rows.numbers("rotation", 0)[vectors.row_N] == 0)
    x_NX, row_N = vectors.x_NX[upright], vectors.row_N[upright]
    units, expressions = (rows.table[name].take(row_N).to_pylist() for name in ("action_units", "expression"))
    neutral_N = neutral_rows(x_NX, rows.group[row_N].tolist(), expressions, units).row_N
    place_of = np.full(len(rows.table), -1)
    place_of[row_N] = np.where(neutral_N >= 0, np.arange(len(row_N)), -1)
    kept = np.flatnonzero((faces.rotation == 0) & (place_of[faces.picture] >= 0))
    _require_rows(faces, kept)
    place = place_of[faces.picture[kept]]
    points_N2X = np.concatenate([x_NX[place], x_NX[neutral_N[place]]], axis=1)
    return dataclasses.replace(faces.only(kept), points=points_N2X)


def _require_rows(faces: FaceTable, kept: np.ndarray) -> None:
    name = faces.directory.name
    labelled = kept if faces.unlabelled is None else kept[~faces.unlabelled[kept]]
    for role in np.unique(faces.role):
        if role not in faces.role[labelled]:
            raise InputError(f"{name}: no {role} row has landmarks and a person with a neutral face; {_WAY_OUT}")
    trained = np.unique(faces.label[labelled][faces.role[labelled] == "train"])
    if len(trained) == 1:
        raise InputError(f"{name}: the people with a neutral face are trained on in one class only; {_WAY_OUT}")
