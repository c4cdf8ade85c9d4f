"""Pictures two by two, such as one with a doubtful label beside the neighbour that contradicts it."""

from collections.abc import Sequence

import numpy as np

from fer_core.figures.canvas import INK, png
from fer_core.figures.sheet import GAP, new_sheet, paste

_LETTER = 0.09  # in face widths, at the titles' size


def pairs(images: Sequence[tuple[np.ndarray, np.ndarray]], titles: Sequence[str], columns: int = 4) -> bytes:
    """PNG of pairs of faces side by side, a title such as "surprise -> fear" below each (sgm, figure 6).

    Images are uint8, (H, W) grey or (H, W, 3) RGB, of any size. Raises ValueError for no pair, another kind of array,
    titles that do not match and columns < 1.
    """
    if not images or len(images) != len(titles) or columns < 1:
        raise ValueError(f"{len(images)} pairs, {len(titles)} titles, {columns} columns: one or more, a title each.")
    columns = min(columns, len(images))
    two = 2 + GAP
    wide = max(two, _LETTER * max(map(len, titles))) + 0.35
    tall = 1.4
    figure, axes = new_sheet(0, columns * wide, -(-len(images) // columns) * tall)
    for i, (pair, title) in enumerate(zip(images, titles, strict=True)):
        left, top = (i % columns) * wide + (wide - two) / 2, (i // columns) * tall
        for side, image in enumerate(pair):
            paste(axes, image, left + side * (1 + GAP), top)
        axes.text(
            left + two / 2, top + 1.06, title, ha="center", va="top", fontsize=8, color=INK, parse_math=False
        )  # fmt: skip
    return png(figure)
