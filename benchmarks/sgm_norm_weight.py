"""Which weight of SGM's norm term does not collapse the embedding: the loss of both solutions, and trained accuracy.

python -m benchmarks.sgm_norm_weight                     the two losses, in closed form
python -m benchmarks.sgm_norm_weight FACES [--epochs 2]  and kNN-11 accuracy on one fold, after a few epochs
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from fer_core import methods
from fer_core.checkpoints import FolderStore
from fer_core.embedding import embed_rows
from fer_core.evaluation.neighbours import knn_predict
from fer_core.folds import Part
from fer_core.losses import sgm_loss
from fer_core.patches import Patches
from fer_core.precision import trains_in_bfloat16
from fer_core.reading import read_faces
from fer_core.training import TrainingPlan, build_network, train
from fer_core.world import World

WEIGHTS = (0.0, 0.01, 0.05, 0.1, 0.3, 1.0)
CLASSES, SIZE, PATCH, FACE = 8, 64, 44, 48


def solutions(weight: float) -> tuple[float, float, float]:
    """Loss of all embeddings at 0; least loss of classes on orthogonal axes, and its radius."""
    labels = torch.arange(CLASSES).repeat_interleave(2)
    axes = torch.eye(SIZE)[labels]
    collapsed = sgm_loss(torch.zeros(len(labels), SIZE), labels, CLASSES, norm_weight=weight).item()
    radii = np.arange(0.1, 4.0, 0.05)
    separated = [sgm_loss(axes * float(radius), labels, CLASSES, norm_weight=weight).item() for radius in radii]
    best = int(np.argmin(separated))
    return collapsed, separated[best], float(radii[best])


def trained_accuracy(faces_directory: Path, weight: float, epochs: int) -> float:
    part = Part(0, 5)
    method = methods.REGISTRY["sgm"](methods.REGISTRY["sgm"].Options(norm_weight=weight))
    plan = TrainingPlan(
        faces=faces_directory,
        part=part,
        method="sgm",
        method_options={"norm_weight": weight},
        recipe=method.from_scratch.replaced(epochs=epochs),
        backbone="resnet18",
        patch=PATCH,
        face_size=FACE,
        frame_is_face=False,
        bfloat16=trains_in_bfloat16("auto"),
        seed=1,
        checkpoint_steps=10**9,
    )
    trained = train(plan, World(), FolderStore(Path(tempfile.mkdtemp())), lambda row: None)
    network = build_network(method, "resnet18", PATCH, len(trained.classes), seed=1)
    network.load_state_dict(trained.state)
    faces, patches = read_faces(faces_directory, part, seed=1), Patches(FACE, PATCH)
    rows = [faces.rows_of(role, upright=True) for role in ("train", "test")]
    gallery, query = (embed_rows(network.eval(), faces, role, patches, lambda *_: None)[0] for role in rows)
    return float((knn_predict(query, gallery, faces.label[rows[0]]) == faces.label[rows[1]]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="?")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    for weight in WEIGHTS:
        collapsed, separated, radius = solutions(weight)
        line = f"weight {weight:<5} collapsed {collapsed:.3f}  separated {separated:.3f} at radius {radius:.2f}"
        if options.faces:
            line += f"  kNN-11 {trained_accuracy(options.faces, weight, options.epochs):.3f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
