"""The figures that compare an experiment's cells, most of them a picture a column."""

import json
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core import figures
from fer_core.assessment.base import Drawn
from fer_core.evaluation.measure import CURVE_KS, KNN_K, f1_over_k
from fer_core.evaluation.neighbours import nearest
from fer_core.evaluation.verification import Verification, averaged, verification
from fer_core.experiments.cell_files import CellFiles, by_column
from fer_core.levels import embedding_matrix, read_level
from fer_core.runs import RunDescription, read_description

NUM_DISTANCES, SEED = 20_000, 0
LOSSES = {"triplet": "traditional", "dual_triplet": "dual"}
"""Term of a run's history -> what the paper calls the loss."""


def _with_one_threshold(files: list[CellFiles]) -> Iterator[tuple[CellFiles, RunDescription, str, float]]:
    """The cells whose network has a triplet loss at one threshold, with the loss's term and the threshold."""
    for one in files:
        assert one.run is not None
        described = read_description(one.run)
        term = next((name for name in ("triplet", "dual_triplet") if name in {*chain(*described.history)}), None)
        margins = set(getattr(described.build_method().options, "margins", ()))
        if term is not None and len(margins) == 1:
            yield one, described, term, margins.pop()


def _convergence(files: list[CellFiles]) -> bytes | None:
    """Training and validation loss of the triplet term by threshold."""
    runs = [_loss_run(described, term, threshold) for _, described, term, threshold in _with_one_threshold(files)]
    return figures.threshold_convergence(runs) if runs else None


def _loss_run(described: RunDescription, term: str, threshold: float) -> figures.LossRun:
    training, validation = (
        np.array([row.get(prefix + term, np.nan) for row in described.history]) for prefix in ("", "valid_")
    )
    return figures.LossRun(threshold, LOSSES[term], training, None if np.isnan(validation).all() else validation)


def _distances(files: list[CellFiles]) -> list[Drawn]:
    """Distances between classes of the training embeddings by threshold, a picture for each column and loss."""
    by_loss: dict[tuple[str, str], dict[float, np.ndarray]] = {}
    for one, _, term, threshold in _with_one_threshold(files):
        assert one.level is not None
        level = read_level(one.level)
        distances = figures.interclass_distances(level.embedding_ND, level.class_N, NUM_DISTANCES, SEED)
        by_loss.setdefault((LOSSES[term], one.column), {})[threshold] = distances
    caption = f"Euclidean distances of {NUM_DISTANCES} pairs of training faces of different expressions."
    return [
        Drawn(
            f"interclass_distances-{number}",
            f"Distances between classes, {loss} triplet, {column}",
            caption,
            figures.interclass_distributions(distances),
        )
        for number, ((loss, column), distances) in enumerate(by_loss.items())
    ]


def _weights(files: list[CellFiles]) -> bytes | None:
    """The losses over the first mini-batches with equal and with dynamic weights, where there are both."""
    traced = [run for run in (read_description(one.run) for one in files if one.run is not None) if run.steps]
    moving = [run.steps for run in traced if run.method_options.get("variant", "").endswith("_adw")]
    still = [run.steps for run in traced if run.steps not in moving]
    if not moving or not still:
        return None
    equal, dynamic = (_starting(steps[0], "loss_") for steps in (still, moving))
    return figures.loss_weighting(equal, dynamic, _starting(moving[0], "weight_"))


def _starting(trace: dict[str, list[float]], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): np.array(own) for name, own in trace.items() if name.startswith(prefix)}


def _tested(files: list[CellFiles]) -> list[tuple[CellFiles, np.ndarray, list[str]]]:
    """The test embeddings of each cell and the names of their labels, for cells with the same rows as the first.

    What has too few faces or numbers to be drawn is left out.
    """
    found: list[tuple[CellFiles, np.ndarray, list[str]]] = []
    names: list[str] | None = None
    for one in files:
        assert one.evaluation is not None
        table = pq.read_table(one.evaluation / "embeddings.parquet")
        truth = pq.read_table(one.evaluation / "predictions.parquet", columns=["sample_id", "truth"])
        own = table["sample_id"].to_pylist()
        names = names or own
        emb_ND = embedding_matrix(table["embedding"])
        if own == names == truth["sample_id"].to_pylist() and len(own) > 3 and emb_ND.shape[1] > 2:
            found.append((one, emb_ND, truth["truth"].to_pylist()))
    return found


def _panels(sheet_of: Callable[..., bytes]) -> Callable[[list[CellFiles]], bytes | None]:
    """The same test faces under each model, side by side."""

    def sheet(files: list[CellFiles]) -> bytes | None:
        tested = _tested(files)
        if not tested:
            return None
        classes = sorted(set(tested[0][2]))
        label = np.array([classes.index(truth) for truth in tested[0][2]])
        return sheet_of({one.row: emb_ND for one, emb_ND, _ in tested}, label, classes, SEED)

    return sheet


def _roc(files: list[CellFiles]) -> bytes | None:
    """The ROC curves of the cells that were tested on pairs."""
    measured = {one.row: found for one in files if (found := _verified(one)) is not None}
    return figures.roc_curves(measured) if measured else None


def _verified(one: CellFiles) -> Verification | None:
    assert one.evaluation is not None
    tables = [pq.read_table(folder / "predictions.parquet") for folder in one.folds or (one.evaluation,)]
    if "distance" not in tables[0].column_names:
        return None
    return averaged([_verification_of(table) for table in tables])


