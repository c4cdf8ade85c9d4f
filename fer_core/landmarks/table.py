"""The landmarks of a faces directory beside each person's neutral ones, as rows to train and test on."""

import dataclasses

import numpy as np

from fer_core.directories import read_columns
from fer_core.errors import InputError
from fer_core.landmarks.neutral import neutral_rows
from fer_core.landmarks.points import table_vectors
from fer_core.reading import FaceTable

COLUMNS = ["landmarks", "landmarks_3d", "pose_yaw", "action_units", "expression", "rotation"]


def with_points(faces: FaceTable) -> FaceTable:
    """The upright rows that have landmarks and whose person has a neutral face, with `points` (N, 2X) float32 [x, y].

    x are the row's landmarks as `points.table_vectors` gives them, y those of the person's neutral face.

    Raises:
        InputError: no row has landmarks, or nobody a neutral face.
    """
    table = read_columns(faces.directory, "part-", COLUMNS)
    vectors = table_vectors(table)
    vector_of = np.full(len(table), -1)
    vector_of[vectors.row_N] = np.arange(len(vectors.row_N))
    upright = np.flatnonzero((faces.rotation == 0) & (vector_of[faces.picture] >= 0))
    x_NX = vectors.x_NX[vector_of[faces.picture[upright]]]
    units = table["action_units"].take(faces.picture[upright]).to_pylist()
    expressions = table["expression"].take(faces.picture[upright]).to_pylist()
    own = neutral_rows(x_NX, faces.group[upright].tolist(), expressions, units)
    kept = np.flatnonzero(own.row_N >= 0)
    if not len(kept):
        raise InputError(f"{faces.directory.name}: nobody has a neutral face; label one a person, or code action units")
    points_N2X = np.concatenate([x_NX[kept], x_NX[own.row_N[kept]]], axis=1)
    return dataclasses.replace(faces.only(upright[kept]), points=points_N2X)
