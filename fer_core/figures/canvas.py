"""The look that all pictures share: paper, ink, grid, and one colour and marker for each expression."""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from fer_core.vocabulary import EXPRESSIONS

DPI = 144
INK, MUTED, GRID = "#1f2430", "#667085", "#e4e7ec"
BLUE, ORANGE = "#0072B2", "#D55E00"

# Okabe and Ito's colours, which colour-blind readers tell apart; their yellow, faint on white, gives way to grey.
_COLOURS = ("#8a8f98", "#E69F00", "#56B4E9", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
_MARKERS = ("o", "^", "s", "v", "D", "P", "X", "*")


def style_of(classes: Sequence[str]) -> list[tuple[str, str]]:
    """(colour, marker) of each class: an expression looks the same in every picture, other names take turns."""
    places = [EXPRESSIONS.index(name) if name in EXPRESSIONS else i for i, name in enumerate(classes)]
    return [(_COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]) for place in places]


def new_figure(width: float, height: float, num_axes: int = 1) -> tuple[Figure, list[Axes]]:
    """White figure of width x height inches with `num_axes` plots side by side."""
    figure = empty_figure(width, height)
    return figure, list(figure.subplots(1, num_axes, squeeze=False)[0])


def empty_figure(width: float, height: float) -> Figure:
    """White figure of width x height inches, for plots that the caller places."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Title at the left, named axes, a light grid, no box."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.set_xlabel(x_label, color=MUTED)
    axes.set_ylabel(y_label, color=MUTED)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes, without a date or version in it: the same data give the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
