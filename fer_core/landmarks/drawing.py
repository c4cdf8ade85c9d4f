"""Drawings of landmark faces, and sheets of them. P landmarks, as in `points`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from fer_core.figures.canvas import BLUE, INK, MUTED, new_figure, png
from fer_core.landmarks.generation import Transfer, Traversals

Strokes = tuple[tuple[int, ...], ...]

_PALE = "#c3cad5"
_GAP = 0.15  # between faces, in face widths
_INCHES = 1.15  # a face's width


def _run(first: int, last: int, closed: bool = False) -> tuple[int, ...]:
    return (*range(first, last + 1), *((first,) if closed else ()))


_OF_68: Strokes = (
    _run(0, 16), _run(17, 21), _run(22, 26), _run(27, 30), _run(31, 35), _run(36, 41, True), _run(42, 47, True),
    _run(48, 59, True), _run(60, 67, True),
)  # fmt: skip
_STROKES: dict[int, Strokes] = {
    5: ((0, 2, 1), (3, 4)),
    49: (
        _run(0, 4), _run(5, 9), _run(10, 13), _run(14, 18), _run(19, 24, True), _run(25, 30, True), _run(31, 42, True),
        (31, 43, 44, 45, 37, 46, 47, 48, 31),
    ),
    66: (*_OF_68[:-1], (48, 60, 61, 62, 54, 63, 64, 65, 48)),
    68: _OF_68,
    83: (
        _run(0, 7, True), _run(8, 15, True), _run(16, 25, True), _run(26, 35, True),
        (36, 37, 38, 39, 40, 47, 45, 44, 43, 42, 41), _run(48, 59, True), _run(60, 67, True), _run(68, 82),
    ),
}  # fmt: skip
"""Number of landmarks -> the lines that connect them; landmarks on no line, and of other sets, are dots."""


def draw_face(
    axes: Axes,
    points_P3: np.ndarray,
    colour: str = INK,
    at: tuple[float, float] = (0.0, 0.0),
    width: float = 1.4,
) -> None:
    """Draw a face with `at` as the place between its eyes; the caller sets the limits, and an equal aspect.

    Args:
        points_P3: (P, 3), x to the viewer's right, y up, z to the viewer, or a flat vector of them.
        width: of the lines, in points; a dot is twice as wide.

    Raises:
        ValueError: not such points, or NaN or infinity.
    """
    points_P3 = _points(points_P3)
    x_P, y_P = points_P3[:, 0] + at[0], points_P3[:, 1] + at[1]
    strokes = _STROKES.get(len(points_P3), ())
    for stroke in strokes:
        axes.plot(x_P[list(stroke)], y_P[list(stroke)], color=colour, linewidth=width, solid_joinstyle="round")
    alone = [] if len(points_P3) > 5 and strokes else list(range(len(points_P3)))
    alone = alone or sorted(set(range(len(points_P3))).difference(*strokes))
    axes.plot(x_P[alone], y_P[alone], color=colour, linestyle="", marker="o", markersize=2 * width, markeredgewidth=0)


def traversal_figure(traversals: Traversals, title: str = "Along each latent dimension") -> bytes:
    """PNG with a row for each dimension, those that move the face most first, a column a step.

    At the left the dimension and how far it moves a landmark in the mean, in eye distances; behind each face, pale, the
    one in the middle. Raises ValueError as `draw_face`, and for no dimension.
    """
    names = [f"z{k}\n{way:.3f}" for k, way in zip(traversals.dimension_K, traversals.movement_K, strict=True)]
    num_steps = traversals.face_KSP3.shape[1]
    middle = num_steps // 2
    heads = [""] * num_steps
    if len(names) and np.allclose(traversals.value_KS, traversals.value_KS[0]):
        heads = [f"{value:+.2g}" for value in traversals.value_KS[0]]
    rows = [[(_points(face), _points(faces[middle])) for face in faces] for faces in traversals.face_KSP3]
    return _sheet(names, heads, rows, title)


def transfer_figure(transfers: Sequence[Transfer], names: Sequence[str], title: str = "Expression transfer") -> bytes:
    """PNG with a row a transfer, named by `names`: the face, its neutral one, the other's, and what is made of it.

    Behind the first and the last, pale, the person's neutral face. Raises ValueError as `draw_face`, for no transfer
    and for names that do not match.
    """
    if len(names) != len(transfers):
        raise ValueError(f"{len(transfers)} transfers and {len(names)} names; one each is needed")
    rows = [
        [
            (_points(made.source), _points(made.source_neutral)),
            (_points(made.source_neutral), None),
            (_points(made.target_neutral), None),
            (_points(made.transferred), _points(made.target_neutral)),
        ]
        for made in transfers
    ]
    return _sheet(names, ["face", "its neutral", "other's neutral", "other with it"], rows, title)


def _points(points_P3: np.ndarray) -> np.ndarray:
    if np.size(points_P3) % 3 or not np.size(points_P3) or not np.isfinite(points_P3).all():
        raise ValueError(f"a face has shape {np.shape(points_P3)} or holds NaN or inf; finite points (P, 3) are needed")
    return np.asarray(points_P3, np.float64).reshape(-1, 3)


_Cell = tuple[np.ndarray, np.ndarray | None]


def _sheet(
    names: Sequence[str],
    heads: Sequence[str],
    rows: Sequence[Sequence[_Cell]],
    title: str,
) -> bytes:
    """Faces in rows and columns at one scale, each with another behind it."""
    if not rows:
        raise ValueError("there is no face to draw")
    cells = [part for row in rows for cell in row for part in cell if part is not None]
    low, high = (end([end(face, axis=0) for face in cells], axis=0) for end in (np.min, np.max))
    wide, tall = ((high[axis] - low[axis]) * (1 + _GAP) for axis in (0, 1))
    inch = _INCHES / wide
    margin = 0.09 / inch * max(len(line) for name in names for line in name.split("\n")) if any(names) else 0
    width, height = margin + wide * len(heads), tall * len(rows)
    figure, (axes,) = new_figure(max(width * inch + 0.4, 0.1 * len(title) + 0.4), height * inch + 0.8)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=18)
    axes.set_axis_off()
    axes.set(xlim=(-margin, wide * len(heads)), ylim=(-height, 0), aspect="equal", anchor="W")
    for column, head in enumerate(heads):
        axes.text((column + 0.5) * wide, 0, head, ha="center", va="bottom", fontsize=8, color=MUTED)
    for line, (name, row) in enumerate(zip(names, rows, strict=True)):
        top = -line * tall
        axes.text(-margin, top - tall / 2, name, ha="left", va="center", fontsize=9, color=INK, parse_math=False)
        for column, (face, behind) in enumerate(row):
            at = ((column + 0.5) * wide - (low[0] + high[0]) / 2, top - tall / 2 - (low[1] + high[1]) / 2)
            if behind is not None:
                draw_face(axes, behind, _PALE, at, 1.0)
            draw_face(axes, face, INK if behind is None else BLUE, at, 1.2)
    return png(figure)
