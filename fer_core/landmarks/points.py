"""Landmarks as input vectors (landmark VAE, section V-A): frontal, centred between the eyes, the eyes 1 apart.

Axes of a vector: x to the viewer's right, y up, z to the viewer. N faces, P landmarks, X = 3P numbers of a vector.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fer_core.errors import InputError

FEWEST_POINTS = 5
MOST_FLAT_YAW = 60.0
"""Degrees (ours). Landmarks without depth are turned back by widening them: beyond it to more than twice the width."""
LEAST_EYE_DISTANCE = 1e-6
"""Of the largest coordinate (ours): eyes nearer to each other are one point."""


class LowerLids(NamedTuple):
    """Which landmarks lie on the lower lid of either eye, in any order; an eye's place is their mean."""

    one: tuple[int, ...]
    other: tuple[int, ...]


_LOWER_LIDS = {
    5: LowerLids((0,), (1,)),  # MTCNN, RAF-DB: an eye is one point
    49: LowerLids((23, 24), (29, 30)),  # the 68 without jaw and inner mouth corners
    66: LowerLids((40, 41), (46, 47)),
    68: LowerLids((40, 41), (46, 47)),  # Multi-PIE: CK+, AffectNet
    83: LowerLids((5, 6, 7), (13, 14, 15)),  # BU-3DFE, BP4D, synthetic
}


class FaceVectors(NamedTuple):
    """`x_NX` float32 vectors of the rows `row_N` (ascending); how many rows were left out, by reason."""

    x_NX: np.ndarray
    row_N: np.ndarray
    left_out: dict[str, int]


def lower_lids(num_points: int) -> LowerLids:
    """The lower lids of a usual set of landmarks.

    Raises:
        InputError: fewer than 5 landmarks, or a number that is none of the usual sets.
    """
    if num_points < FEWEST_POINTS:
        raise InputError(f"{num_points} landmarks are too few for a face; {FEWEST_POINTS} or more are needed")
    if num_points not in _LOWER_LIDS:
        known = ", ".join(map(str, _LOWER_LIDS))
        raise InputError(
            f"where the eyes are among {num_points} landmarks is not known (it is for {known}); "
            "say which landmarks are the lower lid of either eye"
        )
    return _LOWER_LIDS[num_points]


def input_vectors(
    points_NPA: np.ndarray, yaw_N: np.ndarray | None, y_down: bool, lids: LowerLids | None = None
) -> np.ndarray:
    """Vectors (N, 3P) float32 of landmarks, x0, y0, z0, x1, ...; the training mean is not taken off.

    A face is levelled by the line of its eyes (ours: rows know no roll), turned back by its yaw, centred between the
    eyes and scaled. Landmarks of two coordinates, or of equal z, have no depth: turning them back widens them by
    1 / cos(yaw), and their z is 0.

    Args:
        points_NPA: (N, P, 2 or 3), P >= 5, in any unit; x to the viewer's right, z larger nearer to the viewer.
        yaw_N: degrees (N,), positive where the face is turned to the viewer's right; NaN or None where unknown: faces
            with depth are then turned until both eyes are equally far.
        y_down: whether y grows downwards, as in pictures.
        lids: where the eyes are; None knows the usual sets.

    Raises:
        InputError: P has no known eyes and `lids` is None, or P < 5.
        ValueError: another shape, NaN or infinity, `lids` outside the landmarks, or a face, which is named, whose eyes
            coincide, or that has no depth and a yaw that is unknown or beyond MOST_FLAT_YAW.
    """
    points_NP3, lids = _checked(points_NPA, y_down, lids)
    yaw_N = np.full(len(points_NP3), np.nan) if yaw_N is None else np.asarray(yaw_N, np.float64)
    if yaw_N.shape != points_NP3.shape[:1] or np.isinf(yaw_N).any():
        raise ValueError(f"yaw has shape {yaw_N.shape} or is infinite; degrees ({len(points_NP3)},) are needed")
    refused = _refused(points_NP3, yaw_N, lids)
    if refused:
        reason, at = min(((reason, int(rows[0])) for reason, rows in refused.items()), key=lambda found: found[1])
        raise ValueError(f"face {at} has no input vector: {reason}")
    return _normalised(points_NP3, yaw_N, lids)


