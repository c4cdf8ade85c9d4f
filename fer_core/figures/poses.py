"""Accuracy by expression and head pose. Legend: C expressions, Y yaws."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from fer_core.figures.canvas import INK, MUTED, dress, new_figure, png


def pose_table(
    num_correct_CY: np.ndarray, num_images_CY: np.ndarray, classes: Sequence[str], yaws: Sequence[float]
) -> bytes:
    """PNG of the share of right decisions for each expression (row) and yaw in degrees (column), the count below.

    The names of rows and columns carry the share over all of their images. A cell without an image has a dash. Raises
    ValueError where counts, names and yaws do not match, and for more right decisions than images.
    """
    shape = (len(classes), len(yaws))
    if num_correct_CY.shape != shape or num_images_CY.shape != shape or not num_images_CY.size:
        raise ValueError(
            f"Counts {num_correct_CY.shape} of {num_images_CY.shape} do not fit {shape[0]} classes and {shape[1]} yaws."
        )
    if (num_correct_CY < 0).any() or (num_correct_CY > num_images_CY).any():
        raise ValueError("A cell has fewer than no right decisions, or more than images.")
    share_CY = num_correct_CY / np.maximum(num_images_CY, 1)
    figure, (axes,) = new_figure(max(4.2, 0.8 * len(yaws) + 3), max(2.6, 0.6 * len(classes) + 1.4))
    dress(axes, "Accuracy by expression and pose", "yaw", "expression")
    axes.grid(visible=False)
    image = axes.imshow(share_CY, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    by_class, by_yaw = (_percents(num_correct_CY.sum(axis), num_images_CY.sum(axis)) for axis in (1, 0))
    columns = [f"{yaw:+g}°\n{share}" if yaw else f"0°\n{share}" for yaw, share in zip(yaws, by_yaw, strict=True)]
    rows = [f"{name}  {share}" for name, share in zip(classes, by_class, strict=True)]
    axes.set_xticks(range(len(yaws)), columns, color=INK)
    axes.set_yticks(range(len(classes)), rows, color=INK, parse_math=False)
    axes.set_xticks(np.arange(len(yaws) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    _write_cells(axes, num_correct_CY, num_images_CY)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, format=lambda value, _: f"{100 * value:.0f} %")
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, length=0, labelsize=8)
    return png(figure)


def _write_cells(axes: Axes, num_correct_CY: np.ndarray, num_images_CY: np.ndarray) -> None:
    for (row, column), text in np.ndenumerate(_percents(num_correct_CY, num_images_CY)):
        count = num_images_CY[row, column]
        ink = "white" if num_correct_CY[row, column] > 0.55 * count else INK if count else MUTED
        lift = 0.13 if count else 0
        axes.text(column, row - lift, text, ha="center", va="center", color=ink, fontsize=9.5)
        if count:
            axes.text(column, row + 0.24, f"{count}", ha="center", va="center", color=ink, fontsize=7.5)


def _percents(num_correct: np.ndarray, num_images: np.ndarray) -> np.ndarray:
    percent = 100 * num_correct / np.maximum(num_images, 1)
    return np.where(num_images > 0, np.char.mod("%.0f %%", percent), "–")
