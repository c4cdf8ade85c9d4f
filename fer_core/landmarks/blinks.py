"""Blinks by the distance between the eyelids (landmark VAE, section IV-B). N frames, X = 3P numbers of P landmarks."""

from collections.abc import Sequence

import numpy as np

from fer_core.errors import InputError
from fer_core.landmarks.points import lower_lids

_UPPER_LIDS = {
    49: ((20, 21), (26, 27)),
    66: ((37, 38), (43, 44)),
    68: ((37, 38), (43, 44)),
    83: ((1, 2, 3), (9, 10, 11)),
}
"""Number of landmarks -> which of them lie on the upper lid of either eye, the eyes as in `lower_lids`."""

CLOSED = 0.4
"""Of a person's usual opening (ours: the paper prints no threshold). The strongest smile of the synthetic faces leaves
0.45 of it."""


def lid_distance(x_NX: np.ndarray) -> np.ndarray:
    """Distance (N,) from the middle of the upper lid to that of the lower one, the mean of both eyes, in eye distances.

    Args:
        x_NX: vectors as of `input_vectors`.

    Raises:
        InputError: the number of landmarks is none of the usual sets that have eyelids.
    """
    num_points = x_NX.shape[1] // 3
    if num_points not in _UPPER_LIDS:
        known = ", ".join(map(str, _UPPER_LIDS))
        raise InputError(f"{num_points} landmarks have no known eyelids, so no blink is seen; use a set of {known}")
    points_NP3 = x_NX.reshape(len(x_NX), num_points, 3)
    pairs = zip(_UPPER_LIDS[num_points], lower_lids(num_points), strict=True)
    gaps = [points_NP3[:, upper].mean(axis=1) - points_NP3[:, lower].mean(axis=1) for upper, lower in pairs]
    return np.linalg.norm(gaps, axis=2).mean(axis=0)


def is_blink(x_NX: np.ndarray, subjects: Sequence[str], closed: float = CLOSED) -> np.ndarray:
    """Which frames (N,) are blinks: the lids are nearer than `closed` times the median of that person's frames.

    People's eyes differ in size, so each is compared with their own. The result is what `samples_to_ask` leaves out.

    Raises:
        InputError: as `lid_distance`.
        ValueError: not one subject a frame.
    """
    if len(subjects) != len(x_NX):
        raise ValueError(f"{len(x_NX)} frames and {len(subjects)} subjects; one each is needed")
    distance_N = lid_distance(x_NX)
    _, person_N = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    usual = [np.median(distance_N[person_N == person]) for person in np.unique(person_N)]
    return distance_N < closed * np.array(usual, float)[person_N]
