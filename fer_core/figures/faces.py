"""Sheets of faces: galleries of sub-classes, and titled thumbnails such as the mistakes of a model."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_core.figures.canvas import INK, new_figure, png

_GAP = 0.06  # between faces, in face widths
_INCH = 0.78  # a face's side


def galleries(images_by_subclass: Mapping[str, Sequence[np.ndarray]], columns: int = 8) -> bytes:
    """PNG with one row of faces for each sub-class, its title at the left.

    Images are uint8, (H, W) grey or (H, W, 3) RGB, of any size. A gallery longer than `columns` goes on in the next
    line. Raises ValueError for no gallery, an empty gallery or another kind of array.
    """
    if not images_by_subclass or not all(images_by_subclass.values()) or columns < 1:
        raise ValueError("Galleries need at least one sub-class, a face in each, and a column.")
    lines = {title: -(-len(images) // columns) for title, images in images_by_subclass.items()}
    height = sum(lines.values()) * (1 + _GAP) + (len(lines) - 1) * _GAP * 3
    title_width = 0.085 / _INCH * max(len(title) for title in lines) + 0.3
    figure, axes = _sheet(-title_width, columns * (1 + _GAP), height)
    top = 0.0
    for title, images in images_by_subclass.items():
        middle = top + (lines[title] * (1 + _GAP) - _GAP) / 2
        axes.text(-0.15, middle, title, ha="right", va="center", fontsize=10, color=INK, parse_math=False)
        for i, image in enumerate(images):
            _paste(axes, image, (i % columns) * (1 + _GAP), top + (i // columns) * (1 + _GAP))
        top += lines[title] * (1 + _GAP) + 3 * _GAP
    return png(figure)


def thumbnails(images: Sequence[np.ndarray], titles: Sequence[str], columns: int = 6) -> bytes:
    """PNG with a title below each face, such as "fear -> surprise" for a mistake.

    Images as in `galleries`. Raises ValueError for none, another kind of array, and titles that do not match.
    """
    if not images or len(images) != len(titles):
        raise ValueError(f"{len(images)} thumbnails and {len(titles)} titles: at least one, and one title each.")
    columns = min(columns, len(images))
    wide = max(1.3, 0.09 * max(map(len, titles)))
    side = wide - 0.12
    tall = side + 0.4
    num_lines = -(-len(images) // columns)
    figure, axes = _sheet(0, columns * wide, num_lines * tall)
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        left, top = (i % columns) * wide, (i // columns) * tall
        _paste(axes, image, left + (wide - side) / 2, top, side)
        axes.text(
            left + wide / 2, top + side + 0.06, title, ha="center", va="top", fontsize=8, color=INK, parse_math=False
        )
    return png(figure)


def _sheet(left: float, right: float, height: float) -> tuple[Figure, Axes]:
    figure, (axes,) = new_figure((right - left + 0.2) * _INCH, (height + 0.2) * _INCH)
    axes.set_axis_off()
    axes.set(xlim=(left - 0.1, right + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
    return figure, axes


def _paste(axes: Axes, image: np.ndarray, left: float, top: float, side: float = 1.0) -> None:
    grey = image.ndim == 2
    if image.dtype != np.uint8 or not (grey or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        raise ValueError(f"A face is {image.dtype} {image.shape}; uint8 (H, W) or (H, W, 3) is needed.")
    height, width = side * np.array(image.shape[:2]) / max(image.shape[:2])
    x, y = left + (side - width) / 2, top + (side - height) / 2
    axes.imshow(image, cmap="gray" if grey else None, vmin=0, vmax=255, extent=(x, x + width, y + height, y), zorder=1)
