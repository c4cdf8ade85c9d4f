"""Groups inside one expression: who is in them, and where. Legend: N images, D embedding size, G groups."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from fer_core.figures.canvas import GRID, INK, MUTED, dress, new_figure, png
from fer_core.figures.embedding_map import drawn_rows, flatten, point_size
from fer_core.figures.panels import series_looks
from fer_core.figures.sheet import GAP, paste
from fer_core.subdivision import top_k

_FEWEST = 4
_FACE = 0.62  # a face's side in inches
_MAP = 5.0  # the map's side in inches


def largest_clusters(
    emb_ND: np.ndarray, cluster_N: np.ndarray, num_clusters: int = 4, k: int = 10
) -> dict[int, np.ndarray]:
    """The largest clusters, largest first, each with the rows of its medoid and then of the members nearest to it.

    Clusters of one size come by their number. At most `k` rows a cluster. Raises ValueError as `top_k` does, and for
    num_clusters < 1.
    """
    if num_clusters < 1:
        raise ValueError(f"{num_clusters} clusters asked for; at least one is needed.")
    nearest = top_k(emb_ND, cluster_N, k)
    clusters, sizes = np.unique(cluster_N, return_counts=True)
    chosen = clusters[np.argsort(-sizes, kind="stable")][:num_clusters].tolist()
    return {cluster: nearest[cluster] for cluster in chosen}


def identity_clusters(
    images_by_cluster: Mapping[int, Sequence[np.ndarray]], emb_ND: np.ndarray, identity_N: np.ndarray,
    cluster_N: np.ndarray, seed: int, most_people: int = 12, max_points: int = 2000,
) -> bytes:  # fmt: skip
    """PNG of the clusters inside one expression: rows of faces, and the t-SNE coloured by person (dml_net, figure 14).

    `images_by_cluster` holds, for each cluster to be shown, its faces (uint8, (H, W) or (H, W, 3)), such as those of
    `largest_clusters`; a row begins with the cluster's number, images and people, and the number stands on the map at
    the middle of its members. The `most_people` people with most images have a colour and marker, the others are grey.

    Raises ValueError for no cluster, a cluster without a face or a member, fewer than 4 images, and arrays that do not
    match.
    """
    num_images = len(emb_ND)
    if num_images < _FEWEST or identity_N.shape != (num_images,) or cluster_N.shape != (num_images,):
        raise ValueError(
            f"{num_images} embeddings, identities {identity_N.shape}, clusters {cluster_N.shape}: at least {_FEWEST}, "
            "and one identity and one cluster each."
        )
    if not images_by_cluster or not all(
        images and (cluster_N == cluster).any() for cluster, images in images_by_cluster.items()
    ):
        raise ValueError("At least one cluster is needed, with a face and a member in each.")
    columns = max(map(len, images_by_cluster.values()))
    sheet_width = (columns * (1 + GAP) + 2.0) * _FACE
    figure, (sheet, axes) = new_figure(sheet_width + _MAP + 1.5, max(4.6, len(images_by_cluster) * 0.9 + 0.6), 2)
    grid = sheet.get_gridspec()
    assert grid is not None
    grid.set_width_ratios([sheet_width, _MAP + 1.3])
    _draw_rows(sheet, images_by_cluster, identity_N, cluster_N, columns)
    chosen = drawn_rows(num_images, seed, max_points)
    place = flatten(emb_ND[chosen], seed)
    people = [name for name, _ in Counter(identity_N[chosen].tolist()).most_common(most_people)]
    _draw_map(axes, place, identity_N[chosen], people)
    _write_numbers(axes, place, cluster_N[chosen], list(images_by_cluster))
    return png(figure)


def _draw_rows(
    sheet: Axes, images_by_cluster: Mapping[int, Sequence[np.ndarray]], identity_N: np.ndarray, cluster_N: np.ndarray,
    columns: int,
) -> None:  # fmt: skip
    row_height = 1 + 3 * GAP
    sheet.set_axis_off()
    sheet.set_anchor("N")
    sheet.set(xlim=(-2, columns * (1 + GAP)), ylim=(len(images_by_cluster) * row_height, -0.1), aspect="equal")
    for row, (cluster, images) in enumerate(images_by_cluster.items()):
        members = cluster_N == cluster
        told = f"{members.sum()} images\n{len(np.unique(identity_N[members]))} people"
        middle = row * row_height + 0.5
        sheet.text(-1.9, middle, str(cluster), va="center", fontsize=15, fontweight="bold", color=INK)
        sheet.text(-0.15, middle, told, ha="right", va="center", fontsize=8, color=MUTED)
        for column, image in enumerate(images):
            paste(sheet, image, column * (1 + GAP), row * row_height)


def _draw_map(axes: Axes, place: np.ndarray, identity: np.ndarray, people: Sequence) -> None:
    dress(axes, f"t-SNE of {len(place)} embeddings by person", "", "")
    axes.set(xticks=[], yticks=[])
    size = point_size(len(place))
    x, y = place.T
    others = ~np.isin(identity, people)
    axes.scatter(x[others], y[others], s=size, color=GRID, linewidths=0.5, edgecolors=MUTED)
    handles = []
    for name, (colour, marker) in zip(people, series_looks(len(people)), strict=True):
        mine = identity == name
        axes.scatter(x[mine], y[mine], s=size, color=colour, marker=marker, linewidths=0.3, edgecolors="white")
        label = f"{name} ({mine.sum()})"
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=6, label=label))
    if others.any():
        label = f"{len(np.unique(identity[others]))} others ({others.sum()})"
        handles.append(Line2D([], [], color=GRID, marker="o", markeredgecolor=MUTED, linestyle="", label=label))
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8, labelcolor=INK)


def _write_numbers(axes: Axes, place: np.ndarray, cluster: np.ndarray, shown: Sequence[int]) -> None:
    """The numbers of the clusters that have a point on the map."""
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 15, "fontweight": "bold", "color": INK}
    for number in np.intersect1d(shown, cluster).tolist():
        x, y = np.median(place[cluster == number], axis=0)
        axes.text(x, y, str(number), path_effects=[withStroke(linewidth=3, foreground="white")], **look)
