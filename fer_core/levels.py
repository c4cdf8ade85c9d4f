"""One level of Algorithm 2 of sgm: embed the training set, fit a mixture to each class, keep all three."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fer_core.directories import read_tables
from fer_core.embedding import embed_rows
from fer_core.files import write_table
from fer_core.reading import FaceTable
from fer_core.runs import load_network, read_description
from fer_core.subdivision import Mixtures, fit_mixtures
from fer_core.training import TrainingPlan
from fer_core.world import ALONE, World

LABELS, MIXTURES, EMBEDDINGS = "labels.parquet", "mixtures.parquet", "embeddings.parquet"
FILES = (LABELS, MIXTURES, EMBEDDINGS)


@dataclass(frozen=True)
class Level:
    """A level read back. Letters: N training samples, G groups (components of all classes), D embedding size.

    Attributes:
        sample_id: (N,) strings.
        class_N, group_N: class index and group of each training sample.
        embedding_ND: float32.
        mean_GD, variance_GD, weight_G, class_G: the mixtures; only groups with members.
        group_G: the number of each group, as in `group_N`.
    """

    sample_id: np.ndarray
    class_N: np.ndarray
    group_N: np.ndarray
    embedding_ND: np.ndarray
    mean_GD: np.ndarray
    variance_GD: np.ndarray
    weight_G: np.ndarray
    class_G: np.ndarray
    group_G: np.ndarray

    def name_of(self, group: int, classes: tuple[str, ...]) -> str:
        """What a person calls a group: its class and the number of its component, from 1."""
        own_class = int(self.class_G[self.group_G == group][0])
        return f"{classes[own_class]} {int((self.group_G[self.class_G == own_class] <= group).sum())}"


def make_level(
    folder: Path,
    run: Path,
    faces: FaceTable,
    num_components: int,
    seed: int,
    progress: Callable[[int, int], None],
    world: World = ALONE,
) -> Mixtures:
    """Embed the upright training rows with the run's network, fit, and write the level's three files.

    Args:
        world: the workers that share the work; the first one writes.

    Raises:
        InputError: the disk is full.
    """
    rows = faces.rows_of("train", upright=True)
    network, inputs = load_network(run).to(world.device), read_description(run).inputs(faces, world.device)
    embedding_ND = embed_rows(network, inputs, rows, progress, world).embedding_ND
    mixtures = fit_mixtures(embedding_ND, faces.label[rows], num_components, seed, world=world)
    if world.rank == 0:
        _write(folder, faces, rows, embedding_ND, mixtures)
    return mixtures


def make_level_of(
    world: World, folder: Path, run: Path, plan: TrainingPlan, num_components: int, seed: int
) -> Mixtures:
    """`make_level` for a worker, which reads the faces of the plan itself."""
    return make_level(folder, run, plan.read_faces(), num_components, seed, lambda *_: None, world)


def _write(folder: Path, faces: FaceTable, rows: np.ndarray, embedding_ND: np.ndarray, mixtures: Mixtures) -> None:
    names = pa.array(faces.sample_id[rows])
    labels = {"sample_id": names, "class": faces.label[rows], "group": mixtures.labels_N}
    used = np.flatnonzero(mixtures.weights > 0)
    write_table(folder / LABELS, pa.table(labels))
    write_table(folder / EMBEDDINGS, pa.table({"sample_id": names, "embedding": embedding_column(embedding_ND)}))
    write_table(
        folder / MIXTURES,
        pa.table(
            {
                "group": used,
                "class": mixtures.class_of[used],
                "weight": mixtures.weights[used],
                "mean": embedding_column(mixtures.means[used]),
                "variance": embedding_column(mixtures.variances[used]),
            }
        ),
    )


def read_level(folder: Path) -> Level:
    """Read a finished level back, its files checked against the manifest."""
    labels, mixtures, embeddings = (read_tables(folder, name) for name in FILES)
    return Level(
        sample_id=np.array(labels["sample_id"].to_pylist()),
        class_N=labels["class"].to_numpy(),
        group_N=labels["group"].to_numpy(),
        embedding_ND=embedding_matrix(embeddings["embedding"]),
        mean_GD=embedding_matrix(mixtures["mean"]),
        variance_GD=embedding_matrix(mixtures["variance"]),
        weight_G=mixtures["weight"].to_numpy(),
        class_G=mixtures["class"].to_numpy(),
        group_G=mixtures["group"].to_numpy(),
    )


def embedding_column(matrix: np.ndarray) -> pa.Array:
    """A matrix (N, D) as a column of N lists of D."""
    return pa.FixedSizeListArray.from_arrays(matrix.ravel(), matrix.shape[1])


def embedding_matrix(column: pa.ChunkedArray) -> np.ndarray:
    """The inverse of `embedding_column`."""
    flat = column.combine_chunks().flatten().to_numpy()
    return flat.reshape(len(column), -1).copy()  # Arrow's memory is read-only, which torch does not take
