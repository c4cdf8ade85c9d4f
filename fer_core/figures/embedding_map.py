"""Embeddings flattened to two dimensions. Legend: N images, D embedding size."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from sklearn.manifold import TSNE

from fer_core.figures.canvas import INK, dress, new_figure, png, style_of
from fer_core.figures.panels import legend_above, new_panels

_FEWEST = 4  # below that a perplexity between 1 and N - 1 has no meaning


def tsne(embedding: np.ndarray, label: np.ndarray, classes: Sequence[str], seed: int, max_points: int = 2000) -> bytes:
    """PNG of the t-SNE (Barnes-Hut, perplexity 30 or a third of the points) of embeddings (N, D), coloured by class.

    At most `max_points` images, drawn without replacement from `seed`. A legend names the classes that are present.
    Raises ValueError for fewer than 4 images and for labels that do not match.
    """
    _check(embedding, label)
    chosen = drawn_rows(len(embedding), seed, max_points)
    figure, (axes,) = new_figure(7.2, 5.4)
    dress(axes, f"t-SNE of {len(chosen)} embeddings", "", "")
    scatter_classes(axes, flatten(embedding[chosen], seed), label[chosen], classes)
    handles = class_handles(label[chosen], classes)
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK)
    return png(figure)


def tsne_panels(
    embeddings: Mapping[str, np.ndarray], label: np.ndarray, classes: Sequence[str], seed: int, max_points: int = 2000
) -> bytes:
    """PNG of the t-SNE of the same images under several models, a titled plot each (dml_net, figures 10 to 13).

    `embeddings` maps a title to (N, D), D may differ; see `tsne`. All plots show the same images and share a legend.
    Raises ValueError for no embedding, fewer than 4 images and labels that do not match.
    """
    if not embeddings:
        raise ValueError("No embedding to draw.")
    for embedding in embeddings.values():
        _check(embedding, label)
    chosen = drawn_rows(len(label), seed, max_points)
    figure, panels = new_panels(len(embeddings), 4.2, 3.8, most_columns=3)
    for axes, (title, embedding) in zip(panels, embeddings.items(), strict=True):
        dress(axes, title, "", "")
        scatter_classes(axes, flatten(embedding[chosen], seed), label[chosen], classes)
    legend_above(figure, class_handles(label[chosen], classes))
    return png(figure)


def drawn_rows(num_images: int, seed: int, max_points: int) -> np.ndarray:
    """At most `max_points` of the rows 0..num_images - 1, without replacement."""
    return np.random.default_rng(seed).permutation(num_images)[:max_points]


def flatten(emb_ND: np.ndarray, seed: int) -> np.ndarray:
    """Places (N, 2) by t-SNE. A collapsed embedding has no direction to tell its points apart: all are one place."""
    emb_ND = emb_ND.astype(np.float64)
    spread = (emb_ND - emb_ND.mean(axis=0)).std()
    if spread == 0:
        return np.zeros((len(emb_ND), 2))
    perplexity = min(30.0, (len(emb_ND) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="random", random_state=seed)
    return model.fit_transform((emb_ND - emb_ND.mean(axis=0)) / spread)


def scatter_classes(axes: Axes, place: np.ndarray, label: np.ndarray, classes: Sequence[str]) -> None:
    """Points at `place`, (N, 2) or in a solid plot (N, 3), in the look of their class."""
    axes.set(xticks=[], yticks=[])
    for index, (colour, marker) in enumerate(style_of(classes)):
        columns = place[label == index].T
        if columns.size:
            look: dict[str, Any] = {"color": colour, "marker": marker, "s": point_size(len(place)), "alpha": 0.75}
            axes.scatter(*columns, linewidths=0.3, edgecolors="white", **look)


def point_size(num_points: int) -> float:
    """Area in square points: many points are small."""
    return float(np.clip(9000 / num_points, 10, 45))


def class_handles(label: np.ndarray, classes: Sequence[str]) -> list[Line2D]:
    """Legend entries of the classes that are present, with their counts."""
    counts = np.bincount(label, minlength=len(classes))
    return [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, label=f"{name} ({count})")
        for name, count, (colour, marker) in zip(classes, counts, style_of(classes), strict=True)
        if count
    ]


def _check(embedding: np.ndarray, label: np.ndarray) -> None:
    if len(embedding) < _FEWEST or label.shape != (len(embedding),):
        raise ValueError(
            f"t-SNE needs {_FEWEST} embeddings and a label for each, not {len(embedding)} and {label.shape}."
        )