def _verification_of(pairs: pa.Table) -> Verification:
    same = np.array(pairs["truth"].to_pylist()) == "same"
    return verification(pairs["distance"].to_numpy(), same, pairs["fold"].to_numpy())


def _recall(files: list[CellFiles]) -> bytes | None:
    """Recall@K and Acc@K of the rows over K."""
    metrics = {one.row: _metrics(one) for one in files}
    panels = {
        title: {row: found for row, values in metrics.items() if (found := _at_k(values, prefix))}
        for title, prefix in (("Recall@K", "recall_at_"), ("Acc@K", "acc_at_"))
    }
    return figures.systems_over_k(panels) if panels["Recall@K"] else None


def _metrics(one: CellFiles) -> dict[str, dict[str, float]]:
    assert one.evaluation is not None
    return json.loads((one.evaluation / "metrics.json").read_text())


def _at_k(metrics: dict[str, dict[str, float]], prefix: str) -> dict[int, float]:
    ks = {int(name.removeprefix(prefix)): one["value"] for name, one in metrics.items() if name.startswith(prefix)}
    return dict(sorted(ks.items()))


def _knn(files: list[CellFiles]) -> bytes | None:
    """Macro F1 of the nearest neighbours' vote over K, computed from the kept embeddings."""
    found = {one.row: f1 for one in files if (f1 := _knn_f1(one)) is not None}
    return figures.systems_over_k({"kNN macro F1": found}, marked=KNN_K) if found else None


def _knn_f1(one: CellFiles) -> dict[int, float] | None:
    """None where the test rows have no expression that was trained on: pairs of faces."""
    assert one.run is not None
    assert one.level is not None
    assert one.evaluation is not None
    classes = read_description(one.run).classes
    truth = pq.read_table(one.evaluation / "predictions.parquet", columns=["truth"])["truth"].to_pylist()
    if not set(truth) <= set(classes):
        return None
    level = read_level(one.level)
    emb_ND = embedding_matrix(pq.read_table(one.evaluation / "embeddings.parquet")["embedding"])
    neighbour_NK = level.class_N[nearest(emb_ND, level.embedding_ND, max(CURVE_KS))[0]]
    return f1_over_k(np.array([classes.index(label) for label in truth]), neighbour_NK, len(classes))


class Comparison(NamedTuple):
    """A figure of several cells.

    Attributes:
        draw: the cells that were run -> the pictures, none where there is nothing to show.
        lacking: why there is none, then.
    """

    draw: Callable[[list[CellFiles]], list[Drawn]]
    lacking: str


def _picture_a_column(
    name: str, heading: str, caption: str, sheet_of: Callable[[list[CellFiles]], bytes | None]
) -> Callable[[list[CellFiles]], list[Drawn]]:
    """A picture a column, of the columns that have something to show."""

    def draw(files: list[CellFiles]) -> list[Drawn]:
        sheets = {column: sheet_of(own) for column, own in by_column(files).items()}
        shown = [(column, sheet) for column, sheet in sheets.items() if sheet is not None]
        return [
            Drawn(f"{name}-{number}", f"{heading}, {column}", caption, sheet)
            for number, (column, sheet) in enumerate(shown)
        ]

    return draw


_NO_THRESHOLD = "no network here has a triplet loss at a single threshold"
_NO_EMBEDDINGS = "no evaluation here has embeddings of more than three faces with more than two numbers each"
COMPARED = {
    "threshold_convergence": Comparison(
        _picture_a_column(
            "threshold_convergence",
            "Convergence",
            "The weighted triplet term, mean of each epoch; dashed on validation people, without augmentation.",
            _convergence,
        ),
        _NO_THRESHOLD,
    ),
    "interclass_distances": Comparison(_distances, _NO_THRESHOLD),
    "dynamic_weights": Comparison(
        _picture_a_column(
            "dynamic_weights",
            "Dynamic weights",
            "Unweighted losses over the first mini-batches, with equal and with dynamic weights; the weights.",
            _weights,
        ),
        "no column here has a network with equal and one with dynamic weights whose first steps were traced",
    ),
    "triplet_tsne": Comparison(
        _picture_a_column(
            "triplet_tsne",
            "Embeddings",
            "t-SNE of the same test faces under each model.",
            _panels(figures.tsne_panels),
        ),
        _NO_EMBEDDINGS,
    ),
    "latent_pca": Comparison(
        _picture_a_column(
            "latent_pca",
            "Representations",
            "The three principal axes of the same test faces.",
            _panels(figures.latent_pca),
        ),
        _NO_EMBEDDINGS,
    ),
    "roc": Comparison(
        _picture_a_column(
            "roc",
            "ROC",
            "True accepts over false accepts of the test pairs, whose people were not trained on. Of folds the mean of "
            "their TAR at each FAR, as the distances of two networks cannot be compared.",
            _roc,
        ),
        "no cell here was tested on pairs",
    ),
    "recall_over_k": Comparison(
        _picture_a_column(
            "recall_over_k",
            "Retrieval",
            "Recall@K: one of the K nearest test faces shares the expression. Acc@K: the share that does. "
            "Of each system's first run.",
            _recall,
        ),
        "no evaluation here has Recall@K",
    ),
    "knn_f1_over_k": Comparison(
        _picture_a_column(
            "knn_f1_over_k",
            "F1 over K",
            "Macro F1 of the vote of the K nearest training faces. K = 11 was fixed beforehand; this chooses nothing. "
            "Of each system's first run.",
            _knn,
        ),
        "no evaluation here is of expressions that were trained on",
    ),
}
"""Figures that show several cells together, by the name an experiment gives them."""
