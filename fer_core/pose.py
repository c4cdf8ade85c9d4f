"""Head yaw from five landmarks: a generic face in three dimensions, fitted under scaled orthography.

Shape letters: P = 5 landmarks (left eye, right eye, nose tip, left and right corner of the mouth; left is the
viewer's); 2 = x, y (down) in pixels; 3 = x to the viewer's right, y down, z towards the viewer.
"""

import math

import numpy as np

GENERIC_FACE_P3 = np.array(
    [[-31.5, 0.0, 0.0], [31.5, 0.0, 0.0], [0.0, 40.0, 30.0], [-25.0, 70.0, 3.0], [25.0, 70.0, 3.0]]
)
"""Millimetres from between the eyes: rounded measures of adults (63 between the pupils, 50 across the mouth)."""
_FIT_3P = np.linalg.pinv(GENERIC_FACE_P3 - GENERIC_FACE_P3.mean(axis=0))

VIEWS = (-90, -45, 0, 45, 90)
"""Degrees. The five views of KDEF: full left, half left, straight, half right, full right."""
PROFILE_FROM = 52.5
"""Degrees from which an estimate means a full profile. Estimates fall short (see estimate_yaw), or it would be 67.5.
Chosen on people 1 to 17 of either sex in KDEF; on the 2,512 faces of the others the view is right for 95 %: 85 and 93 %
of full profiles, 96 and 99 % of half ones, all of the straight ones (`python -m benchmarks.face_detection`)."""


def estimate_yaw(landmarks_P2: np.ndarray) -> float:
    """Yaw of the head in degrees, within [-90, 90]; positive when the face turns to the viewer's right.

    The sign is that of the synthetic faces' yaw: KDEF's FL and HL are negative, HR and FR positive.

    The least-squares affine camera of `GENERIC_FACE_P3` (2 x 3), made a scaled rotation by taking the nearest matrix
    with orthonormal rows (polar decomposition). Roll, size and place in the picture do not change the result.
    Detectors put the hidden eye and mouth corner of a profile too far out: a full profile in the detections of
    `fer_core.detection` reads as about 60 degrees, not 90.

    Args:
        landmarks_P2: (5, 2), order and axes as at the top of this file.

    Raises:
        ValueError: not of shape (5, 2), not finite, or all on one point.
    """
    landmarks_P2 = np.asarray(landmarks_P2, np.float64)
    if landmarks_P2.shape != (5, 2) or not np.isfinite(landmarks_P2).all() or (landmarks_P2 == landmarks_P2[0]).all():
        raise ValueError("yaw needs five different points (5, 2)")
    camera_32 = _FIT_3P @ (landmarks_P2 - landmarks_P2.mean(axis=0))
    left, _, right = np.linalg.svd(camera_32.T, full_matrices=False)
    (ax, ay, az), (bx, by, bz) = (left @ right).tolist()
    # where the face's own x axis, from eye to eye, points: roll turns it within the picture, pitch not at all
    return math.degrees(math.atan2(by * az - ay * bz, math.hypot(ax, bx)))


def view_of(yaw: float) -> int:
    """The nearest of VIEWS to a yaw that is known, degrees; the first of two equally near."""
    return min(VIEWS, key=lambda view: abs(view - yaw))


def known_view(pose_bin: int | None, pose_yaw: float | None) -> int | None:
    """The view that a data set states, else that of the yaw it states; None where it states neither. Degrees."""
    if pose_bin is not None:
        return pose_bin
    return None if pose_yaw is None else view_of(pose_yaw)


def estimated_view(yaw: float) -> int:
    """The one of VIEWS that an estimate of the yaw speaks for, degrees."""
    return int(math.copysign(90, yaw)) if abs(yaw) >= PROFILE_FROM else view_of(math.copysign(min(abs(yaw), 45), yaw))
