"""How well clusters of faces without a network find the people: pairs and B-cubed, on LFW and KDEF.

    python -m benchmarks.identity_clusters [--lfw DIR] [--kdef DIR]
where the LFW folder holds <name>/*.jpg face crops and the KDEF folder */*.JPG pictures. Taken are the people of LFW
with five pictures and more, and the frontal pictures of KDEF with a square about the face.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import InputError
from fer_core.estimates.clusters import cluster_identities, describe_face, fit_whitening
from fer_core.evaluation.clustering import contingency
from fer_core.pictures import decode

MIN_PICTURES = 5
KDEF_SIZE = (224, 304)
KDEF_FACE = slice(88, 248), slice(32, 192)


def grey(file: Path) -> np.ndarray:
    image = decode(file.read_bytes())
    if image is None:
        raise InputError(f"{file} is not a picture that can be read; remove it or give another folder")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def lfw_faces(folder: Path) -> tuple[list[np.ndarray], list[str]]:
    files = sorted(folder.glob("*/*.jpg"))
    num_of = Counter(file.parent.name for file in files)
    files = [file for file in files if num_of[file.parent.name] >= MIN_PICTURES]
    return [grey(file) for file in files], [file.parent.name for file in files]


def kdef_faces(folder: Path) -> tuple[list[np.ndarray], list[str]]:
    files = sorted(folder.glob("*/*S.JPG"))
    pictures = (cv2.resize(grey(file), KDEF_SIZE) for file in files)
    return [np.ascontiguousarray(picture[KDEF_FACE]) for picture in pictures], [file.name[1:4] for file in files]


def scores(identity_N: np.ndarray, cluster_N: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of pairs and of B-cubed (Bagga and Baldwin 1998)."""
    table = contingency(identity_N, cluster_N).astype(np.float64)
    of_identity, of_cluster = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    together, in_cluster, in_identity = (float((n * (n - 1)).sum()) for n in (table, of_cluster, of_identity))
    pair = together / max(in_cluster, 1.0), together / max(in_identity, 1.0)
    b_cubed = float((table**2 / of_cluster).sum() / table.sum()), float((table**2 / of_identity).sum() / table.sum())
    found: dict[str, float] = {}
    for name, (precision, recall) in {"pair": pair, "b-cubed": b_cubed}.items():
        found |= {f"{name} precision": precision, f"{name} recall": recall}
        found[f"{name} F1"] = 2 * precision * recall / max(precision + recall, 1e-12)
    return found


def imitated_embeddings(num_people: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Most people have one face, few have hundreds, as in LFW; the mean cosine within a person is about 0.55."""
    rng = np.random.default_rng(seed)
    num_faces = np.minimum(np.floor(rng.pareto(1.2, num_people) + 1), 500).astype(np.int64)
    identity_N = np.repeat(np.arange(num_people), num_faces)
    spread_N = rng.uniform(0.6, 1.2, len(identity_N))
    centre_PD = rng.normal(size=(num_people, 128))
    return centre_PD[identity_N] + spread_N[:, None] * rng.normal(size=(len(identity_N), 128)), identity_N


def report(name: str, faces: list[np.ndarray], identities: list[str]) -> None:
    started = time.perf_counter()
    descriptor_ND = np.stack([describe_face(face) for face in faces])
    described = time.perf_counter()
    cluster_N = cluster_identities(fit_whitening(descriptor_ND).of(descriptor_ND))
    clustered = time.perf_counter()
    rate = len(faces) / (described - started)
    print(f"{name}: {len(faces)} faces of {len(set(identities))} people, {cluster_N.max() + 1} clusters, ", end="")
    print(f"largest {np.bincount(cluster_N).max()}, {rate:.0f} faces/s, clustered in {clustered - described:.1f} s")
    print("  " + ", ".join(f"{key} {value:.3f}" for key, value in scores(np.array(identities), cluster_N).items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lfw", type=Path)
    parser.add_argument("--kdef", type=Path)
    options = parser.parse_args()
    if options.lfw:
        report("LFW", *lfw_faces(options.lfw))
    if options.kdef:
        report("KDEF", *kdef_faces(options.kdef))
    emb_ND, identity_N = imitated_embeddings(2500, seed=0)
    for min_shared in (0.1, 0.2):
        print(f"imitated network, {len(emb_ND)} faces of 2500 people, min_shared {min_shared}:")
        found = scores(identity_N, cluster_identities(emb_ND, min_shared=min_shared))
        print("  " + ", ".join(f"{key} {value:.3f}" for key, value in found.items()))


if __name__ == "__main__":
    main()
