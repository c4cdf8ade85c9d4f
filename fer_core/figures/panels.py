"""What pictures of several panels or series share: the grid of plots, the looks, the legend, smoothed long curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_core.figures.canvas import INK, MUTED, empty_figure, style_of
from fer_core.figures.smoothing import MANY_ROWS, running_mean

DASHED = (0, (5, 2))

_LOOKS = style_of(("sadness", "anger", "disgust", "happiness", "surprise", "fear", "contempt"))
_DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", DASHED, (0, (1.2, 1.4)), (0, (7, 2, 1.5, 2)))


def new_panels(
    num_panels: int, width: float, height: float, most_columns: int = 4, projection: str | None = None
) -> tuple[Figure, list[Axes]]:
    """White figure with `num_panels` plots of width x height inches, in lines as `num_columns` tells."""
    columns = num_columns(num_panels, most_columns)
    rows = -(-num_panels // columns)
    figure = empty_figure(columns * width, rows * height)
    grid = figure.add_gridspec(rows, columns)
    places = [grid[i // columns, i % columns] for i in range(num_panels)]
    return figure, [figure.add_subplot(place, projection=projection) for place in places]


def num_columns(num_panels: int, most_columns: int) -> int:
    """Plots side by side, at most `most_columns`, evenly over as few lines as hold them: 4 of at most 3 are 2 + 2."""
    num_lines = -(-num_panels // most_columns)
    return -(-num_panels // num_lines)


def series_looks(num_series: int) -> list[tuple[str, str]]:
    """(colour, marker) of series that are no expressions: the canvas's colours without its grey, 49 different pairs."""
    num = len(_LOOKS)
    return [(_LOOKS[i % num][0], _LOOKS[(i + i // num) % num][1]) for i in range(num_series)]


def line_looks(num_lines: int) -> list[dict[str, Any]]:
    """Colour and dashes of lines: 28 different pairs, the first seven solid."""
    num = len(_LOOKS)
    return [{"color": _LOOKS[i % num][0], "linestyle": _DASHES[i // num % len(_DASHES)]} for i in range(num_lines)]


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend over all panels, in as many columns as the figure's width holds."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = num_columns(len(handles), max(1, int(figure.get_figwidth() / (0.075 * longest + 0.6))))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, frameon=False, fontsize=9,
        labelcolor=INK,
    )  # fmt: skip


def curve(axes: Axes, values: np.ndarray, **look: Any) -> None:
    """Values over 1, 2, ...: a long curve is pale with its running mean over a fiftieth of it; no value leaves a gap.

    A value that is not finite is no value. A lone one between two gaps is a dot.
    """
    y = np.where(np.isfinite(values), values, np.nan)
    x = np.arange(1, len(y) + 1)
    if len(y) > MANY_ROWS:
        axes.plot(x, y, linewidth=0.8, alpha=0.25, **(look | {"linestyle": "-"}))
        axes.plot(x, running_mean(y, len(y) // 50), linewidth=1.8, **look)
        return
    axes.plot(x, y, linewidth=1.8, **look)
    known = np.concatenate([[False], np.isfinite(y), [False]])
    lone = known[1:-1] & ~known[:-2] & ~known[2:]
    axes.plot(x[lone], y[lone], marker="o", markersize=4, **(look | {"linestyle": ""}))


def say_nothing_known(axes: Axes) -> None:
    """Words in the middle of a plot that has nothing to show."""
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9, "color": MUTED, "backgroundcolor": "white"}
    axes.text(0.5, 0.5, "no value", transform=axes.transAxes, **look)
