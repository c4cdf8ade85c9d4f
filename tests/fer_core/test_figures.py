import cv2
import numpy as np
import pytest

from fer_core import figures
from fer_core.figures.canvas import style_of
from fer_core.figures.smoothing import running_mean
from fer_core.vocabulary import EXPRESSIONS


def decoded(png):
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    assert min(image.shape[:2]) > 100
    assert image.std() > 2, "a blank picture"
    return image


def faces(num_faces, side=24, channels=(3,), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (side, side, *channels), dtype=np.uint8) for _ in range(num_faces)]


def shows(picture, rgb):
    return (np.abs(picture.astype(int) - rgb).max(axis=2) <= 3).sum() > 20


@pytest.mark.parametrize("num_classes", [1, 2, 8, 20])
def test_confusion_matrix(num_classes):
    confusion = np.random.default_rng(0).integers(0, 50, (num_classes, num_classes))
    confusion[-1] = 0  # a class without a test image
    decoded(figures.confusion_matrix(confusion, [f"class {i}" for i in range(num_classes)]))


def test_confusion_colours_are_shares_of_the_row():
    """A rare class that is always right is as dark as a frequent one."""
    dark, light = (8, 48, 107), (247, 251, 255)  # the ends of the colour map
    right = decoded(figures.confusion_matrix(np.diag([1000, 1]), ["a", "b"]))
    mixed = decoded(figures.confusion_matrix(np.array([[500, 500], [1, 1]]), ["a", "b"]))
    count = [(np.abs(picture.astype(int) - dark).max(axis=2) <= 2).sum() for picture in (right, mixed)]
    assert count[0] > 10 * count[1]
    assert shows(right, light)


def test_confusion_matrix_refuses():
    with pytest.raises(ValueError, match="does not fit 3"):
        figures.confusion_matrix(np.eye(2, dtype=int), ["a", "b", "c"])


def test_curves():
    decoded(figures.retrieval_curves({1: 0.8, 2: 0.9, 32: 1.0}, {1: 0.8, 2: 0.7, 32: 0.5}))
    decoded(figures.retrieval_curves({1: 0.8}, {}))
    decoded(figures.f1_over_k({1: 0.6, 3: 0.62}))
    with pytest.raises(ValueError, match="no value"):
        figures.f1_over_k({})
    with pytest.raises(ValueError, match="has a value"):
        figures.retrieval_curves({}, {})


def test_training_curves_of_few_and_many_rows():
    few = [{"epoch": i, "loss": 1 / (i + 1)} for i in range(3)]
    many = [{"step": i, "epoch": i // 10, "loss": 1 / (i + 1), "accuracy": i / 500} for i in range(500)]
    many[7]["loss"] = float("nan")
    narrow, wide = decoded(figures.training_curves(few)), decoded(figures.training_curves(many))
    assert wide.shape[1] > 1.5 * narrow.shape[1]
    with pytest.raises(ValueError, match="loss"):
        figures.training_curves([])
    with pytest.raises(ValueError, match="loss"):
        figures.training_curves([{"step": 0, "accuracy": 1.0}])


def test_running_mean_is_the_slow_loop():
    y = np.array([1.0, np.nan, np.nan, 4.0, 8.0, np.inf, 2.0])
    found = running_mean(y, 2)
    last_two = [y[max(0, i - 1) : i + 1] for i in range(len(y))]
    np.testing.assert_allclose(found, [v[np.isfinite(v)].mean() if np.isfinite(v).any() else np.nan for v in last_two])


@pytest.mark.parametrize("num_images", [4, 5, 60])
def test_tsne(num_images):
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(num_images, 3)).astype(np.float32)
    label = np.arange(num_images) % 2
    png = figures.tsne(embedding, label, EXPRESSIONS, seed=0)
    picture = decoded(png)
    assert shows(picture, (0xE6, 0x9F, 0x00))  # happiness
    assert not shows(picture, (0xD5, 0x5E, 0x00))  # anger has no image
    assert png == figures.tsne(embedding, label, EXPRESSIONS, seed=0)


def test_tsne_corner_cases():
    decoded(figures.tsne(np.ones((20, 4), np.float32), np.zeros(20, int), ["neutral"], seed=0))
    copies = np.repeat(np.eye(2, 4, dtype=np.float32), 10, axis=0)
    decoded(figures.tsne(copies, np.repeat([0, 1], 10), ["neutral", "fear"], seed=0, max_points=6))
    with pytest.raises(ValueError, match="4 embeddings"):
        figures.tsne(np.ones((3, 4), np.float32), np.zeros(3, int), ["neutral"], seed=0)


def test_an_expression_looks_the_same_whatever_stands_beside_it():
    assert style_of(EXPRESSIONS)[4] == style_of(["fear", "anger"])[1]
    assert len(set(style_of(EXPRESSIONS))) == len({colour for colour, _ in style_of(EXPRESSIONS)}) == 8


@pytest.mark.parametrize("k", [3, 8, 16])
def test_galleries_of_grey_and_colour_faces(k):
    sheet = decoded(figures.galleries({"happiness 1": faces(k), "$odd name": faces(k, 30, ())}))
    longer = decoded(figures.galleries({f"sub-class {i}": faces(k) for i in range(4)}))
    assert longer.shape[0] > 1.6 * sheet.shape[0]


def test_a_long_gallery_goes_on_in_the_next_line():
    one_line, two_lines = (decoded(figures.galleries({"a": faces(k)})) for k in (8, 16))
    assert two_lines.shape[0] > 1.4 * one_line.shape[0]
    assert two_lines.shape[1] == one_line.shape[1]


def test_faces_keep_their_colours_and_greys():
    flat = {"a": [np.full((9, 5, 3), (200, 30, 90), np.uint8)], "b": [np.full((5, 9), 90, np.uint8)]}
    sheet = decoded(figures.galleries(flat))
    assert shows(sheet, (200, 30, 90))
    assert shows(sheet, (90, 90, 90))
    assert shows(decoded(figures.thumbnails(flat["a"], ["fear -> surprise"])), (200, 30, 90))


def test_thumbnails_fill_lines():
    titles = [f"fear -> anger {i:02}" for i in range(13)]
    many, few = (decoded(figures.thumbnails(faces(count), titles[:count])) for count in (13, 6))
    assert many.shape[0] > 2 * few.shape[0]
    assert many.shape[1] == few.shape[1]


def test_face_sheets_refuse():
    for wrong in ({}, {"a": []}):
        with pytest.raises(ValueError, match="a face in each"):
            figures.galleries(wrong)
    with pytest.raises(ValueError, match=r"uint8 \(H, W\)"):
        figures.galleries({"a": [np.ones((8, 8, 3), np.float32)]})
    with pytest.raises(ValueError, match="one title each"):
        figures.thumbnails(faces(2), ["a"])
