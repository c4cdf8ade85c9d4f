"""Sheets that faces are laid out on. Its unit is the side of a face."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_core.figures.canvas import new_figure

GAP = 0.06  # between faces
INCH = 0.78  # a face's side


def new_sheet(left: float, right: float, height: float) -> tuple[Figure, Axes]:
    """White sheet from `left` (below 0: room for titles) to `right`; y points down, from 0 to `height`."""
    figure, (axes,) = new_figure((right - left + 0.2) * INCH, (height + 0.2) * INCH)
    axes.set_axis_off()
    axes.set(xlim=(left - 0.1, right + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
    return figure, axes


def paste(axes: Axes, image: np.ndarray, left: float, top: float, side: float = 1.0) -> None:
    """Lay an image into the square whose upper left corner is (left, top), in its own proportions.

    Raises ValueError for what is not uint8, (H, W) grey or (H, W, 3) RGB.
    """
    grey = image.ndim == 2
    if image.dtype != np.uint8 or not (grey or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        raise ValueError(f"A face is {image.dtype} {image.shape}; uint8 (H, W) or (H, W, 3) is needed.")
    height, width = side * np.array(image.shape[:2]) / max(image.shape[:2])
    x, y = left + (side - width) / 2, top + (side - height) / 2
    axes.imshow(image, cmap="gray" if grey else None, vmin=0, vmax=255, extent=(x, x + width, y + height, y), zorder=1)
