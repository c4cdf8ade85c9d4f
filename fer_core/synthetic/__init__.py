"""Procedural faces: known identity, expression, degree, pose and 83 3-D landmarks, with no licence to sign."""

from fer_core.synthetic.face import MAX_YAW, Face
from fer_core.synthetic.geometry import LANDMARK_GROUPS, landmarks_3d
from fer_core.synthetic.render import render

__all__ = ["LANDMARK_GROUPS", "MAX_YAW", "Face", "landmarks_3d", "render"]
