import dataclasses
from pathlib import Path

import cv2
import experiment_fixtures as small
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_fixtures import finished

from fer_core import figures, levels
from fer_core.evaluation.bootstrap import Interval
from fer_core.experiments import comparisons
from fer_core.experiments.cell_files import CellFiles
from fer_core.experiments.comparisons import COMPARED
from fer_core.experiments.drawing import Undrawn, draw
from fer_core.experiments.results import Cell
from fer_core.figures import f1_over_k
from fer_core.files import write_bytes, write_json, write_table

CLASSES = ("anger", "happiness", "surprise")


def write_run(folder: Path, method="mul_dml", options=None, history=(), steps=None) -> Path:
    known = {"method": method, "method_options": options or {}, "history": list(history), "steps": steps or {}}
    empty = {"backbone": "resnet18", "face_size": 32, "patch": 24, "frame_is_face": True, "poses": [], "counts": {}}
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {**empty, **known, "classes": list(CLASSES), "class_of_label": [0, 1, 2]})
    return folder


def write_level(folder: Path, rng) -> Path:
    def build(path):
        emb_ND, names = rng.standard_normal((30, 4)).astype(np.float32), pa.array([str(at) for at in range(30)])
        label = np.arange(30) % 3
        mixtures = {"group": np.arange(3), "class": np.arange(3), "weight": np.ones(3)}
        means = levels.embedding_column(np.zeros((3, 4), dtype=np.float32))
        write_table(path / levels.LABELS, pa.table({"sample_id": names, "class": label, "group": label}))
        write_table(
            path / levels.EMBEDDINGS, pa.table({"sample_id": names, "embedding": levels.embedding_column(emb_ND)})
        )
        write_table(path / levels.MIXTURES, pa.table({**mixtures, "mean": means, "variance": means}))

    return finished(folder.parent, folder.name, build).path


def write_evaluation(folder: Path, rng, num_faces=12, size=5, people=0) -> Path:
    names = pa.array([f"face-{people}-{at}" for at in range(num_faces)])
    emb_ND = rng.standard_normal((num_faces, size)).astype(np.float32)
    truth = pa.array([CLASSES[at % 3] for at in range(num_faces)])
    folder.mkdir(parents=True)
    write_table(
        folder / "embeddings.parquet", pa.table({"sample_id": names, "embedding": levels.embedding_column(emb_ND)})
    )
    write_table(folder / "predictions.parquet", pa.table({"sample_id": names, "truth": truth}))
    return folder


def write_pairs(folder: Path, rng) -> Path:
    write_evaluation(folder, rng)
    same = np.arange(40) % 2 == 0
    words = pa.array(np.where(same, "same", "different"))
    distance = rng.random(40) + ~same
    pairs = {
        "sample_id": [f"{at}|x" for at in range(40)],
        "truth": words,
        "distance": distance,
        "fold": np.arange(40) // 8,
    }
    write_table(folder / "predictions.parquet", pa.table(pairs))
    return folder


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def make(tmp_path, rng):
    """(row, column, what the run is) -> its folders."""

    def cell(row, column="drawn", evaluation=write_evaluation, shape=None, **run):
        own = tmp_path / f"{row}-{column}"
        return CellFiles(
            row,
            column,
            write_run(own / "run", **run),
            write_level(own / "level", rng),
            evaluation(own / "evaluation", rng, **(shape or {})),
        )

    return cell


def losses(term, *values, valid=True):
    known = {f"valid_{term}": 0.1} if valid else {}
    return [{"epoch": number, "loss": 1.0, term: value, **known} for number, value in enumerate(values, start=1)]


def size_of(drawn) -> tuple[int, ...]:
    return cv2.imdecode(np.frombuffer(drawn.png, dtype=np.uint8), cv2.IMREAD_COLOR).shape


def spied(monkeypatch, name):
    """The arguments that a figure is drawn from."""
    calls = []
    real = getattr(figures, name)
    monkeypatch.setattr(figures, name, lambda *values: calls.append(values) or real(*values))
    return calls


def triplet(kind, threshold):
    return {"variant": kind, "single_threshold": threshold}


