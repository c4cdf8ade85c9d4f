"""Differences between two models with their intervals, one below the other. Legend: R rows."""

from collections.abc import Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer_core.figures.canvas import BLUE, INK, MUTED, ORANGE, dress, new_figure, png
from fer_core.figures.panels import DASHED, legend_above

OF_OUTCOME = {"passed": (BLUE, "o"), "failed": (ORANGE, "X"), "untold": (MUTED, "s")}
_WORDS = {"passed": "passed", "failed": "failed", "untold": "cannot be told"}


def differences_chart(
    names: Sequence[str], difference_R3: np.ndarray, outcomes: Sequence[str], margin: float | None
) -> bytes:
    """PNG with a line for each row: the difference as a mark on its interval, from the top down.

    Args:
        names: R.
        difference_R3: the value and the lower and upper end of its interval, as shares between -1 and 1.
        outcomes: of each row passed, failed or untold: its colour and mark.
        margin: the loss that is bearable, drawn as a dashed line at -margin; None: no line.

    Raises ValueError for no row, and for arrays that do not match.
    """
    if not names or difference_R3.shape != (len(names), 3) or len(outcomes) != len(names):
        raise ValueError(f"{len(names)} names, {len(outcomes)} outcomes and differences {difference_R3.shape}.")
    figure, (axes,) = new_figure(5.4, 0.3 * len(names) + 1.5)
    dress(axes, "", f"difference to {'guessing' if margin is None else 'the champion'}, percentage points", "")
    for place, ((value, low, high), outcome) in enumerate(zip(difference_R3.tolist(), outcomes, strict=True)):
        colour, marker = OF_OUTCOME[outcome]
        axes.hlines(place, low, high, color=colour, linewidth=2, alpha=0.55)
        axes.plot(value, place, color=colour, marker=marker, markersize=6)
    axes.axvline(0, color=INK, linewidth=1)
    handles = [
        Line2D([], [], label=_WORDS[name], color=colour, marker=marker, markersize=6, linewidth=2)
        for name, (colour, marker) in OF_OUTCOME.items()
        if name in outcomes
    ]
    if margin is not None:
        axes.axvline(-margin, color=MUTED, linewidth=1, linestyle=DASHED)
        handles.append(Line2D([], [], label=f"bearable loss, {100 * margin:g} points", color=MUTED, linestyle=DASHED))
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+.4g}" if value else "0"))
    legend_above(figure, handles)
    return png(figure)
