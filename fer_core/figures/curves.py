"""Curves: retrieval over K, systems beside each other over K, kNN's F1 over K, and loss and accuracy while training."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from fer_core.figures.canvas import BLUE, INK, MUTED, ORANGE, dress, new_figure, png
from fer_core.figures.panels import line_looks
from fer_core.figures.smoothing import MANY_ROWS, running_mean

_PERCENT = FuncFormatter(lambda value, _: f"{100 * value:.4g} %")


def retrieval_curves(recall: Mapping[int, float], acc: Mapping[int, float]) -> bytes:
    """PNG of Recall@K and Acc@K (shares) over K. Raises ValueError where there is no K."""
    if not recall and not acc:
        raise ValueError("Neither Recall@K nor Acc@K has a value to draw.")
    figure, (axes,) = new_figure(6.4, 3.8)
    dress(axes, "Retrieval among the test images", "K nearest images", "share")
    axes.set_xscale("log", base=2)
    _curve(axes, recall, BLUE, "o", "Recall@K: one of the K has the class")
    _curve(axes, acc, ORANGE, "s", "Acc@K: share of the K with the class")
    _k_ticks(axes, sorted({*recall, *acc}))
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")
    return png(figure)


def f1_over_k(f1: Mapping[int, float]) -> bytes:
    """PNG of kNN's macro F1 (share) over K; K = 11, fixed beforehand, is marked. Raises ValueError without a K."""
    if not f1:
        raise ValueError("F1 over K has no value to draw.")
    figure, (axes,) = new_figure(6.4, 3.6)
    dress(axes, "kNN macro F1 over K", "K", "macro F1")
    axes.axvline(11, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "reported K", (11, 1), (4, -4), xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
        fontsize=8, color=MUTED,
    )  # fmt: skip
    _curve(axes, f1, BLUE, "o", "macro F1")
    _k_ticks(axes, sorted({*f1, 11}))
    return png(figure)


def systems_over_k(panels: Mapping[str, Mapping[str, Mapping[int, float]]], marked: int | None = None) -> bytes:
    """PNG of measures of several systems over K, a panel a measure: title -> system -> K -> share.

    A system looks the same in all panels. `marked` is a K that gets a line; without one K is logarithmic. Raises
    ValueError where a panel has no system.
    """
    if not panels or not all(panels.values()):
        raise ValueError("Nothing over K to draw.")
    systems = list(dict.fromkeys(name for own in panels.values() for name in own))
    looks = dict(zip(systems, line_looks(len(systems)), strict=True))
    figure, axes = new_figure(5.2 * len(panels) + 0.4, 3.5 + 0.11 * len(systems), len(panels))
    for place, (title, own) in zip(axes, panels.items(), strict=True):
        dress(place, title, "K", title)
        for name, points in own.items():
            place.plot(list(points), list(points.values()), marker="o", markersize=4, linewidth=1.8, **looks[name])
        if marked is None:
            place.set_xscale("log", base=2)
        else:
            place.axvline(marked, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        _k_ticks(place, sorted({k for points in own.values() for k in points}))
    lines = [Line2D([], [], label=name, marker="o", markersize=4, **looks[name]) for name in systems]
    figure.legend(handles=lines, loc="outside lower left", ncols=2, frameon=False, fontsize=8.5, labelcolor=INK)
    return png(figure)


def training_curves(rows: Sequence[Mapping[str, float]]) -> bytes:
    """PNG of loss, and accuracy where rows have it, over `step` (else `epoch`), one row a report of the training loop.

    Long curves are drawn pale with their running mean over a fiftieth of the rows. A loss that is not finite leaves a
    gap. Raises ValueError where no row has a loss.
    """
    x_name = "step" if rows and "step" in rows[0] else "epoch"
    measures = [name for name in ("loss", "accuracy") if any(name in row for row in rows)]
    if "loss" not in measures:
        raise ValueError("No row has a loss to draw.")
    figure, panels = new_figure(4.4 * len(measures) + 1, 3.6, len(measures))
    for axes, name, colour in zip(panels, measures, (BLUE, ORANGE), strict=False):
        reported = [row for row in rows if name in row]
        x, y = (np.array([row[key] for row in reported], dtype=np.float64) for key in (x_name, name))
        dress(axes, f"Training {name}", x_name, name)
        many, marker = len(y) > MANY_ROWS, "o" if len(y) <= 20 else ""
        axes.plot(x, y, color=colour, linewidth=1.6, alpha=0.25 if many else 1, marker=marker, markersize=4)
        if many:
            axes.plot(x, running_mean(y, len(y) // 50), color=colour, linewidth=1.8)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if name == "accuracy":
            axes.yaxis.set_major_formatter(_PERCENT)
    return png(figure)


def _curve(axes: Axes, points: Mapping[int, float], colour: str, marker: str, label: str) -> None:
    ks = sorted(points)
    axes.plot(ks, [points[k] for k in ks], color=colour, marker=marker, markersize=6, linewidth=2, label=label)


def _k_ticks(axes: Axes, ks: Sequence[int]) -> None:
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.margins(y=0.12)