def test_convergence_is_drawn_for_each_column_by_loss_and_threshold(make, monkeypatch):
    calls = spied(monkeypatch, "threshold_convergence")
    files = [
        make("a", options=triplet("s_trad_triplet", 0.2), history=losses("triplet", 3.0, 2.0)),
        make("b", options=triplet("s_dual_triplet", 0.4), history=losses("dual_triplet", 5.0, 4.0, valid=False)),
        make("a", "SFEW", options=triplet("s_dual_triplet", 0.8), history=losses("dual_triplet", 9.0)),
        make("c", options={"variant": "cnn"}, history=losses("cross_entropy", 1.0)),
        make("d", options={"variant": "mul_dml"}, history=losses("dual_triplet", 1.0)),
        make("e", method="triplet", history=losses("triplet", 1.0)),
        make("f", history=[]),
    ]
    drawn = COMPARED["threshold_convergence"].draw(files)
    assert [one.heading for one in drawn] == ["Convergence, drawn", "Convergence, SFEW"]
    assert len({one.name for one in drawn}) == 2
    first, second = calls[0][0]
    assert (first.threshold, first.loss, [*first.training], [*first.validation]) == (
        0.2,
        "traditional",
        [3, 2],
        [0.1, 0.1],
    )
    assert (second.threshold, second.loss, [*second.training], second.validation) == (0.4, "dual", [5, 4], None)
    assert [run.threshold for run in calls[1][0]] == [0.8]


def test_distances_between_classes_are_drawn_for_each_column_and_loss(make, monkeypatch):
    calls = spied(monkeypatch, "interclass_distributions")
    files = [
        make("a", options=triplet("s_trad_triplet", 0.2), history=losses("triplet", 3.0)),
        make("b", options=triplet("s_dual_triplet", 0.2), history=losses("dual_triplet", 5.0)),
        make("c", options=triplet("s_dual_triplet", 0.4), history=losses("dual_triplet", 5.0)),
        make("b", "SFEW", options=triplet("s_dual_triplet", 0.2), history=losses("dual_triplet", 5.0)),
        make("d", method="cnn", history=losses("cross_entropy", 1.0)),
    ]
    drawn = COMPARED["interclass_distances"].draw(files)
    assert [one.heading.removeprefix("Distances between classes, ") for one in drawn] == [
        "traditional triplet, drawn",
        "dual triplet, drawn",
        "dual triplet, SFEW",
    ]
    assert [[*distances] for (distances,) in calls] == [[0.2], [0.2, 0.4], [0.2]]
    assert all(len(own) == comparisons.NUM_DISTANCES for (distances,) in calls for own in distances.values())


def test_weights_are_drawn_where_a_column_has_equal_and_dynamic_ones(make, monkeypatch):
    calls = spied(monkeypatch, "loss_weighting")
    still = {
        "loss_expression": [3.0, 2.0],
        "weight_expression": [1.0, 1.0],
        "loss_pose": [2.0, 1.0],
        "weight_pose": [1.0, 1.0],
    }
    moving = {**still, "loss_expression": [4.0, 3.0], "weight_expression": [1.0, 1.5]}
    files = [
        make("dynamic", steps=moving, options={"variant": "mfe_hpe_jefl_adw"}),
        make("equal", steps=still, options={"variant": "mfe_hpe_jefl"}),
        make("equal", "KDEF", steps=still, options={"variant": "mfe_hpe_jefl"}),
        make("dynamic", "KDEF"),
    ]
    (drawn,) = COMPARED["dynamic_weights"].draw(files)
    assert drawn.heading == "Dynamic weights, drawn"
    ((equal, dynamic, weights),) = calls
    assert [[*equal["expression"]], [*dynamic["expression"]]] == [[3, 2], [4, 3]]
    assert {name: [*values] for name, values in weights.items()} == {"expression": [1, 1.5], "pose": [1, 1]}


@pytest.mark.parametrize("name", ["triplet_tsne", "latent_pca"])
def test_embeddings_of_the_same_faces_are_drawn_side_by_side(name, make):
    files = [
        make("a"),
        make("b", shape={"size": 7}),
        make("other faces", shape={"people": 1}),
        make("too few numbers", shape={"size": 2}),
        make("a", "SFEW"),
        make("too few faces", "KDEF", shape={"num_faces": 3}),
        make("pairs", evaluation=write_pairs),
    ]
    tested = comparisons._tested(files[:4])
    assert [(one.row, emb_ND.shape) for one, emb_ND, _ in tested] == [("a", (12, 5)), ("b", (12, 7))]
    assert [truth[:4] for _, _, truth in tested] == [["anger", "happiness", "surprise", "anger"]] * 2
    drawn = COMPARED[name].draw(files)
    assert [one.heading.split(", ")[1] for one in drawn] == ["drawn", "SFEW"]
    assert size_of(drawn[0])[1] > size_of(drawn[1])[1], "two panels beside each other"


