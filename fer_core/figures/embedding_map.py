"""The embedding flattened to two dimensions. Legend: N images, D embedding size."""

from collections.abc import Sequence

import numpy as np
from matplotlib.lines import Line2D
from sklearn.manifold import TSNE

from fer_core.figures.canvas import INK, dress, new_figure, png, style_of

_FEWEST = 4  # below that a perplexity between 1 and N - 1 has no meaning


def tsne(embedding: np.ndarray, label: np.ndarray, classes: Sequence[str], seed: int, max_points: int = 2000) -> bytes:
    """PNG of the t-SNE (Barnes-Hut, perplexity 30 or a third of the points) of embeddings (N, D), coloured by class.

    At most `max_points` images, drawn without replacement from `seed`. A legend names the classes that are present.
    Raises ValueError for fewer than 4 images and for labels that do not match.
    """
    if len(embedding) < _FEWEST or label.shape != (len(embedding),):
        raise ValueError(
            f"t-SNE needs {_FEWEST} embeddings and a label for each, not {len(embedding)} and {label.shape}."
        )
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(embedding))[:max_points]
    label = label[chosen]
    place = _flatten(embedding[chosen].astype(np.float64), seed)
    figure, (axes,) = new_figure(7.2, 5.4)
    dress(axes, f"t-SNE of {len(chosen)} embeddings", "", "")
    axes.set(xticks=[], yticks=[])
    size = float(np.clip(9000 / len(chosen), 10, 45))
    handles = []
    for index, (colour, marker) in enumerate(style_of(classes)):
        x, y = place[label == index].T
        if x.size:
            axes.scatter(x, y, s=size, color=colour, marker=marker, alpha=0.75, linewidths=0.3, edgecolors="white")
            name = f"{classes[index]} ({x.size})"
            handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, label=name))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK)
    return png(figure)


def _flatten(emb_ND: np.ndarray, seed: int) -> np.ndarray:
    """Places (N, 2). A collapsed embedding has no principal axes to start from: all its points are one place."""
    spread = (emb_ND - emb_ND.mean(axis=0)).std()
    if spread == 0:
        return np.zeros((len(emb_ND), 2))
    perplexity = min(30.0, (len(emb_ND) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="random", random_state=seed)
    return model.fit_transform((emb_ND - emb_ND.mean(axis=0)) / spread)
