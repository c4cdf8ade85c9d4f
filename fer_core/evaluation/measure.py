"""All metrics of one test part against one gallery. Legend: N test images, G gallery, C classes, R resamples."""

from dataclasses import dataclass

import numpy as np

from fer_core.embedding_table import Embedded
from fer_core.evaluation.average_precision import average_precisions
from fer_core.evaluation.bootstrap import Interval, SubjectBootstrap, share_interval
from fer_core.evaluation.classification import confusion_matrix, scores
from fer_core.evaluation.clustering import kmeans_labels, nmi, nmi_of_table, pair_f1, pair_f1_of_table
from fer_core.evaluation.neighbours import acc_per_query, majority, nearest, neighbour_agreement, recall_per_query
from fer_core.world import ALONE, World

KNN_K = 11
CURVE_KS = (1, 3, 5, 7, 9, 11, 13, 15, 21, 31)
RETRIEVAL_KS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured on a test part.

    metrics         name -> value with its 95 % interval, all between 0 and 1
    confusion       (C, C) counts of the method's decision; row: truth
    predicted       (N,) the method's decision
    knn_f1_over_k   K -> macro F1 of kNN; a figure, never a choice of K
    num_subjects    people (or images, see resampled_by) that were resampled
    resampled_by    "subject", or "image" where the data set does not know its people
    """

    metrics: dict[str, Interval]
    confusion: np.ndarray
    predicted: np.ndarray
    knn_f1_over_k: dict[int, float]
    num_subjects: int
    resampled_by: str


def measure(
    test: Embedded,
    gallery: Embedded,
    classes: tuple[str, ...],
    seed: int,
    resamples: int = 1000,
    world: World = ALONE,
) -> Evaluation:
    """Classification, clustering and retrieval metrics of `test`, each with an interval resampled by subject.

    The decision is the most probable class where the method gives probabilities, else kNN with K = 11 in `gallery`
    (normally the training part). kNN metrics use the gallery; retrieval and clustering stay inside the test part, with
    k-means at as many clusters as the test part has classes. Intervals resample the test part only: the model, the
    gallery and the clusters stay as they are.

    Metrics: accuracy, precision, recall, f1 (macro), mean_class_accuracy of the decision; accuracy_CLASS, the share of
    a class's images that are decided right, its people resampled, for each class that the test part shows;
    knn_accuracy, knn_precision, knn_recall, knn_f1; nmi, cluster_f1 (over pairs); recall_at_K, acc_at_K and map_at_r. A
    K larger than the images that could be retrieved is left out of the curves; the K of kNN-11 is then cut to the
    gallery. map_at_r is of the images whose class has another, and left out where there are none.

    Args:
        world: the workers that share the search for neighbours; each gets the whole result.

    Raises ValueError for an empty table, a label outside `classes`, probabilities for other classes, and a test image
    that is also in the gallery.
    """
    _check(test, gallery, len(classes))
    bootstrap = SubjectBootstrap(test.subject, seed, resamples)
    neighbour_NK = gallery.label[nearest(test.embedding, gallery.embedding, max(CURVE_KS), world=world)[0]]
    knn_N = majority(neighbour_NK[:, :KNN_K], len(classes))
    predicted_N = knn_N if test.probability is None else test.probability.argmax(axis=1)
    knn = _classification(test.label, knn_N, len(classes), bootstrap)
    knn.pop("mean_class_accuracy")
    return Evaluation(
        metrics=_classification(test.label, predicted_N, len(classes), bootstrap)
        | _by_class(test, predicted_N, classes, seed, resamples)
        | {f"knn_{name}": interval for name, interval in knn.items()}
        | _clustering(test, seed, bootstrap)
        | _retrieval(test, bootstrap, world)
        | _ranking(test, bootstrap, world),
        confusion=confusion_matrix(test.label, predicted_N, len(classes)),
        predicted=predicted_N,
        knn_f1_over_k=f1_over_k(test.label, neighbour_NK, len(classes)),
        num_subjects=bootstrap.num_subjects,
        resampled_by="image" if np.array_equal(test.subject, test.sample_id) else "subject",
    )


def _check(test: Embedded, gallery: Embedded, num_classes: int) -> None:
    for name, table in (("test", test), ("gallery", gallery)):
        if not len(table):
            raise ValueError(f"The {name} part is empty.")
        if table.label.max() >= num_classes:
            raise ValueError(f"The {name} part has label {table.label.max()}, but there are {num_classes} classes.")
    if test.probability is not None and test.probability.shape[1] != num_classes:
        raise ValueError(f"probability has {test.probability.shape[1]} columns for {num_classes} classes.")
    shared = np.intersect1d(test.sample_id, gallery.sample_id)
    if shared.size:
        raise ValueError(f"{shared.size} test images are also in the gallery, the first is {shared[0]}.")


def _classification(
    truth_N: np.ndarray, predicted_N: np.ndarray, num_classes: int, bootstrap: SubjectBootstrap
) -> dict[str, Interval]:
    value = scores(confusion_matrix(truth_N, predicted_N, num_classes))
    draws = scores(bootstrap.tables(truth_N, predicted_N, (num_classes, num_classes)))
    return {name: bootstrap.interval(float(value[name]), draws[name]) for name in value}


def _by_class(
    test: Embedded, predicted_N: np.ndarray, classes: tuple[str, ...], seed: int, resamples: int
) -> dict[str, Interval]:
    right_N = predicted_N == test.label
    own = {name: test.label == label for label, name in enumerate(classes)}
    return {
        f"accuracy_{name}": share_interval(right_N[own_N], test.subject[own_N], seed, resamples)
        for name, own_N in own.items()
        if own_N.any()
    }


def _clustering(test: Embedded, seed: int, bootstrap: SubjectBootstrap) -> dict[str, Interval]:
    num_clusters = len(np.unique(test.label))
    cluster_N = kmeans_labels(test.embedding, num_clusters, seed)
    shape = (int(test.label.max()) + 1, num_clusters)
    once, twice = (bootstrap.tables(test.label, cluster_N, shape, power) for power in (1, 2))
    return {
        "nmi": bootstrap.interval(nmi(test.label, cluster_N), nmi_of_table(once)),
        "cluster_f1": bootstrap.interval(pair_f1(test.label, cluster_N), pair_f1_of_table(once, twice)),
    }


def _retrieval(test: Embedded, bootstrap: SubjectBootstrap, world: World) -> dict[str, Interval]:
    ks = [k for k in RETRIEVAL_KS if k < len(test)]
    if not ks:
        return {}
    agreement_NK = neighbour_agreement(test.embedding, test.label, max(ks), world)
    hits = {f"recall_at_{k}": recall_per_query(agreement_NK, k) for k in ks}
    hits |= {f"acc_at_{k}": acc_per_query(agreement_NK, k) for k in ks}
    sums = bootstrap.sums(np.column_stack([*hits.values(), np.ones(len(test))]))
    draws = (sums[:, :-1] / sums[:, -1:]).T
    return {
        name: bootstrap.interval(float(hit_N.mean()), draws_R)
        for (name, hit_N), draws_R in zip(hits.items(), draws, strict=True)
    }


def _ranking(test: Embedded, bootstrap: SubjectBootstrap, world: World) -> dict[str, Interval]:
    precision_N = average_precisions(test.embedding, test.label, world)
    asked_N = ~np.isnan(precision_N)
    if not asked_N.any():
        return {}
    sums_R2 = bootstrap.sums(np.column_stack([np.where(asked_N, precision_N, 0.0), asked_N]))
    sums_R2 = sums_R2[sums_R2[:, 1] > 0]
    return {"map_at_r": bootstrap.interval(float(precision_N[asked_N].mean()), sums_R2[:, 0] / sums_R2[:, 1])}


def f1_over_k(truth_N: np.ndarray, neighbour_NK: np.ndarray, num_classes: int) -> dict[int, float]:
    """K -> macro F1 of the vote of the K nearest; a K beyond the neighbours is left out.

    Args:
        truth_N: label of each test image.
        neighbour_NK: label of its neighbours, the nearest first.
    """
    ks = [k for k in CURVE_KS if k <= neighbour_NK.shape[1]]
    confusion = {k: confusion_matrix(truth_N, majority(neighbour_NK[:, :k], num_classes), num_classes) for k in ks}
    return {k: float(scores(table)["f1"]) for k, table in confusion.items()}