def test_roc_curves_are_of_cells_that_were_tested_on_pairs(make, monkeypatch):
    calls = spied(monkeypatch, "roc_curves")
    files = [make("a", evaluation=write_pairs), make("b", evaluation=write_pairs), make("faces"), make("faces", "SFEW")]
    (drawn,) = COMPARED["roc"].draw(files)
    assert drawn.heading == "ROC, drawn"
    assert [*calls[0][0]] == ["a", "b"]
    assert calls[0][0]["a"].auc == pytest.approx(1.0)


def test_the_roc_of_folds_is_their_mean(make, tmp_path, monkeypatch):
    calls = spied(monkeypatch, "roc_curves")
    one, rng = make("a", evaluation=write_pairs), np.random.default_rng(0)
    folds = one.evaluation, write_pairs(tmp_path / "second", rng)
    COMPARED["roc"].draw([dataclasses.replace(one, folds=folds)])
    assert calls[0][0]["a"].num_same == 40, "of both folds"
    assert len(calls[0][0]["a"].fold_accuracies) == 10


def result(row, column, value):
    return Cell(row, column, ({"accuracy": Interval(value, value - 0.1, value + 0.1)},))


def test_all_results_are_drawn_as_shares_beside_the_published_ones(make, monkeypatch):
    calls = spied(monkeypatch, "results_chart")
    published = {"one": {"CK+": {"accuracy": 90}}, "Others": {"CK+": {"accuracy": 70}}}
    read = small.experiment(metrics=["accuracy", "images_per_second"], published=published)
    cells = [result("one", "drawn", 0.5), Cell("one", "CK+", missing="ck_plus"), result("two", "drawn", 0.6)]
    (drawn,), undrawn = draw(read, cells, [make("one"), CellFiles("one", "CK+", None, None, None)])
    assert undrawn == []
    assert (drawn.name, len(size_of(drawn))) == ("results", 3)
    ((rows, heads, ours, paper, cited, others),) = calls
    assert (rows, heads, cited) == (["one", "two"], ["drawn accuracy", "CK+ accuracy"], ["Others"])
    np.testing.assert_allclose(ours[:, 0], [[0.5, 0.4, 0.6], [0.6, 0.5, 0.7]])
    assert np.isnan(ours[:, 1]).all()
    np.testing.assert_allclose(paper, [[np.nan, 0.9], [np.nan, np.nan]])
    np.testing.assert_allclose(others, [[np.nan, 0.7]])


def test_counts_alone_have_no_chart_of_shares(make):
    read = small.experiment(metrics=["images_per_second"], published={})
    assert draw(read, [], [make("one")]) == ([], [])


def test_figures_of_the_cells_are_taken_from_their_evaluations(make):
    read = small.experiment(figures=["pose_table", "roc"])
    one, two = make("one"), make("two")
    png = f1_over_k({1: 0.5, 3: 0.6})
    (two.evaluation / "figures").mkdir()
    write_bytes(two.evaluation / "figures" / "pose_table.png", png)
    drawn, undrawn = draw(read, [result("two", "drawn", 0.5)], [one, two])
    assert [(one.name, one.heading) for one in drawn[1:]] == [("pose_table-1", "Pose table: two, drawn")]
    assert drawn[1].png == png
    reason = "the evaluation of one, drawn has no picture of it, which is drawn of faces of several views"
    assert undrawn == [Undrawn("pose_table", reason), Undrawn("roc", "no cell here was tested on pairs")]


def test_of_folds_the_first_one_is_shown(make):
    one = make("one")
    (one.evaluation / "figures").mkdir()
    for name in ("pose_table", "confusion"):
        write_bytes(one.evaluation / "figures" / f"{name}.png", f1_over_k({1: 0.5}))
    folds = dataclasses.replace(one, folds=(one.evaluation, one.evaluation))
    drawn, _ = draw(small.experiment(figures=["pose_table"]), [result("one", "drawn", 0.5)], [folds])
    assert drawn[1].caption == "Of the first of 2 folds, evaluation evaluation."


