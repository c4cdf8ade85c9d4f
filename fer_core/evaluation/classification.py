"""Scores read off confusion matrices. Legend: C classes, rows are the truth, ... leading axes (bootstrap resamples)."""

import numpy as np


def confusion_matrix(truth_N: np.ndarray, predicted_N: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts (C, C) int64; row: true class, column: predicted class.

    Raises ValueError for arrays of different length and for a class outside 0..C-1.
    """
    if truth_N.shape != predicted_N.shape or truth_N.ndim != 1:
        raise ValueError(f"truth {truth_N.shape} and prediction {predicted_N.shape} must be two equal rows of classes.")
    for name, classes in (("truth", truth_N), ("prediction", predicted_N)):
        if classes.size and not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError(f"The {name} holds a class outside 0..{num_classes - 1}.")
    cell = truth_N.astype(np.int64) * num_classes + predicted_N
    return np.bincount(cell, minlength=num_classes**2).reshape(num_classes, num_classes)


def scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """accuracy, precision, recall, f1 and mean_class_accuracy, each (...), of confusion matrices (..., C, C).

    precision, recall and f1 are macro averages: the plain mean over the classes present in the truth or the prediction,
    0 for a class without a denominator (scikit-learn's average="macro", zero_division=0). f1 is the mean of the F1 of
    each class; SGM's tables print the harmonic mean of the macro precision and the macro recall under that name.
    mean_class_accuracy is the mean recall over the classes present in the truth only. Each matrix needs a positive sum.
    """
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    recall = _ratio(hit, true)
    present = true + predicted > 0
    return {
        "accuracy": hit.sum(axis=-1) / true.sum(axis=-1),
        "precision": _mean(_ratio(hit, predicted), present),
        "recall": _mean(recall, present),
        "f1": _mean(_ratio(2 * hit, true + predicted), present),
        "mean_class_accuracy": _mean(recall, true > 0),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def _mean(value: np.ndarray, counted: np.ndarray) -> np.ndarray:
    return (value * counted).sum(axis=-1) / counted.sum(axis=-1)
