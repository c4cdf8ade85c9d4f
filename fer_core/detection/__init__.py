"""Face detection: MTCNN in batches, its published weights, and the choice of one face."""

from fer_core.detection.detections import Detection, choose_face, intersection_over_union
from fer_core.detection.detector import FaceDetector

__all__ = ["Detection", "FaceDetector", "choose_face", "intersection_over_union"]