def table_vectors(table: pa.Table, lids: LowerLids | None = None) -> FaceVectors:
    """Vectors of the rows of a catalog or of faces, by their columns landmarks_3d, landmarks and pose_yaw.

    Where any row has landmarks_3d, those alone are used: y up, turned by their own eyes, since pose_yaw is the
    picture's. Else the landmarks of the picture: y down, turned by pose_yaw. Rows without them, with another number of
    them than most, or that `input_vectors` would refuse are left out.

    Raises:
        InputError: no row has landmarks, or as `lower_lids`.
        ValueError: as `input_vectors`, for NaN, infinity and `lids`.
    """
    in_3d = table["landmarks_3d"].null_count < len(table)
    points_NPA, row_N, num_without = _stacked(table["landmarks_3d" if in_3d else "landmarks"].combine_chunks())
    points_NP3, lids = _checked(points_NPA, not in_3d, lids)
    yaw_N = np.full(len(row_N), np.nan) if in_3d else table["pose_yaw"].to_numpy().astype(np.float64)[row_N]
    refused = _refused(points_NP3, yaw_N, lids)
    kept_N = ~np.isin(np.arange(len(row_N)), np.concatenate([np.empty(0, np.int64), *refused.values()]))
    left_out = {"no landmarks": num_without, "another number of landmarks": len(table) - num_without - len(row_N)}
    left_out |= {reason: len(rows) for reason, rows in refused.items()}
    x_NX = _normalised(points_NP3[kept_N], yaw_N[kept_N], lids)
    return FaceVectors(x_NX, row_N[kept_N], {reason: count for reason, count in left_out.items() if count})


def _stacked(column: pa.ListArray) -> tuple[np.ndarray, np.ndarray, int]:
    """The points (N, P, 3) of the rows with the commonest number of landmarks, those rows, and how many have none."""
    length_N = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    if not length_N.any():
        raise InputError("no row has landmarks; find some with --landmarks mtcnn, or choose a data set that has them")
    row_N = np.flatnonzero(length_N == np.bincount(length_N[length_N > 0]).argmax())
    flat = pc.list_flatten(column.take(pa.array(row_N))).to_numpy(zero_copy_only=False)
    return flat.reshape(len(row_N), -1, 3), row_N, int((length_N == 0).sum())


def _checked(points_NPA: np.ndarray, y_down: bool, lids: LowerLids | None) -> tuple[np.ndarray, LowerLids]:
    """The points as float64 (N, P, 3) with y up, and where their eyes are."""
    points_NPA = np.asarray(points_NPA, np.float64)
    if points_NPA.ndim != 3 or points_NPA.shape[2] not in (2, 3):
        raise ValueError(f"landmarks have shape {points_NPA.shape}; faces of (P, 2) or (P, 3) are needed")
    num_points = points_NPA.shape[1]
    if num_points < FEWEST_POINTS or lids is None:
        lids = lower_lids(num_points)
    if not all(lid and min(lid) >= 0 and max(lid) < num_points for lid in lids):
        raise ValueError(f"the lower lids {tuple(lids)} must be landmarks from 0 to {num_points - 1}")
    if not np.isfinite(points_NPA).all():
        raise ValueError(
            f"landmarks of face {int((~np.isfinite(points_NPA)).any(axis=(1, 2)).argmax())} hold NaN or inf"
        )
    depth = np.zeros((*points_NPA.shape[:2], 3 - points_NPA.shape[2]))
    return np.concatenate([points_NPA, depth], axis=2) * (1, -1 if y_down else 1, 1), lids


