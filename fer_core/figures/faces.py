"""Sheets of faces: galleries of sub-classes, and titled thumbnails such as the mistakes of a model."""

from collections.abc import Mapping, Sequence

import numpy as np

from fer_core.figures.canvas import INK, png
from fer_core.figures.sheet import GAP, INCH, new_sheet, paste


def galleries(images_by_subclass: Mapping[str, Sequence[np.ndarray]], columns: int = 8) -> bytes:
    """PNG with one row of faces for each sub-class, its title at the left.

    Images are uint8, (H, W) grey or (H, W, 3) RGB, of any size. A gallery longer than `columns` goes on in the next
    line. Raises ValueError for no gallery, an empty gallery or another kind of array.
    """
    if not images_by_subclass or not all(images_by_subclass.values()) or columns < 1:
        raise ValueError("Galleries need at least one sub-class, a face in each, and a column.")
    lines = {title: -(-len(images) // columns) for title, images in images_by_subclass.items()}
    height = sum(lines.values()) * (1 + GAP) + (len(lines) - 1) * GAP * 3
    title_width = 0.085 / INCH * max(len(title) for title in lines) + 0.3
    figure, axes = new_sheet(-title_width, columns * (1 + GAP), height)
    top = 0.0
    for title, images in images_by_subclass.items():
        middle = top + (lines[title] * (1 + GAP) - GAP) / 2
        axes.text(-0.15, middle, title, ha="right", va="center", fontsize=10, color=INK, parse_math=False)
        for i, image in enumerate(images):
            paste(axes, image, (i % columns) * (1 + GAP), top + (i // columns) * (1 + GAP))
        top += lines[title] * (1 + GAP) + 3 * GAP
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
    figure, axes = new_sheet(0, columns * wide, num_lines * tall)
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        left, top = (i % columns) * wide, (i // columns) * tall
        paste(axes, image, left + (wide - side) / 2, top, side)
        axes.text(
            left + wide / 2, top + side + 0.06, title, ha="center", va="top", fontsize=8, color=INK, parse_math=False
        )
    return png(figure)
