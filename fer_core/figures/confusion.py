"""The confusion matrix as a picture. Legend: C classes, rows are the truth."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from fer_core.figures.canvas import INK, MUTED, dress, new_figure, png


def confusion_matrix(confusion: np.ndarray, classes: Sequence[str]) -> bytes:
    """PNG of counts (C, C): colour and percentage are shares of the true class (row), the count is below.

    A class without a test image has an empty row with dashes. From 13 classes on only percentages fit.
    Raises ValueError where the matrix and the names do not match.
    """
    num_classes = len(classes)
    if confusion.shape != (num_classes, num_classes) or not num_classes:
        raise ValueError(f"A {confusion.shape} confusion matrix does not fit {num_classes} class names.")
    total = confusion.sum(axis=1, keepdims=True)
    share = np.where(total > 0, confusion / np.maximum(total, 1), 0.0)
    side = max(3.6, 0.72 * num_classes + 1.6) if num_classes <= 12 else 0.45 * num_classes + 2
    figure, (axes,) = new_figure(side + 0.8, side)
    dress(axes, "Confusion matrix", "decision", "truth")
    axes.grid(visible=False)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(num_classes), classes, rotation=40, ha="right", rotation_mode="anchor", color=INK)
    row_names = [f"{name} ({count})" for name, count in zip(classes, total[:, 0], strict=True)]
    axes.set_yticks(range(num_classes), row_names, color=INK)
    axes.set_xticks(np.arange(num_classes - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(num_classes - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    _write_cells(axes, confusion, share, total[:, 0] > 0)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, format=lambda value, _: f"{100 * value:.0f} %")
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, length=0, labelsize=8)
    return png(figure)


def _write_cells(axes: Axes, confusion: np.ndarray, share: np.ndarray, has_images: np.ndarray) -> None:
    small = len(confusion) > 12
    for (row, column), count in np.ndenumerate(confusion):
        percent = f"{100 * share[row, column]:.0f}" + ("" if small else " %") if has_images[row] else "–"
        ink = "white" if share[row, column] > 0.55 else INK if count else MUTED
        lift = 0 if small or not has_images[row] else 0.13
        size, weight = (7 if small else 9.5), ("bold" if row == column else "normal")
        axes.text(column, row - lift, percent, ha="center", va="center", color=ink, fontsize=size, fontweight=weight)
        if lift:
            axes.text(column, row + 0.2, f"{count}", ha="center", va="center", color=ink, fontsize=7.5)
