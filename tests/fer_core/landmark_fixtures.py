"""Small faces with landmarks that the tests of the landmark methods share, and runs of them."""

import cv2
import numpy as np
import pyarrow as pa

from fer_core import levels, runs
from fer_core.directories import STARTED, Directory
from fer_core.files import write_table
from fer_core.folds import Part, hold_out, with_validation
from fer_core.methods import Recipe
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard
from fer_core.synthetic import Face, landmarks_3d
from fer_core.training import TrainingPlan, train
from fer_core.tuple_shards import TRIPLET, shard_name
from fer_core.world import World

PEOPLE = ("S01", "S02", "S03", "S04", "S05", "S06", "S07", "S09", "S14", "S22")
KINDS = ("neutral", "happiness", "surprise", "anger")
DEGREES = (0.4, 0.9)
PICTURE = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
SMALL = {"latent_size": 6, "validation_steps": 4, "triplets_per_step": 3, "topological_samples": 2}
ROLE_OF = dict(
    zip(PEOPLE, with_validation(["test" if one else "train" for one in hold_out(PEOPLE)], PEOPLE), strict=True)
)


def landmark_rows(num_points=83, people=PEOPLE):
    """A row an expression and degree of each person, the neutral face once; 3-D landmarks of the drawn heads."""
    return [
        landmark_row(person, kind, degree, num_points)
        for person in people
        for kind in KINDS
        for degree in ((0.0,) if kind == "neutral" else DEGREES)
    ]


def landmark_row(person, kind, degree, num_points=83):
    points_P3 = landmarks_3d(Face(int(person[1:]), kind, degree, 0.0))
    return {
        "sample_id": f"{person}-{kind}-{degree}",
        "subject_id": person,
        "expression": kind,
        "intensity": degree,
        "rotation": 0.0,
        "image": PICTURE,
        "height": 8,
        "width": 8,
        "landmarks_3d": fewer_points(points_P3, num_points).ravel().astype(np.float32).tolist(),
    }


def fewer_points(points_P3, num_points):
    """Another set of landmarks: as the 83 are, the five of MTCNN, or 68 with lower lids where those of the 68 are."""
    if num_points == 83:
        return points_P3
    if num_points == 5:
        return np.stack([points_P3[[5, 6, 7]].mean(0), points_P3[[13, 14, 15]].mean(0), *points_P3[[43, 48, 54]]])
    chosen = points_P3[:68].copy()
    chosen[[40, 41, 46, 47]] = points_P3[[5, 7, 13, 15]]
    return chosen


def write_faces(root, rows, name="faces", catalog="drawn"):
    """A finished faces directory of these rows."""
    made = Directory(root, name, kind="faces", config={}, inputs={"catalog": catalog}, code="test")
    made.start()
    write_picture_shard(made.path, "part-00000.parquet", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    made.finish([file.name for file in made.path.glob("*.parquet")], {})
    return made.path


def write_human_triplets(root, triplets, weights, catalog="drawn"):
    """A finished directory of people's triplets: names of reference, positive and negative, and vote differences."""
    made = Directory(root, "human", kind="tuples", config={"tuples": "human"}, inputs={"catalog": catalog}, code="test")
    made.start()
    columns = {name: pa.array([one[at] for one in triplets], pa.string()) for at, name in enumerate(TRIPLET)}
    write_table(made.path / shard_name(0), pa.table({**columns, "weight": pa.array(weights, pa.int64())}))
    made.finish([shard_name(0)], {})
    return made.path


def landmark_plan(faces, model, epochs=2, batch_size=16, recipe=None, options=(), **other):
    values = {
        "faces": faces,
        "part": Part(),
        "method": "landmark_vae",
        "method_options": {**SMALL, "model": model, **dict(options)},
        "recipe": recipe or Recipe(epochs, batch_size, lr=1e-3),
        "backbone": "resnet18",
        "patch": 8,
        "face_size": 8,
        "frame_is_face": True,
        "bfloat16": False,
        "seed": 3,
        "checkpoint_steps": 1000,
    }
    return TrainingPlan(**{**values, **other})


def landmark_run(root, plan, store):
    """(folder of a trained run, folder of its level of one component a class)."""
    run = _finished(root, "run", lambda path: runs.save_run(path, plan, train(plan, World(), store, _silent)))
    faces = plan.read_faces()
    level = _finished(root, "level", lambda path: levels.make_level(path, run, faces, 1, 0, _silent))
    return run, level


def _finished(root, name, build):
    directory = Directory(root, name, kind="test", config={}, inputs={}, code="")
    directory.start()
    build(directory.path)
    directory.finish([path.name for path in directory.path.iterdir() if path.name != STARTED], {})
    return directory.path


def _silent(*_):
    """Progress that nobody looks at."""
