"""Five key points out of any of the usual landmark sets.

The five: left eye, right eye, nose tip, left and right corner of the mouth; left is the viewer's left.
Shapes: P landmarks, last axis x, y (and z).
"""

import numpy as np

_SETS: dict[int, tuple[range, range, range, range, range]] = {
    5: (range(0, 1), range(1, 2), range(2, 3), range(3, 4), range(4, 5)),  # MTCNN, RAF-DB
    49: (range(19, 25), range(25, 31), range(13, 14), range(31, 32), range(37, 38)),  # 68 without jaw and inner corners
    66: (range(36, 42), range(42, 48), range(30, 31), range(48, 49), range(54, 55)),  # 68 without inner mouth corners
    68: (range(36, 42), range(42, 48), range(30, 31), range(48, 49), range(54, 55)),  # Multi-PIE: CK+, AffectNet
    83: (range(0, 8), range(8, 16), range(46, 47), range(48, 49), range(54, 55)),  # BU-3DFE, BP4D, synthetic
}
"""Number of landmarks -> which of them each of the five is the mean of."""


def _means(num_landmarks: int) -> np.ndarray:
    """The five as weighted sums of the landmarks, (5, P)."""
    weight_5P = np.zeros((5, num_landmarks))
    for point, members in enumerate(_SETS[num_landmarks]):
        weight_5P[point, list(members)] = 1 / len(members)
    return weight_5P


_MEANS = {num_landmarks: _means(num_landmarks) for num_landmarks in _SETS}


def five_points(landmarks_PX: np.ndarray) -> np.ndarray | None:
    """The five key points (5, X), or None where the number of landmarks is none of the known sets.

    Some sets name the person's sides and others the viewer's; with the mouth below the eyes there is only one way
    round, however the face is tilted.
    """
    weight_5P = _MEANS.get(len(landmarks_PX))
    if weight_5P is None:
        return None
    points = weight_5P @ landmarks_PX
    across = points[[1, 4], :2].sum(axis=0) - points[[0, 3], :2].sum(axis=0)
    down = points[3:, :2].sum(axis=0) - points[:2, :2].sum(axis=0)
    if across[0] * down[1] < across[1] * down[0]:
        points = points[[1, 0, 2, 4, 3]]
    return points
