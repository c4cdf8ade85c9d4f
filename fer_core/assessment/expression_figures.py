"""The figures of a model that says expressions."""

import numpy as np

from fer_core import figures
from fer_core.assessment.base import Case, Drawn
from fer_core.assessment.expressions import Assessment
from fer_core.evaluation.clustering import kmeans_labels
from fer_core.reading import FaceTable
from fer_core.subdivision import top_k
from fer_core.targets import UNKNOWN

GALLERY_SIZE, GALLERY_COLUMNS = 16, 8
"""Both of sgm's sizes in one: the first line holds the 8 faces nearest the medoid, both lines 16."""
MOST_MISTAKES = 24
MOST_SUSPECTS = 24
LEAST_FOR_TSNE = 4
FACES_WITH_SLICES = 4
PEOPLE_A_CLUSTER = 5
"""Test images of an expression over this number of people is how many clusters it is divided into."""


def draw(found: Assessment, case: Case) -> list[Drawn]:
    """All figures of an evaluation that there is something to show in."""
    return [
        *_confusion(found, case),
        *_tsne(found, case),
        *_pose_table(found, case),
        *_retrieval(found),
        *_f1_over_k(found),
        *_galleries(case),
        *_training(case),
        *_slice_grid(found, case),
        *_identity_clusters(found, case),
        *_label_audit(found, case),
        *_mistakes(found, case),
    ]


def _confusion(found: Assessment, case: Case) -> list[Drawn]:
    caption = "Rows are the labels of the test part, columns what the model says."
    sheet = figures.confusion_matrix(found.evaluation.confusion, case.predictor.classes)
    return [Drawn("confusion", "Confusion", caption, sheet)]


def _tsne(found: Assessment, case: Case) -> list[Drawn]:
    if len(found.test) < LEAST_FOR_TSNE:
        return []
    caption = "t-SNE of the test part's embeddings; near points look alike to the model."
    sheet = figures.tsne(found.test.embedding, found.test.label, case.predictor.classes, case.seed)
    return [Drawn("tsne", "Embedding", caption, sheet)]


def _pose_table(found: Assessment, case: Case) -> list[Drawn]:
    """Where the model was trained on several views."""
    faces, classes = case.tested, case.predictor.classes
    if len(faces.poses) < 2 or not found.num_all_CY.any():
        return []
    caption = "Share of right expressions by expression and view of the test part."
    sheet = figures.pose_table(found.num_right_CY, found.num_all_CY, classes, faces.poses)
    return [Drawn("pose_table", "Expression by view", caption, sheet)]


def _retrieval(found: Assessment) -> list[Drawn]:
    at_k = {
        name: {
            int(metric.rsplit("_", 1)[1]): interval.value
            for metric, interval in found.evaluation.metrics.items()
            if metric.startswith(f"{name}_at_")
        }
        for name in ("recall", "acc")
    }
    if not at_k["recall"]:
        return []
    caption = "Recall@K: one of the K nearest test faces shares the expression. Acc@K: the share that does."
    return [Drawn("retrieval", "Retrieval", caption, figures.retrieval_curves(at_k["recall"], at_k["acc"]))]


def _f1_over_k(found: Assessment) -> list[Drawn]:
    caption = "Macro F1 of the nearest-neighbour vote for other K. K = 11 was fixed beforehand; this chooses nothing."
    return [Drawn("f1_over_k", "F1 over K", caption, figures.f1_over_k(found.evaluation.knn_f1_over_k))]


def _galleries(case: Case) -> list[Drawn]:
    caption = (
        f"The training faces nearest the medoid of each sub-class, the medoid first: the {GALLERY_COLUMNS} nearest in "
        f"its first line, {GALLERY_SIZE} in both."
    )
    return [Drawn("galleries", "Sub-classes", caption, figures.galleries(gallery_images(case), GALLERY_COLUMNS))]


def gallery_images(case: Case) -> dict[str, list[np.ndarray]]:
    """Sub-class -> its medoid and the training faces nearest it."""
    level, classes = case.predictor.level, case.predictor.classes
    row_of = _upright_rows(case.trained)
    nearest = top_k(level.embedding_ND, level.group_N, GALLERY_SIZE)
    return {
        level.name_of(group, classes): list(
            case.trained.images([row_of[name] for name in level.sample_id[members].tolist()])
        )
        for group, members in sorted(nearest.items())
    }


