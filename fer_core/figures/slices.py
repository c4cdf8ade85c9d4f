"""What each slice of an embedding says of a face. Legend: F faces, N slices, S values of a slice."""

from collections.abc import Sequence
from math import isqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from fer_core.figures.canvas import INK, MUTED, png
from fer_core.figures.sheet import new_sheet, paste

_BAR_WIDTH, _BAR_HEIGHT = 2.4, 0.75  # inches, with its labels
_SIDE = 8  # squares along a grid's side
_HEADING = 0.3  # in face widths
_GAP = 0.14  # between the pictures of a row, in face widths
_LETTER = 0.095  # in face widths, at the size of the names of slices


def slice_grids(
    images: Sequence[np.ndarray], titles: Sequence[str], values_FNS: np.ndarray, slice_names: Sequence[str]
) -> bytes:
    """PNG with a row for each face: title, picture, and 8x8 grey squares for each slice (mul_dml, figures 7 and 8).

    A square is one of 64 values taken at equal steps from the slice, brighter for a greater one; a slice of fewer than
    64 has a smaller grid. All grids share one scale, from the first to the last percentile of what is shown.

    Args:
        images: F faces, uint8 (H, W) or (H, W, 3).
        titles: F titles, such as the expression.
        values_FNS: the embeddings, slice by slice.
        slice_names: N headings, such as the threshold.

    Raises ValueError for no face, no slice, sizes that do not match, and values that are not finite.
    """
    if values_FNS.ndim != 3 or not values_FNS.size or not np.isfinite(values_FNS).all():
        raise ValueError(f"Slices have shape {values_FNS.shape}; finite values (faces, slices, values) are needed.")
    num_faces, num_slices, num_values = values_FNS.shape
    if len(images) != num_faces or len(titles) != num_faces or len(slice_names) != num_slices:
        given = f"{len(images)} faces, {len(titles)} titles and {len(slice_names)} names of slices"
        raise ValueError(f"{given} do not fit slices of shape {values_FNS.shape}.")
    side = min(_SIDE, isqrt(num_values))
    shown_FNS = values_FNS[:, :, np.arange(side**2) * num_values // side**2].astype(np.float64)
    scale = Normalize(np.percentile(shown_FNS, 1), np.percentile(shown_FNS, 99), clip=True)
    step = max(1 + _GAP, _LETTER * max(map(len, slice_names)) + _GAP)
    title_width = 0.11 * max(map(len, titles)) + 0.3
    figure, axes = new_sheet(-title_width, (num_slices + 1) * step, num_faces * (1 + _GAP) + _HEADING)
    figure.set_figheight(figure.get_figheight() + _BAR_HEIGHT)
    for column, name in enumerate(slice_names, start=1):
        axes.text(column * step + 0.5, 0.2, name, ha="center", va="bottom", fontsize=8, color=MUTED, parse_math=False)
    for row, (image, title) in enumerate(zip(images, titles, strict=True)):
        top = _HEADING + row * (1 + _GAP)
        axes.text(-0.15, top + 0.5, title, ha="right", va="center", fontsize=10, color=INK, parse_math=False)
        paste(axes, image, 0, top)
        for column, value_S in enumerate(shown_FNS[row], start=1):
            _draw_grid(axes, value_S.reshape(side, side), column * step, top, scale)
    _draw_scale(axes, scale)
    return png(figure)


def _draw_scale(axes: Axes, scale: Normalize) -> None:
    figure = axes.get_figure(root=True)
    assert figure is not None
    shrink = min(0.9, _BAR_WIDTH / figure.get_figwidth())
    bar = figure.colorbar(ScalarMappable(scale, "gray"), ax=axes, location="bottom", extend="both", shrink=shrink)
    bar.ax.set_box_aspect(0.05)
    bar.ax.tick_params(colors=MUTED, labelsize=8)
    bar.locator = MaxNLocator(3)
    bar.set_label("value", color=MUTED, fontsize=8)


def _draw_grid(axes: Axes, squares: np.ndarray, left: float, top: float, scale: Normalize) -> None:
    edges = np.linspace(0, 1, len(squares) + 1)
    axes.pcolormesh(edges + left, edges + top, squares, cmap="gray", norm=scale, edgecolors="white", linewidth=0.3)
    axes.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor=MUTED, linewidth=0.5))
