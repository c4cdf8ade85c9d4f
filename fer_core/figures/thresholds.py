"""What the threshold of a triplet loss does: convergence, and distances between classes.

Legend: N images, D embedding size, P pairs, E epochs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fer_core.figures.canvas import INK, dress, new_figure, png
from fer_core.figures.panels import DASHED, curve, legend_above, line_looks, new_panels

_NUM_BINS = 60
_BLOCK = 4096  # pairs whose differences are held at a time


@dataclass(frozen=True, eq=False)
class LossRun:
    """The losses of one training, (E,) each from the first epoch on; `validation` is None where there was none."""

    threshold: float
    loss: str
    training: np.ndarray
    validation: np.ndarray | None = None


def threshold_convergence(runs: Sequence[LossRun]) -> bytes:
    """PNG with a plot for each threshold: training and validation loss over epochs (mul_dml, figures 6 and 11).

    The losses, such as traditional and dual, are told apart by colour, validation is dashed. A plot begins at zero and
    has its own scale, as a larger threshold makes a larger loss. A value that is not finite leaves a gap. Raises
    ValueError for no run and for a run without an epoch.
    """
    if not runs or not all(len(run.training) for run in runs):
        raise ValueError("Convergence needs at least one run, and an epoch in each.")
    losses = list(dict.fromkeys(run.loss for run in runs))
    looks = dict(zip(losses, line_looks(len(losses)), strict=True))
    thresholds = sorted({run.threshold for run in runs})
    figure, panels = new_panels(len(thresholds), max(3.4, 6.0 / len(thresholds)), 3.3)
    for axes, threshold in zip(panels, thresholds, strict=True):
        dress(axes, f"threshold {threshold:g}", "epoch", "loss")
        for run in runs:
            if run.threshold == threshold:
                curve(axes, run.training, **looks[run.loss])
                if run.validation is not None:
                    curve(axes, run.validation, **(looks[run.loss] | {"linestyle": DASHED}))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylim(bottom=0)
    handles = [Line2D([], [], linewidth=2, label=loss, **looks[loss]) for loss in losses]
    if any(run.validation is not None for run in runs):
        handles.append(Line2D([], [], linewidth=1.8, color=INK, label="training"))
        handles.append(Line2D([], [], linewidth=1.8, color=INK, linestyle=DASHED, label="validation"))
    legend_above(figure, handles)
    return png(figure)


def interclass_distances(emb_ND: np.ndarray, label_N: np.ndarray, num_pairs: int, seed: int) -> np.ndarray:
    """Euclidean distances (P,) float64 of `num_pairs` pairs of images of different classes.

    Every ordered pair is equally likely, and may be drawn again. Labels are any integers. Raises ValueError for
    embeddings that are not finite, labels that do not match, a single class, and num_pairs < 1.
    """
    if emb_ND.ndim != 2 or label_N.shape != (len(emb_ND),) or not np.isfinite(emb_ND).all():
        raise ValueError(f"Finite embeddings (N, D) and a label for each are needed: {emb_ND.shape}, {label_N.shape}.")
    _, class_N, size_C = np.unique(label_N, return_inverse=True, return_counts=True)
    if len(size_C) < 2 or num_pairs < 1:
        raise ValueError(f"{num_pairs} pairs of {len(size_C)} classes: at least one pair and two classes are needed.")
    rng = np.random.default_rng(seed)
    by_class_N = np.argsort(class_N, kind="stable")
    start_C = np.cumsum(size_C) - size_C
    others_C = len(emb_ND) - size_C
    share_C = size_C * others_C / (size_C * others_C).sum()
    class_P = rng.choice(len(size_C), num_pairs, p=share_C)
    first_P = start_C[class_P] + rng.integers(size_C[class_P])
    second_P = rng.integers(others_C[class_P])
    second_P += np.where(second_P >= start_C[class_P], size_C[class_P], 0)  # over the first one's own class
    distance_P = np.empty(num_pairs)
    for start in range(0, num_pairs, _BLOCK):
        block = slice(start, start + _BLOCK)
        left, right = (emb_ND[by_class_N[place[block]]].astype(np.float64) for place in (first_P, second_P))
        distance_P[block] = np.linalg.norm(left - right, axis=1)
    return distance_P


def interclass_distributions(distances: Mapping[float, np.ndarray]) -> bytes:
    """PNG of the distances between classes, an outline for each threshold with its median (mul_dml, figure 3).

    `distances` maps a threshold to the (P,) distances of the model trained with it; all have the same bins. Raises
    ValueError for no threshold and for one without a distance or with one that is not finite or negative.
    """
    if not distances:
        raise ValueError("No threshold has distances to draw.")
    for threshold, distance_P in distances.items():
        if not distance_P.size or not np.isfinite(distance_P).all() or distance_P.min() < 0:
            raise ValueError(f"Threshold {threshold:g}: finite distances from 0 on, at least one, are needed.")
    figure, (axes,) = new_figure(7.4, 4.0)
    dress(axes, "Distances between classes", "Euclidean distance", "density")
    largest = max(distance_P.max() for distance_P in distances.values())
    bins = np.linspace(0, largest or 1.0, _NUM_BINS + 1)
    for threshold, look in zip(sorted(distances), line_looks(len(distances)), strict=True):
        density, _ = np.histogram(distances[threshold], bins, density=True)
        name = f"threshold {threshold:g} (median {np.median(distances[threshold]):#.3g})"
        axes.stairs(density, bins, linewidth=1.6, label=name, color=look["color"], linestyle=look["linestyle"])
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK)
    return png(figure)
