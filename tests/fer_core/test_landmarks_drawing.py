import cv2
import numpy as np
import pytest

from fer_core.figures.canvas import BLUE, new_figure
from fer_core.landmarks.drawing import draw_face, transfer_figure, traversal_figure
from fer_core.landmarks.generation import Transfer, Traversals
from fer_core.synthetic import Face, landmarks_3d

HAPPY, NEUTRAL = (landmarks_3d(Face(3, name, degree, 0.0)) for name, degree in (("happiness", 1.0), ("neutral", 0.0)))


def decoded(png):
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    return image


def has_clear_border(picture):
    return all((edge > 250).all() for edge in (picture[:4], picture[-4:], picture[:, :4], picture[:, -4:]))


def some_traversals(num_dims=3, num_steps=5):
    share = np.linspace(-1, 1, num_steps)[:, None, None]
    faces = np.stack([NEUTRAL + share * (HAPPY - NEUTRAL) / (k + 1) for k in range(num_dims)])
    value_KS = np.tile(np.linspace(-3, 3, num_steps), (num_dims, 1))
    return Traversals(np.arange(num_dims) + 4, 1 / (1 + np.arange(num_dims)), value_KS, faces)


def one_face(points_P3, title="Along each latent dimension"):
    faces = np.asarray(points_P3)[None, None]
    return traversal_figure(Traversals(np.zeros(1, int), np.ones(1), np.zeros((1, 1)), faces), title)


def drawn_lines(points_P3, **more):
    _, (axes,) = new_figure(3, 3)
    draw_face(axes, points_P3, **more)
    return axes.lines


@pytest.mark.parametrize(("num_points", "num_lines"), [(5, 2), (49, 8), (66, 9), (68, 9), (83, 8), (42, 0), (7, 0)])
def test_every_landmark_is_on_a_line_or_a_dot(num_points, num_lines):
    points = np.random.default_rng(0).normal(size=(num_points, 3))
    *lines, dots = drawn_lines(points)
    assert len(lines) == num_lines
    drawn = {tuple(place) for line in [*lines, dots] for place in line.get_xydata().tolist()}
    assert drawn == {tuple(place) for place in points[:, :2].tolist()}


def test_lines_of_83_stay_within_their_feature():
    *lines, dots = drawn_lines(NEUTRAL)
    longest = max(np.linalg.norm(np.diff(line.get_xydata(), axis=0), axis=1).max() for line in lines)
    assert longest < 0.45, "a line across the face"
    np.testing.assert_allclose(dots.get_xydata(), NEUTRAL[46:47, :2])


def test_a_face_is_drawn_at_its_place():
    drawn = np.concatenate([line.get_xydata() for line in drawn_lines(NEUTRAL, at=(2.0, -1.0))])
    assert drawn[:, 0].max() == pytest.approx(NEUTRAL[:, 0].max() + 2)
    assert drawn[:, 1].min() == pytest.approx(NEUTRAL[:, 1].min() - 1)


def test_a_face_stands_upright_in_its_picture():
    """Brows above, chin below: the mouth's ink is wide in the lower half, and a smile is not a frown."""
    picture = decoded(one_face(HAPPY)).min(axis=2) < 200
    rows = np.flatnonzero(picture.any(axis=1))
    top, bottom = rows[rows > 60].min(), rows.max()
    brows = picture[top : top + (bottom - top) // 5]
    chin = picture[bottom - (bottom - top) // 20 : bottom + 1]
    width = [np.ptp(np.flatnonzero(part.any(axis=0))) for part in (brows, chin)]
    assert width[0] > 1.5 * width[1]


@pytest.mark.parametrize("num_points", [5, 42, 68, 83])
def test_a_sheet_is_not_clipped(num_points):
    points = HAPPY if num_points == 83 else np.random.default_rng(0).normal(size=(num_points, 3))
    picture = decoded(one_face(points, "A title that is longer than the face is wide, as titles are"))
    assert has_clear_border(picture)
    assert picture.std() > 2


def test_traversal_figure_has_a_row_a_dimension():
    few, more = (decoded(traversal_figure(some_traversals(count))) for count in (1, 3))
    assert has_clear_border(more)
    assert more.shape[0] > 1.8 * few.shape[0]
    assert more.shape[1] == few.shape[1]
    blue = np.array([int(BLUE[at : at + 2], 16) for at in (1, 3, 5)])
    assert (np.abs(more.astype(int) - blue).max(axis=2) < 10).sum() > 500
    # steps of each dimension's own size have no common heading
    uneven = some_traversals()
    uneven.value_KS[1] *= 2
    assert has_clear_border(decoded(traversal_figure(uneven)))


def test_transfer_figure():
    made = Transfer(HAPPY, NEUTRAL, NEUTRAL * 1.1, NEUTRAL * 1.1 + HAPPY - NEUTRAL)
    one = decoded(transfer_figure([made], ["happiness of P00003 to P00004"]))
    two = decoded(transfer_figure([made, made], ["happiness", "again"]))
    assert has_clear_border(one)
    assert has_clear_border(two)
    assert two.shape[0] > 1.4 * one.shape[0]
    with pytest.raises(ValueError, match="1 transfers and 2 names"):
        transfer_figure([made], ["a", "b"])


def test_same_faces_same_bytes():
    assert one_face(HAPPY) == one_face(HAPPY)


def test_what_is_no_face_is_refused():
    spoilt = HAPPY.copy()
    spoilt[3, 1] = np.nan
    for bad in (spoilt, HAPPY[:0], HAPPY[:, :2]):
        with pytest.raises(ValueError, match=r"finite points \(P, 3\) are needed"):
            one_face(bad)
    with pytest.raises(ValueError, match="no face to draw"):
        transfer_figure([], [])
    with pytest.raises(ValueError, match="no face to draw"):
        traversal_figure(Traversals(*(part[:0] for part in some_traversals())))
