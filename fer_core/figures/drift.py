"""What a model was tested on beside what it is used on. Legend: D embedding size."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fer_core.drift.two_samples import Drift
from fer_core.figures.canvas import BLUE, INK, ORANGE, dress, new_figure, png
from fer_core.figures.embedding_map import point_size

_MOST_POINTS = 400


class _Side(NamedTuple):
    name: str
    colour: str
    marker: str


_TESTED, _USED = _Side("tested on", BLUE, "o"), _Side("used on", ORANGE, "^")


def drifted_embeddings(drift: Drift) -> bytes:
    """PNG of both samples in the first two principal components of the two together, with the p value.

    The rows have been drawn in random order: the first 400 of each are shown.
    """
    figure, (axes,) = new_figure(5.6, 4.6)
    dress(axes, _title("Embeddings", drift.shifts[0].p_value), "first principal component", "second")
    both = np.concatenate([drift.reference.embedding_ND, drift.recent.embedding_ND]).astype(np.float64)
    centre_D = both.mean(axis=0)
    axis_2D = np.linalg.svd(both - centre_D, full_matrices=False)[2][:2]
    for sample, side in ((drift.reference, _TESTED), (drift.recent, _USED)):
        x, y = ((sample.embedding_ND[:_MOST_POINTS] - centre_D) @ axis_2D.T).T
        look: dict[str, Any] = {
            "s": point_size(_MOST_POINTS),
            "c": side.colour,
            "marker": side.marker,
            "label": side.name,
        }
        axes.scatter(x, y, alpha=0.6, linewidths=0.3, edgecolors="white", **look)
    axes.set(xticks=[], yticks=[])
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return png(figure)


def drifted_classes(drift: Drift, classes: Sequence[str]) -> bytes:
    """PNG of how often the model says each class in either sample, with the p value."""
    figure, (axes,) = new_figure(5.6, 4.6)
    dress(axes, _title("Expressions said", drift.shifts[1].p_value), "", "share of the rows, %")
    at = np.arange(len(classes))
    for offset, sample, side in ((-0.2, drift.reference, _TESTED), (0.2, drift.recent, _USED)):
        share = [100 * float((sample.label_N == one).mean()) for one in classes]
        axes.bar(at + offset, share, width=0.38, color=side.colour, label=side.name)
    axes.set_xticks(at, classes, rotation=30, ha="right")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return png(figure)


def _title(what: str, p_value: float) -> str:
    return f"{what}: p {'< 0.001' if p_value < 0.001 else f'= {p_value:.3f}'}"