def _upright_rows(faces: FaceTable) -> dict[str, int]:
    return {name: row for row, name in enumerate(faces.sample_id.tolist()) if faces.rotation[row] == 0}


def _training(case: Case) -> list[Drawn]:
    if len(case.predictor.description.history) < 2:
        return []
    caption = "Means over each epoch of the last training; patches and offline rotations included."
    return [Drawn("training", "Training", caption, figures.training_curves(case.predictor.description.history))]


def _slice_grid(found: Assessment, case: Case) -> list[Drawn]:
    """Of an embedding that is made of slices: the first test faces of different expressions."""
    names = case.predictor.description.build_method().slice_names
    if not names:
        return []
    shown = np.unique(found.test.label, return_index=True)[1][:FACES_WITH_SLICES]
    values_FNS = found.test.embedding[shown].reshape(len(shown), len(names), -1)
    titles = [case.predictor.classes[label] for label in found.test.label[shown]]
    sheet = figures.slice_grids(list(case.tested.images(found.rows[shown])), titles, values_FNS, names)
    caption = "64 values of each slice of a few test faces, brighter for a greater one."
    return [Drawn("slice_grid", "Slices", caption, sheet)]


def _identity_clusters(found: Assessment, case: Case) -> list[Drawn]:
    """Of a model that was trained to look past identities: the expression with most test images, in clusters."""
    identity = case.tested.identity[found.rows]
    if not case.predictor.description.build_method().uses_identities or (identity == UNKNOWN).any():
        return []
    label = int(np.bincount(found.test.label).argmax())
    own = np.flatnonzero(found.test.label == label)
    people = len(np.unique(identity[own]))
    if len(own) < LEAST_FOR_TSNE or people < 2:
        return []
    emb_MD = found.test.embedding[own]
    cluster_M = kmeans_labels(emb_MD, max(2, people // PEOPLE_A_CLUSTER), case.seed)
    shown = figures.largest_clusters(emb_MD, cluster_M)
    pictures = {one: list(case.tested.images(found.rows[own[members]])) for one, members in shown.items()}
    sheet = figures.identity_clusters(pictures, emb_MD, identity[own], cluster_M, case.seed)
    caption = (
        f"Clusters inside {case.predictor.classes[label]}, with the faces nearest each medoid, and the map of that "
        "expression's embeddings coloured by person: clusters of many people are what is wanted."
    )
    return [Drawn("identity_clusters", "People within an expression", caption, sheet)]


def _label_audit(found: Assessment, case: Case) -> list[Drawn]:
    """The training faces whose neighbours carry another label, each beside its nearest such neighbour."""
    level, classes, audit = case.predictor.level, case.predictor.classes, found.label_audit
    if not len(audit):
        return []
    row_of = _upright_rows(case.trained)
    worst = range(min(MOST_SUSPECTS, len(audit)))
    places = [[row_of[level.sample_id[side[at]]] for side in (audit.index, audit.neighbour)] for at in worst]
    images = case.trained.images(np.array(places).ravel())
    titles = [f"{classes[audit.label[at]]} -> {classes[audit.proposed[at]]}" for at in worst]
    sheet = figures.pairs(list(zip(images[::2], images[1::2], strict=True)), titles)
    caption = (
        f"Training faces whose neighbours carry another label, worst first, beside the nearest of these: {len(places)} "
        f"of {len(audit)}. Label -> what most neighbours carry; label_audit.html is to decide by, "
        "label_audit.csv has them all."
    )
    return [Drawn("label_audit", "Doubtful labels", caption, sheet)]


def _mistakes(found: Assessment, case: Case) -> list[Drawn]:
    """The test faces the model is surest of and wrong about; nothing where it makes no mistake."""
    predicted, truth, classes = found.evaluation.predicted, found.test.label, case.predictor.classes
    wrong = np.flatnonzero(predicted != truth)
    if not len(wrong):
        return []
    sureness = found.predictions.probability[wrong, predicted[wrong]]
    shown = wrong[np.argsort(-sureness, kind="stable")][:MOST_MISTAKES]
    titles = [f"{classes[truth[at]]} -> {classes[predicted[at]]}" for at in shown]
    sheet = figures.thumbnails(list(case.tested.images(found.rows[shown])), titles)
    caption = f"Label -> what the model says: {len(shown)} of {len(wrong)} mistakes, the surest first."
    return [Drawn("mistakes", "Mistakes", caption, sheet)]
