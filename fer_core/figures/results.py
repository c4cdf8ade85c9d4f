"""Our results beside a paper's. Legend: R systems we ran, Q systems that were not run, C columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer_core.figures.canvas import BLUE, INK, MUTED, ORANGE, dress, png
from fer_core.figures.panels import legend_above, new_panels, num_columns, say_nothing_known

_MOST_COLUMNS = 4
_OURS, _PAPER, _CITED = "ours, with its interval", "the paper's", "published, not run here"


def results_chart(
    rows: Sequence[str], columns: Sequence[str], ours_RC3: np.ndarray, paper_RC: np.ndarray,
    cited_rows: Sequence[str] = (), cited_QC: np.ndarray | None = None,
) -> bytes:  # fmt: skip
    """PNG with a plot for each column: our share as a dot with its interval, the paper's as a hollow diamond.

    Systems that were not run, those that the paper cites among them, are below a line, in grey. Each plot has its own
    scale; a row without any value has a dash. NaN is a missing value, and a value may have no interval.

    Args:
        rows: R names of systems.
        columns: C names, such as data set and metric.
        ours_RC3: our value, and the lower and upper end of its interval, as shares.
        paper_RC: the paper's values, as shares.
        cited_rows: Q names.
        cited_QC: their values, as shares.

    Raises ValueError for no row, no column, and arrays that do not match.
    """
    cited_QC = np.zeros((0, len(columns))) if cited_QC is None else cited_QC
    names = [*rows, *cited_rows]
    wanted = [(len(rows), len(columns), 3), (len(rows), len(columns)), (len(cited_rows), len(columns))]
    given = [ours_RC3.shape, paper_RC.shape, cited_QC.shape]
    if not names or not columns or given != wanted:
        raise ValueError(f"Results of shapes {given}; {wanted} is needed, with at least one row and column.")
    in_line = num_columns(len(columns), _MOST_COLUMNS)
    figure, panels = new_panels(len(columns), 0, 0, _MOST_COLUMNS)
    name_width = 0.08 * max(map(len, names)) + 0.3
    num_lines = -(-len(columns) // in_line)
    column_width = max(2.2, 0.105 * max(map(len, columns)) + 0.3)
    figure.set_size_inches(max(6.0, name_width + column_width * in_line), num_lines * (0.27 * len(names) + 1.0) + 0.5)
    for column, (axes, title) in enumerate(zip(panels, columns, strict=True)):
        _draw_column(axes, title, ours_RC3[:, column], paper_RC[:, column], cited_QC[:, column])
        axes.set_yticks(range(len(names)), names if column % in_line == 0 else [""] * len(names), parse_math=False)
        axes.tick_params(axis="y", labelcolor=INK)
        for tick in axes.get_yticklabels()[len(rows) :]:
            tick.set_color(MUTED)
    legend_above(figure, _handles(bool(len(rows)), bool(len(cited_rows))))
    return png(figure)


def _draw_column(axes: Axes, title: str, ours_R3: np.ndarray, paper_R: np.ndarray, cited_Q: np.ndarray) -> None:
    dress(axes, title, "", "")
    num_rows, num_all = len(paper_R), len(paper_R) + len(cited_Q)
    place = np.arange(num_all)
    value_R, low_R, high_R = ours_R3.T
    axes.hlines(place[:num_rows], low_R, high_R, color=BLUE, linewidth=2, alpha=0.55)
    axes.plot(value_R, place[:num_rows], **_look(BLUE))
    axes.plot(paper_R, place[:num_rows], **_look(ORANGE, hollow=True))
    axes.plot(cited_Q, place[num_rows:], **_look(MUTED, hollow=True))
    if num_rows and len(cited_Q):
        axes.axhline(num_rows - 0.5, color=MUTED, linewidth=0.8)
    axes.margins(x=0.12)
    axes.set_ylim(num_all - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    known = np.isfinite(np.concatenate([np.where(np.isnan(value_R), paper_R, value_R), cited_Q]))
    if known.any():
        least, most = axes.get_xlim()
        axes.set_xlim(max(least, -0.03), min(most, 1.03))
        axes.set_xticks([tick for tick in axes.get_xticks() if max(least, 0) <= tick <= min(most, 1)])
        for row in np.flatnonzero(~known).tolist():
            axes.text(0.5, row, "–", transform=axes.get_yaxis_transform(), ha="center", va="center", color=MUTED)
    else:
        say_nothing_known(axes)
        axes.set_xticks([])


def _look(colour: str, hollow: bool = False) -> dict[str, Any]:
    diamond = {"marker": "D", "markersize": 7, "markerfacecolor": "none", "markeredgewidth": 1.5}
    return {"color": colour, "linestyle": ""} | (diamond if hollow else {"marker": "o", "markersize": 5})


def _handles(has_rows: bool, has_cited: bool) -> list[Line2D]:
    ours = Line2D([], [], label=_OURS, **(_look(BLUE) | {"linestyle": "-"}))
    paper = Line2D([], [], label=_PAPER, **_look(ORANGE, hollow=True))
    cited = Line2D([], [], label=_CITED, **_look(MUTED, hollow=True))
    return [ours, paper] * has_rows + [cited] * has_cited