def test_the_confusion_of_folds_is_drawn_of_all_of_them_together(make, tmp_path, monkeypatch):
    calls = spied(monkeypatch, "confusion_matrix")
    one, folds = make("one"), []
    for fold, decisions in enumerate((["anger", "surprise"], ["anger", "anger"])):
        folds.append(tmp_path / f"fold-{fold}")
        folds[-1].mkdir()
        table = pa.table({"truth": ["anger", "surprise"], "decision": decisions})
        write_table(folds[-1] / "predictions.parquet", table)
    read = small.experiment(figures=["confusion", "tsne"])
    (one.evaluation / "figures").mkdir()  # of the first fold alone, which is not what is wanted
    write_bytes(one.evaluation / "figures" / "confusion.png", f1_over_k({1: 0.5}))
    drawn, undrawn = draw(read, [result("one", "drawn", 0.5)], [dataclasses.replace(one, folds=tuple(folds))])
    assert [one.heading for one in drawn] == ["Results", "Confusion: one, drawn"]
    assert [one.figure for one in undrawn] == ["tsne"]
    assert "2 folds" in drawn[1].caption
    ((counts, classes),) = calls
    assert classes == ["surprise", "anger"]
    assert counts.tolist() == [[1, 1], [0, 2]]


def test_nothing_is_drawn_where_nothing_was_run():
    read = small.experiment(figures=["confusion", *COMPARED])
    files = [CellFiles("one", "CK+", None, None, None)]
    drawn, undrawn = draw(read, [Cell("one", "CK+", missing="ck_plus")], files)
    assert drawn == []
    assert undrawn == [Undrawn(name, "no cell was run") for name in ("confusion", *COMPARED)]


def test_a_figure_that_has_nothing_to_show_is_told_with_the_reason(make):
    names = ["confusion", *COMPARED]
    bare = make("one", method="cnn", shape={"num_faces": 3, "size": 4})
    write_json(bare.evaluation / "metrics.json", {"pair_accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}})
    drawn, undrawn = draw(small.experiment(figures=names), [result("one", "drawn", 0.5)], [bare])
    assert [one.name for one in drawn] == ["results", "knn_f1_over_k-0"]
    assert [one.figure for one in undrawn] == [name for name in names if name != "knn_f1_over_k"]
    assert undrawn[0].reason.startswith("no evaluation here has a picture of it, which is drawn of faces")
    assert all(one.reason == COMPARED[one.figure].lacking for one in undrawn[1:])


def write_metrics(one, **values):
    metrics = {name: {"value": value, "low": value, "high": value} for name, value in values.items()}
    write_json(one.evaluation / "metrics.json", metrics)
    return one


def test_recall_of_all_rows_is_drawn_over_k_for_each_column(make, monkeypatch):
    calls = spied(monkeypatch, "systems_over_k")
    files = [
        write_metrics(make("a"), recall_at_16=0.9, recall_at_2=0.7, acc_at_2=0.5, accuracy=0.4),
        write_metrics(make("b"), recall_at_2=0.6, acc_at_2=0.3),
        write_metrics(make("pairs"), auc=0.8),
        write_metrics(make("a", "SFEW"), recall_at_1=0.2, acc_at_1=0.2),
        write_metrics(make("pairs", "LFW"), auc=0.8),
    ]
    drawn = COMPARED["recall_over_k"].draw(files)
    assert [one.heading for one in drawn] == ["Retrieval, drawn", "Retrieval, SFEW"]
    recall, acc = ({"a": {2: 0.7, 16: 0.9}, "b": {2: 0.6}}, {"a": {2: 0.5}, "b": {2: 0.3}})
    assert calls[0] == ({"Recall@K": recall, "Acc@K": acc},)
    assert [*calls[0][0]["Recall@K"]["a"]] == [2, 16]


def test_f1_over_k_is_that_of_the_neighbours_among_the_training_faces(make, monkeypatch, rng):
    calls = []
    monkeypatch.setattr(figures, "systems_over_k", lambda panels, marked: calls.append((panels, marked)) or b"")
    one, pairs = make("a", shape={"size": 4}), make("pairs", evaluation=write_pairs)
    drawn = COMPARED["knn_f1_over_k"].draw([one, pairs])
    assert [one.heading for one in drawn] == ["F1 over K, drawn"]
    ((panels, marked),) = calls
    assert marked == 11
    ((system, found),) = panels["kNN macro F1"].items()
    assert system == "a"
    assert [*found] == [1, 3, 5, 7, 9, 11, 13, 15, 21], "there are 30 training faces"
    level = levels.read_level(one.level)
    emb_ND = levels.embedding_matrix(pq.read_table(one.evaluation / "embeddings.parquet")["embedding"])
    distance_NG = np.linalg.norm(emb_ND[:, None] - level.embedding_ND, axis=2)
    said, truth, share = level.class_N[distance_NG.argmin(axis=1)], np.arange(12) % 3, []
    for label in range(3):
        right = ((said == label) & (truth == label)).sum()
        share.append(2 * right / max((said == label).sum() + (truth == label).sum(), 1))
    assert found[1] == pytest.approx(np.mean(share))
