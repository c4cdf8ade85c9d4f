"""The figures of an experiment: those that compare its cells, and those of the cells' own evaluations."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from fer_core import figures
from fer_core.assessment.base import Drawn
from fer_core.evaluation.classification import confusion_matrix
from fer_core.evaluation.verification import Verification, verification
from fer_core.experiments.results import Cell
from fer_core.experiments.spec import Experiment
from fer_core.experiments.vocabulary import COUNTS
from fer_core.levels import embedding_matrix, read_level
from fer_core.runs import RunDescription, read_description

NUM_DISTANCES, SEED = 20_000, 0
LOSSES = {"triplet": "traditional", "dual_triplet": "dual"}
"""Term of a run's history -> what the paper calls the loss."""


@dataclass(frozen=True)
class CellFiles:
    """The folders of a cell's first run, its level and its evaluation; None where it was not run.

    Of a cross-validation `folds` are the evaluations of the first seed's folds, that of the first run among them.
    """

    row: str
    column: str
    run: Path | None
    level: Path | None
    evaluation: Path | None
    folds: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        """What the cell is called in a figure."""
        return f"{self.row}, {self.column}"


def draw(experiment: Experiment, cells: Sequence[Cell], files: Sequence[CellFiles]) -> list[Drawn]:
    """The chart of all results, then what the experiment names, each drawn where there is something to show."""
    run = [one for one in files if one.run is not None]
    drawn = _results(experiment, cells) if run else []
    for name in experiment.figures:
        compare = COMPARED.get(name)
        drawn += _of_cells(name, run) if compare is None else compare(run)
    return drawn


def _results(experiment: Experiment, cells: Sequence[Cell]) -> list[Drawn]:
    heads = [(column, metric) for column in experiment.columns for metric in experiment.metrics_of(column)]
    heads = [head for head in heads if head[1] not in COUNTS]
    if not heads:
        return []
    cell_of = {(cell.row, cell.column): cell for cell in cells}
    cited = [row for row in experiment.published if row not in experiment.rows]
    ours = [[_value(cell_of.get((row, column)), metric) for column, metric in heads] for row in experiment.rows]
    paper, others = (
        [[_published(experiment, row, *head) for head in heads] for row in rows] for rows in (experiment.rows, cited)
    )
    sheet = figures.results_chart(
        list(experiment.rows),
        [f"{column} {metric.replace('_', ' ')}" for column, metric in heads],
        np.array(ours, dtype=float).reshape(len(experiment.rows), len(heads), 3),
        np.array(paper, dtype=float).reshape(len(experiment.rows), len(heads)),
        cited,
        np.array(others, dtype=float).reshape(len(cited), len(heads)),
    )
    caption = "Ours with 95 % intervals beside the published numbers, which are of other training; see the deviations."
    return [Drawn("results", "Results", caption, sheet)]


def _value(cell: Cell | None, metric: str) -> list[float]:
    measured = None if cell is None else cell.metric(metric)
    return [np.nan] * 3 if measured is None else [measured.value, measured.low, measured.high]


def _published(experiment: Experiment, row: str, column: str, metric: str) -> float:
    value = experiment.published.get(row, {}).get(column, {}).get(metric, np.nan)
    return value / 100 if experiment.unit == "percent" else value


def _of_cells(name: str, files: list[CellFiles]) -> list[Drawn]:
    """A figure of the cells' own evaluations, one a cell that has it. Of folds there is the confusion alone."""
    found = []
    for number, one in enumerate(files):
        assert one.evaluation is not None
        heading = f"{name.replace('_', ' ').capitalize()}: {one.title}"
        picture = one.evaluation / "figures" / f"{name}.png"
        if picture.exists():
            caption = f"Of the evaluation {one.evaluation.name}."
            found.append(Drawn(f"{name}-{number}", heading, caption, picture.read_bytes()))
        elif name == "confusion" and one.folds:
            caption = f"Of {len(one.folds)} folds together. Rows are the labels, columns what the models say."
            found.append(Drawn(f"{name}-{number}", heading, caption, _confusion_of_folds(one)))
    return found


def _confusion_of_folds(one: CellFiles) -> bytes:
    assert one.run is not None
    classes = read_description(one.run).classes
    tables = [pq.read_table(fold / "predictions.parquet", columns=["truth", "decision"]) for fold in one.folds]
    truth, decision = (
        np.array([classes.index(label) for table in tables for label in table[name].to_pylist()])
        for name in ("truth", "decision")
    )
    return figures.confusion_matrix(confusion_matrix(truth, decision, len(classes)), classes)


