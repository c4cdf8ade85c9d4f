"""Receiver operating curves of face verification. FAR: false accept rate, TAR: true accept rate."""

from collections.abc import Mapping

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fer_core.evaluation.verification import Verification
from fer_core.figures.canvas import INK, MUTED, dress, new_figure, png
from fer_core.figures.panels import line_looks

_MARKED_FARS = (1e-2, 1e-3)
_LEAST_FAR = 1e-5


def roc_curves(measured: Mapping[str, Verification]) -> bytes:
    """PNG of TAR over FAR (logarithmic), a curve for each name, with marks at FAR 1e-2 and 1e-3.

    The curves are the `roc` of what was measured; the legend tells its AUC and its TAR at the marks, with a dash and
    without a mark where the pairs were too few for such a rate. A curve begins at the FAR of one false accept, or at
    1e-5. Raises ValueError for no curve.
    """
    if not measured:
        raise ValueError("No curve to draw.")
    figure, (axes,) = new_figure(6.4, 4.6 + 0.22 * len(measured))
    dress(axes, "Verification", "false accept rate", "true accept rate")
    smallest = {name: max(1 / one.num_different, _LEAST_FAR) for name, one in measured.items()}
    least = min(_MARKED_FARS[-1] / 2, *smallest.values())
    axes.set_xscale("log")
    for far in _MARKED_FARS:
        axes.axvline(far, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for (name, one), look in zip(measured.items(), line_looks(len(measured)), strict=True):
        far_R, tar_R = one.roc.T
        first = np.searchsorted(far_R, smallest[name], side="right") - 1
        far_seen = np.maximum(far_R[first:], smallest[name])
        axes.step(far_seen, tar_R[first:], where="post", linewidth=1.8, label=_told(name, one), **look)
        marks = {far: tar for far in _MARKED_FARS if (tar := one.tar_at_far[far]) is not None}
        axes.plot(list(marks), list(marks.values()), "o", color=look["color"], markersize=7, markeredgecolor="white")
    axes.set(xlim=(least, 1), ylim=(0, 1.02))
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    figure.legend(loc="outside lower left", frameon=False, fontsize=8.5, labelcolor=INK)
    return png(figure)


def _told(name: str, one: Verification) -> str:
    rates = {far: "–" if (tar := one.tar_at_far[far]) is None else f"{100 * tar:.1f} %" for far in _MARKED_FARS}
    return f"{name}: AUC {one.auc:.4f}, " + ", ".join(f"TAR@{far:g} {rate}" for far, rate in rates.items())