def _refused(points_NP3: np.ndarray, yaw_N: np.ndarray, lids: LowerLids) -> dict[str, np.ndarray]:
    """Reason -> the faces, ascending, that it keeps from having a vector; each has one reason."""
    extent_N = np.abs(points_NP3 - points_NP3[:, :1]).max(axis=(1, 2), initial=0)
    coincide_N = np.linalg.norm(_eye_line(points_NP3, lids), axis=1) <= LEAST_EYE_DISTANCE * extent_N
    flat_N = _is_flat(points_NP3) & ~coincide_N
    found = {
        "the eyes coincide": coincide_N,
        "it has no depth and its yaw is not known": flat_N & np.isnan(yaw_N),
        f"it has no depth and is turned by more than {MOST_FLAT_YAW:g} degrees": flat_N
        & (np.abs(yaw_N) > MOST_FLAT_YAW),
    }
    return {reason: np.flatnonzero(rows_N) for reason, rows_N in found.items() if rows_N.any()}


def _normalised(points_NP3: np.ndarray, yaw_N: np.ndarray, lids: LowerLids) -> np.ndarray:
    level_NP3 = _levelled(points_NP3, lids)
    across_N, _, toward_N = _eye_line(level_NP3, lids).T
    yaw_N = np.where(np.isnan(yaw_N), np.arctan2(-toward_N, across_N), np.radians(yaw_N))
    frontal_NP3 = _turned_back(level_NP3, yaw_N[:, None])
    one_N13, other_N13 = (frontal_NP3[:, lid].mean(axis=1, keepdims=True) for lid in lids)
    apart_N11 = np.linalg.norm(other_N13 - one_N13, axis=2, keepdims=True)
    x_NP3 = (frontal_NP3 - (one_N13 + other_N13) / 2) / apart_N11
    return x_NP3.reshape(len(x_NP3), 3 * x_NP3.shape[1]).astype(np.float32)


def _levelled(points_NP3: np.ndarray, lids: LowerLids) -> np.ndarray:
    """Tilted so that the eyes lie at one height. A head is turned first and tilted then, so this comes first."""
    x_NP, y_NP, z_NP = np.moveaxis(points_NP3, 2, 0)
    across_N, up_N, _ = _eye_line(points_NP3, lids).T
    roll_N1 = np.arctan2(up_N, across_N)[:, None]
    cos_N1, sin_N1 = np.cos(roll_N1), np.sin(roll_N1)
    return np.stack([x_NP * cos_N1 + y_NP * sin_N1, y_NP * cos_N1 - x_NP * sin_N1, z_NP], axis=2)


def _turned_back(points_NP3: np.ndarray, yaw_N1: np.ndarray) -> np.ndarray:
    """Turned about the vertical by minus the yaw (radians); faces without depth are widened."""
    x_NP, y_NP, z_NP = np.moveaxis(points_NP3, 2, 0)
    cos_N1, sin_N1 = np.cos(yaw_N1), np.sin(yaw_N1)
    flat_N1 = _is_flat(points_NP3)[:, None]
    turned_NP = np.where(flat_N1, x_NP / np.where(flat_N1, cos_N1, 1), x_NP * cos_N1 - z_NP * sin_N1)
    depth_NP = np.where(flat_N1, 0, z_NP * cos_N1 + x_NP * sin_N1)
    return np.stack([turned_NP, y_NP, depth_NP], axis=2)


def _eye_line(points_NP3: np.ndarray, lids: LowerLids) -> np.ndarray:
    """From the eye at the viewer's left to the other, (N, 3): sets name the person's sides or the viewer's."""
    line_N3 = points_NP3[:, lids.other].mean(axis=1) - points_NP3[:, lids.one].mean(axis=1)
    return line_N3 * np.where(line_N3[:, :1] < 0, -1, 1)


def _is_flat(points_NP3: np.ndarray) -> np.ndarray:
    return np.ptp(points_NP3[:, :, 2], axis=1) == 0