def _by_column(files: list[CellFiles]) -> dict[str, list[CellFiles]]:
    columns = dict.fromkeys(one.column for one in files)
    return {column: [one for one in files if one.column == column] for column in columns}


def _with_one_threshold(files: list[CellFiles]) -> Iterator[tuple[CellFiles, RunDescription, str, float]]:
    """The cells whose network has a triplet loss at one threshold, with the loss's term and the threshold."""
    for one in files:
        assert one.run is not None
        described = read_description(one.run)
        term = next((name for name in ("triplet", "dual_triplet") if name in {*chain(*described.history)}), None)
        margins = set(getattr(described.build_method().options, "margins", ()))
        if term is not None and len(margins) == 1:
            yield one, described, term, margins.pop()


def _convergence(files: list[CellFiles]) -> list[Drawn]:
    """Training and validation loss of the triplet term by threshold, a picture a column."""
    drawn: list[Drawn] = []
    caption = "The weighted triplet term, mean of each epoch; dashed on validation people, without augmentation."
    for column, own in _by_column(files).items():
        runs = [_loss_run(described, term, threshold) for _, described, term, threshold in _with_one_threshold(own)]
        if runs:
            sheet = figures.threshold_convergence(runs)
            drawn.append(Drawn(f"threshold_convergence-{len(drawn)}", f"Convergence, {column}", caption, sheet))
    return drawn


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


def _weights(files: list[CellFiles]) -> list[Drawn]:
    """The losses over the first mini-batches with equal and with dynamic weights, for each column that has both."""
    drawn: list[Drawn] = []
    for column, own in _by_column(files).items():
        traced = [run for run in (read_description(one.run) for one in own if one.run is not None) if run.steps]
        moving = [run.steps for run in traced if run.method_options.get("variant", "").endswith("_adw")]
        still = [run.steps for run in traced if run.steps not in moving]
        if moving and still:
            equal, dynamic = (_starting(steps[0], "loss_") for steps in (still, moving))
            sheet = figures.loss_weighting(equal, dynamic, _starting(moving[0], "weight_"))
            caption = "Unweighted losses over the first mini-batches, with equal and with dynamic weights; the weights."
            drawn.append(Drawn(f"dynamic_weights-{len(drawn)}", f"Dynamic weights, {column}", caption, sheet))
    return drawn


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


def _panels(
    name: str, heading: str, caption: str, sheet_of: Callable[..., bytes]
) -> Callable[[list[CellFiles]], list[Drawn]]:
    def compare(files: list[CellFiles]) -> list[Drawn]:
        drawn: list[Drawn] = []
        for column, own in _by_column(files).items():
            tested = _tested(own)
            if tested:
                classes = sorted(set(tested[0][2]))
                label = np.array([classes.index(truth) for truth in tested[0][2]])
                sheet = sheet_of({one.row: emb_ND for one, emb_ND, _ in tested}, label, classes, SEED)
                drawn.append(Drawn(f"{name}-{len(drawn)}", f"{heading}, {column}", caption, sheet))
        return drawn

    return compare


def _roc(files: list[CellFiles]) -> list[Drawn]:
    """The ROC curves of the cells that were tested on pairs, a picture a column."""
    drawn: list[Drawn] = []
    caption = "True accepts over false accepts of the test pairs, whose people were not trained on."
    for column, own in _by_column(files).items():
        measured = {one.row: found for one in own if (found := _verified(one)) is not None}
        if measured:
            drawn.append(Drawn(f"roc-{len(drawn)}", f"ROC, {column}", caption, figures.roc_curves(measured)))
    return drawn


def _verified(one: CellFiles) -> Verification | None:
    assert one.evaluation is not None
    pairs = pq.read_table(one.evaluation / "predictions.parquet")
    if "distance" not in pairs.column_names:
        return None
    same = np.array(pairs["truth"].to_pylist()) == "same"
    return verification(pairs["distance"].to_numpy(), same, pairs["fold"].to_numpy())


COMPARED: dict[str, Callable[[list[CellFiles]], list[Drawn]]] = {
    "threshold_convergence": _convergence,
    "interclass_distances": _distances,
    "dynamic_weights": _weights,
    "triplet_tsne": _panels(
        "triplet_tsne", "Embeddings", "t-SNE of the same test faces under each model.", figures.tsne_panels
    ),
    "latent_pca": _panels(
        "latent_pca", "Representations", "The three principal axes of the same test faces.", figures.latent_pca
    ),
    "roc": _roc,
}
"""Figures that show several cells together, by the name an experiment gives them."""
