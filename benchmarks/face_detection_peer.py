"""The peer of benchmarks/face_detection.py: the package `mtcnn` on TensorFlow, one picture at a time.

Started by it with the interpreter of an environment that has `mtcnn==1.0.0 tensorflow`; imports nothing of this
project. Each line on its input asks for one pass over the pictures of the .npy file (N, H, W, 3); each line of its
output is that pass: seconds, and for each picture its faces as [left, top, width, height, ten landmark values].

    python benchmarks/face_detection_peer.py PICTURES.npy MIN_FACE_SIZE THREADS P R O
"""

import json
import os
import sys
import time

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
KEYPOINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")


def flat(face: dict) -> list[float]:
    points = [float(value) for name in KEYPOINTS for value in face["keypoints"][name]]
    return [float(value) for value in face["box"]] + points


def main() -> None:
    pictures, least_face, threads = np.load(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    thresholds = dict(
        zip(("threshold_pnet", "threshold_rnet", "threshold_onet"), map(float, sys.argv[4:]), strict=True)
    )
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from mtcnn import MTCNN

    detector = MTCNN()
    detector.detect_faces(pictures[0], min_face_size=least_face, **thresholds)
    for _ in sys.stdin:
        started = time.perf_counter()
        found = [detector.detect_faces(picture, min_face_size=least_face, **thresholds) for picture in pictures]
        seconds = time.perf_counter() - started
        faces = [[flat(face) for face in faces] for faces in found]
        print(json.dumps({"seconds": seconds, "faces": faces}), flush=True)


if __name__ == "__main__":
    main()
