"""Losses of several tasks with equal and with dynamic weights. Legend: T mini-batches."""

from collections.abc import Mapping

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fer_core.figures.canvas import dress, empty_figure, png
from fer_core.figures.panels import curve, legend_above, line_looks

Curves = Mapping[str, np.ndarray]


def loss_weighting(equal_losses: Curves, dynamic_losses: Curves, weights: Curves) -> bytes:
    """PNG of each loss over the mini-batches without and with dynamic weights, and of those weights (dml_net, fig. 15).

    Each maps the same names of losses to (T,) values from the first mini-batch on. Both plots of losses have one
    scale. More than 200 mini-batches are drawn pale with their running mean over a fiftieth of them, and a value that
    is not finite leaves a gap. Raises ValueError for no loss, other names, and an empty curve.
    """
    names = list(equal_losses)
    if not names or any(set(curves) != set(names) for curves in (dynamic_losses, weights)):
        raise ValueError("Losses with equal weights, with dynamic weights, and the weights need the same names.")
    if not all(curves[name].size for curves in (equal_losses, dynamic_losses, weights) for name in names):
        raise ValueError("Each loss and weight needs at least one mini-batch.")
    looks = dict(zip(names, line_looks(len(names)), strict=True))
    figure = empty_figure(8.6, 6.0)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
    equal = figure.add_subplot(grid[0, 0])
    dynamic = figure.add_subplot(grid[0, 1], sharey=equal)
    chosen = figure.add_subplot(grid[1, :])
    for axes, title, label, curves in (
        (equal, "Equal weights", "loss", equal_losses),
        (dynamic, "Dynamic weights", "loss", dynamic_losses),
        (chosen, "The dynamic weights", "weight", weights),
    ):
        dress(axes, title, "mini-batch", label)
        for name in names:
            curve(axes, curves[name], **looks[name])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    legend_above(figure, [Line2D([], [], linewidth=2, label=name, **looks[name]) for name in names])
    return png(figure)
