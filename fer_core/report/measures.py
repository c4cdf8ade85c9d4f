"""How each metric is named, explained, grouped and written."""

from collections.abc import Mapping
from dataclasses import dataclass

from fer_core.evaluation.bootstrap import Interval
from fer_core.evaluation.measure import RETRIEVAL_KS
from fer_core.vocabulary import LABELS

GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Classification, decision of the method": {
        "accuracy": ("Accuracy", "share of test images that get the right expression"),
        "mean_class_accuracy": ("Mean class accuracy", "every expression counts the same, however rare"),
        "precision": ("Precision, macro", "how often a named expression is right, mean over expressions"),
        "recall": ("Recall, macro", "how much of an expression is found, mean over expressions"),
        "f1": ("F1, macro", "precision and recall in one, mean over expressions"),
    },
    "Classification, 11 nearest neighbours": {
        "knn_accuracy": ("Accuracy, kNN", "the 11 nearest training images vote"),
        "knn_precision": ("Precision, kNN macro", "how often the vote is right, mean over expressions"),
        "knn_recall": ("Recall, kNN macro", "how much of an expression the vote finds"),
        "knn_f1": ("F1, kNN macro", "precision and recall in one, mean over expressions"),
    },
    "Accuracy by expression": {
        f"accuracy_{name}": (name.capitalize(), "share of its test images that get the right expression")
        for name in LABELS
    },
    "View": {
        "pose_accuracy": ("Pose accuracy", "share of test images whose view is said right"),
    }
    | {
        f"accuracy_view_{yaw}": (
            f"Accuracy at {yaw}°",
            "share of this view's test images that get the right expression",
        )
        for yaw in range(-180, 181)
    },
    "Groups of people": {
        f"accuracy_of_{name}": (
            f"Accuracy of {name.replace('_', ' ')}",
            "share of their test images that are said right",
        )
        for name in ("women", "men", "lighter_skin", "darker_skin")
    }
    | {"accuracy_gap": ("Gap", "accuracy of the best group less that of the worst")},
    "Landmarks": {
        "svm_accuracy": ("SVM accuracy", "a linear one-vs-rest SVM on the representation"),
        "satisfied_triplets": ("Satisfied triplets", "the more similar face is the nearer one"),
        "satisfied_triplets_5": ("Satisfied triplets, 5:0", "those that all five people judged alike"),
        "satisfied_triplets_3": ("Satisfied triplets, 4:1", "those of one other opinion"),
        "satisfied_triplets_1": ("Satisfied triplets, 3:2", "those that people were divided on"),
    },
    "Verification": {
        "pair_accuracy": ("Pair accuracy", "same person or not, the threshold chosen on the other folds"),
        "auc": ("AUC", "a pair of one person is nearer than one of two"),
        "eer": ("Equal error rate", "where false accepts and false rejects are equal; less is better"),
        "tar_at_far_0.01": ("TAR at FAR 1 %", "pairs of one person accepted, at 1 in 100 false accepts"),
        "tar_at_far_0.001": ("TAR at FAR 0.1 %", "at 1 in 1,000 false accepts"),
        "tar_at_far_0.0001": ("TAR at FAR 0.01 %", "at 1 in 10,000 false accepts"),
    },
    "Clusters": {
        "nmi": ("NMI", "what clusters and expressions tell about each other"),
        "cluster_f1": ("Cluster F1", "pairs of images together in cluster and in expression"),
    },
    "Retrieval": {
        f"recall_at_{k}": (f"Recall@{k}", f"one of the {k} nearest has the same expression") for k in RETRIEVAL_KS
    }
    | {f"acc_at_{k}": (f"Acc@{k}", f"share of the {k} nearest with the same expression") for k in RETRIEVAL_KS}
    | {"map_at_r": ("MAP@R", "mean average precision over as many as have the same expression")},
}
OTHER = "Other measures"


@dataclass(frozen=True)
class Row:
    """One metric as written: texts, and the bar's (low, value, high) in percent where it has an interval."""

    label: str
    phrase: str
    value: str
    interval: str
    bar: tuple[float, float, float] | None


def grouped(metrics: Mapping[str, Interval | float]) -> dict[str, list[Row]]:
    """Rows by group, in the order of GROUPS; groups without a metric are left out.

    Known names, and any interval within 0..1, are shares written in percent. Other bare values are plain numbers.
    """
    known = {name for group in GROUPS.values() for name in group}
    rows = {
        title: [_row(metrics[name], *text, known=True) for name, text in group.items() if name in metrics]
        for title, group in GROUPS.items()
    }
    rows[OTHER] = [_row(value, spoken(name), "", known=False) for name, value in metrics.items() if name not in known]
    return {title: group for title, group in rows.items() if group}


def spoken(name: str) -> str:
    """A metric's label; names without one are their words."""
    labels = {name: label for group in GROUPS.values() for name, (label, _) in group.items()}
    return labels.get(name, name.replace("_", " ").capitalize())


def percent(share: float) -> str:
    """0.8763 -> "87.6 %"."""
    return f"{100 * share:.1f} %"


def _row(measured: Interval | float, label: str, phrase: str, *, known: bool) -> Row:
    if not isinstance(measured, Interval):
        return Row(label, phrase, percent(measured) if known else f"{measured:.4g}", "", None)
    if not (known or 0 <= measured.low <= measured.high <= 1):
        return Row(label, phrase, f"{measured.value:.4g}", f"{measured.low:.4g} to {measured.high:.4g}", None)
    interval = f"{100 * measured.low:.1f} to {100 * measured.high:.1f}"
    bar = (100 * measured.low, 100 * measured.value, 100 * measured.high)
    return Row(label, phrase, percent(measured.value), interval, bar)
