"""The metrics of a cross-validation, out of those of its folds."""

from collections.abc import Mapping, Sequence

import numpy as np


def cross_validation(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean, and as NAME_std the standard deviation (n - 1), over the folds of each metric that all of them have.

    A small fold has no Recall@32, or nobody who shows contempt: a mean over some folds would stand beside means over
    all. At least two folds are needed.
    """
    found = {}
    for name in folds[0]:
        if all(name in fold for fold in folds):
            values = [fold[name] for fold in folds]
            found[name] = float(np.mean(values))
            found[f"{name}_std"] = float(np.std(values, ddof=1))
    return found
