"""Drawings of landmark faces, from the front and the side, and sheets of them. P landmarks, as in `points`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from fer_core.figures.canvas import BLUE, INK, MUTED, new_figure, png
from fer_core.landmarks.generation import Transfer, Traversals

Strokes = tuple[tuple[int, ...], ...]

_PALE = "#c3cad5"
_GAP = 0.15  # between faces, in face widths


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
    side: bool = False,
    at: tuple[float, float] = (0.0, 0.0),
    width: float = 1.4,
) -> None:
    """Draw a face with `at` as the place between its eyes; the caller sets the limits, and an equal aspect.

    Args:
        points_P3: (P, 3), x to the viewer's right, y up, z to the viewer, or a flat vector of them.
        side: from the side, looking to the right, instead of from the front.
        width: of the lines, in points; a dot is twice as wide.

    Raises:
        ValueError: not such points, or NaN or infinity.
    """
    points_P3 = _points(points_P3)
    x_P, y_P = points_P3[:, 2 if side else 0] + at[0], points_P3[:, 1] + at[1]
    strokes = _STROKES.get(len(points_P3), ())
    for stroke in strokes:
        axes.plot(x_P[list(stroke)], y_P[list(stroke)], color=colour, linewidth=width, solid_joinstyle="round")
    alone = [] if len(points_P3) > 5 and strokes else list(range(len(points_P3)))
    alone = alone or sorted(set(range(len(points_P3))).difference(*strokes))
    axes.plot(x_P[alone], y_P[alone], color=colour, linestyle="", marker="o", markersize=2 * width, markeredgewidth=0)


def face_figure(points_P3: np.ndarray, title: str, side: bool = True) -> bytes:
    """PNG of one face from the front, and beside it from the side. Raises ValueError as `draw_face`."""
    row = [(_points(points_P3), None)]
    heads = ["front", "side"] if side else ["front"]
    return _sheet([""], heads, [row * len(heads)], title, side_column=1 if side else -1, inches=2.2)


def traversal_figure(traversals: Traversals, count: int = 10, title: str = "Along each latent dimension") -> bytes:
    """PNG with a row for each of the `count` dimensions that move the face most, a column a step.

    At the left the dimension and how far it moves a landmark in the mean, in eye distances; behind each face, pale, the
    one in the middle. Raises ValueError as `draw_face`, and for no dimension.
    """
    shown = traversals.first(count)
    names = [f"z{k}\n{way:.3f}" for k, way in zip(shown.dimension_K, shown.movement_K, strict=True)]
    num_steps = shown.face_KSP3.shape[1]
    middle = num_steps // 2
    heads = [""] * num_steps
    if len(names) and np.allclose(shown.value_KS, shown.value_KS[0]):
        heads = [f"{value:+.2g}" for value in shown.value_KS[0]]
    rows = [[(_points(face), _points(faces[middle])) for face in faces] for faces in shown.face_KSP3]
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
    side_column: int = -1,
    inches: float = 1.15,
) -> bytes:
    """Faces in rows and columns at one scale, `inches` wide, each with another behind it; a column is a side view."""
    if not rows:
        raise ValueError("there is no face to draw")
    cells = [part for row in rows for cell in row for part in cell if part is not None]
    low, high = (end([end(face, axis=0) for face in cells], axis=0) for end in (np.min, np.max))
    wide, tall = max(high[0] - low[0], high[2] - low[2] if side_column >= 0 else 0) * (1 + _GAP), high[1] - low[1]
    tall *= 1 + _GAP
    inch = inches / wide
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
            side = column == side_column
            axis = 2 if side else 0
            at = ((column + 0.5) * wide - (low[axis] + high[axis]) / 2, top - tall / 2 - (low[1] + high[1]) / 2)
            if behind is not None:
                draw_face(axes, behind, _PALE, side, at, 1.0)
            draw_face(axes, face, INK if behind is None else BLUE, side, at, 1.2)
    return png(figure)
