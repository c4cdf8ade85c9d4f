"""Representations on their three principal axes. Legend: N samples, D size of a representation."""

from collections.abc import Mapping, Sequence

import numpy as np
from mpl_toolkits.mplot3d.axes3d import Axes3D

from fer_core.figures.canvas import GRID, INK, png
from fer_core.figures.embedding_map import class_handles, drawn_rows, scatter_classes
from fer_core.figures.panels import legend_above, new_panels


def latent_pca(
    representations: Mapping[str, np.ndarray], label_N: np.ndarray, classes: Sequence[str], seed: int,
    max_points: int = 2000,
) -> bytes:  # fmt: skip
    """PNG with a solid plot for each representation: its first three principal axes (landmark_vae, figures 4 and 5).

    `representations` maps a title, such as raw, PCA, VAE, M1, M2, to (N, D) with D of at least 3; the axes and the
    share of the variance in them, which the title tells, are those of all N. At most `max_points` samples are drawn,
    the same in every plot, coloured by class. Raises ValueError for no representation, labels that do not match, D < 3
    and values that are not finite.
    """
    if not representations or not label_N.size:
        raise ValueError("No representation to draw.")
    for title, values_ND in representations.items():
        if values_ND.ndim != 2 or label_N.shape != values_ND.shape[:1] or values_ND.shape[1] < 3:
            raise ValueError(f"{title}: {values_ND.shape} for labels {label_N.shape}; (N, 3 or more) is needed.")
        if not np.isfinite(values_ND).all():
            raise ValueError(f"{title} holds a NaN or an infinity.")
    chosen = drawn_rows(len(label_N), seed, max_points)
    figure, panels = new_panels(len(representations), 3.4, 3.5, most_columns=3, projection="3d")
    for axes, (title, values_ND) in zip(panels, representations.items(), strict=True):
        place_N3, share = principal_axes(values_ND)
        told = "" if np.isnan(share) else f"\n{100 * share:.0f} % of the variance"
        axes.set_title(f"{title}{told}", loc="left", fontsize=10, fontweight="bold", color=INK)
        scatter_classes(axes, place_N3[chosen], label_N[chosen], classes)
        assert isinstance(axes, Axes3D)
        axes.set_zticks([])
        axes.set_box_aspect((1, 1, 1), zoom=1.3)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_pane_color("white")
            axis.line.set_color(GRID)
    legend_above(figure, class_handles(label_N[chosen], classes))
    return png(figure)


def principal_axes(values_ND: np.ndarray) -> tuple[np.ndarray, float]:
    """Places (N, 3) on the principal axes of (N, D), and the share of the variance in them; NaN where there is none.

    An axis points to where its largest coefficient is positive, so that the same data give the same picture.
    """
    centred_ND = values_ND.astype(np.float64) - values_ND.mean(axis=0, dtype=np.float64)
    variance_D, axis_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
    axis_D3 = axis_DD[:, :-4:-1]
    axis_D3 = axis_D3 * np.sign(axis_D3[np.abs(axis_D3).argmax(axis=0), range(3)])
    total = np.square(centred_ND).sum()
    return centred_ND @ axis_D3, float(variance_D[-3:].sum() / total) if total > 0 else float("nan")
