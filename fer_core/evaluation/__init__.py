"""Protocol metrics with confidence intervals: neighbours, clusters, classification, bootstrap by subject."""

from fer_core.evaluation.average_precision import map_at_r
from fer_core.evaluation.bootstrap import Interval, PairedDifference, paired_difference
from fer_core.evaluation.clustering import kmeans_labels, nmi, pair_f1
from fer_core.evaluation.measure import Evaluation, measure
from fer_core.evaluation.neighbours import acc_at_k, knn_predict, nearest, recall_at_k
from fer_core.evaluation.verification import Verification, verification

__all__ = [
    "Evaluation",
    "Interval",
    "PairedDifference",
    "Verification",
    "acc_at_k",
    "kmeans_labels",
    "knn_predict",
    "map_at_r",
    "measure",
    "nearest",
    "nmi",
    "pair_f1",
    "paired_difference",
    "recall_at_k",
    "verification",
]
