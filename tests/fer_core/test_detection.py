import cv2
import numpy as np
import pytest

from fer_core.detection import Detection, FaceDetector, choose_face
from fer_core.detection.look import SECOND_LOOK, seen_by
from fer_core.synthetic import LANDMARK_GROUPS, Face, render


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


@pytest.fixture(scope="module")
def first_look_only():
    return FaceDetector(looks_twice=False)


def drawn(person, yaw=0.0, size=128):
    """A synthetic face and its five landmarks."""
    picture, marks = render(Face(person, "happiness", 0.6, yaw), size)
    eyes = [marks[LANDMARK_GROUPS[name], :2].mean(axis=0) for name in ("left_eye", "right_eye")]
    points = [*eyes, *marks[LANDMARK_GROUPS["nose_tip"], :2], *marks[LANDMARK_GROUPS["mouth_corners"], :2]]
    return picture, np.stack(points)


def on_canvas(height, width, *places):
    """Faces pasted at (person, left, top, size) into a grey picture."""
    canvas = np.full((height, width, 3), 128, np.uint8)
    for person, left, top, size in places:
        canvas[top : top + size, left : left + size] = drawn(person, size=size)[0]
    return canvas


def assert_same(one, other, tolerance=1e-3):
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert left.how == right.how
        assert left.score == pytest.approx(right.score, abs=1e-4)
        np.testing.assert_allclose(left.box, right.box, atol=tolerance)
        np.testing.assert_allclose(left.landmarks_52, right.landmarks_52, atol=tolerance)


def test_landmarks_are_found_in_order_whatever_the_yaw(detector):
    pairs = [drawn(person, yaw) for person in range(6) for yaw in (-30.0, 0.0, 30.0)]
    for (_, points), faces in zip(pairs, detector.detect([picture for picture, _ in pairs]), strict=True):
        (face,) = faces
        assert face.landmarks_52.dtype == np.float32
        assert np.linalg.norm(face.landmarks_52 - points, axis=1).mean() < 4
        left, top, right, bottom = face.box
        assert ((points > [left, top]) & (points < [right, bottom])).all()


def test_a_picture_is_judged_alone_whatever_comes_with_it(detector):
    pictures = [
        on_canvas(160, 220, (1, 20, 10, 90), (2, 120, 40, 96)),
        drawn(3)[0],
        np.random.default_rng(0).integers(0, 256, (160, 220, 3), dtype=np.uint8),
        on_canvas(160, 220, (4, 70, 30, 100)),
        drawn(5, size=200)[0],
        np.zeros((160, 220, 3), np.uint8),
        drawn(6)[0][..., 0],
    ]
    together = detector.detect(pictures)
    assert [len(faces) for faces in together] == [2, 1, 0, 1, 1, 0, 1]
    for picture, faces in zip(pictures, together, strict=True):
        assert_same(detector.detect([picture])[0], faces)
    one_by_one = FaceDetector(pixels_at_once=1)
    for faces, same in zip(one_by_one.detect(pictures[::-1])[::-1], together, strict=True):
        assert_same(faces, same)


def test_faces_come_best_first(detector):
    (faces,) = detector.detect([on_canvas(140, 400, (1, 10, 10, 100), (2, 140, 10, 120), (3, 280, 20, 100))])
    scores = [face.score for face in faces]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_nothing_to_look_at(detector):
    assert detector.detect([]) == []
    rng = np.random.default_rng(0)
    nothing = [np.zeros((8, 9), np.uint8), np.zeros((1, 300, 3), np.uint8), np.full((64, 64), 255, np.uint8)]
    assert detector.detect([*nothing, rng.integers(0, 256, (11, 11, 3), dtype=np.uint8)]) == [[], [], [], []]


def test_grey_is_three_equal_channels(detector):
    grey = cv2.cvtColor(drawn(1)[0], cv2.COLOR_RGB2GRAY)
    alone, stacked = detector.detect([grey, np.repeat(grey[..., None], 3, axis=2)])
    assert len(alone) == 1
    assert_same(alone, stacked)


def test_a_large_photo_is_shrunk_and_its_faces_are_placed_in_the_photo(detector):
    picture, points = drawn(2, size=256)
    photo = cv2.resize(picture, (2400, 2400), interpolation=cv2.INTER_CUBIC)
    (face,) = detector.detect([photo])[0]
    expected = (points + 0.5) * 2400 / 256 - 0.5
    assert np.linalg.norm(face.landmarks_52 - expected, axis=1).mean() < 0.03 * 2400
    assert seen_by(detector.first_look, photo[:, :1200], 640).shape == (640, 320, 3)


def test_faces_below_the_least_size_are_not_looked_for():
    picture = on_canvas(240, 320, (1, 30, 30, 60))
    assert len(FaceDetector(least_face=0.1).detect([picture])[0]) == 1
    assert FaceDetector(least_face=0.5, looks_twice=False).detect([picture]) == [[]]


def test_the_second_look_is_for_missed_pictures_only_and_says_so(detector, first_look_only):
    good, points = drawn(1)
    overexposed = np.clip(255 - (255 - good.astype(float)) * 0.08, 0, 255).astype(np.uint8)
    assert [len(faces) for faces in first_look_only.detect([overexposed, good])] == [0, 1]
    again, first = detector.detect([overexposed, good])
    assert [face.how for face in (*again, *first)] == [SECOND_LOOK.how, "mtcnn"]
    assert np.linalg.norm(again[0].landmarks_52 - points, axis=1).mean() < 6


def test_second_look_widens_and_brings_the_median_to_the_middle():
    seen = seen_by(SECOND_LOOK, np.random.default_rng(0).integers(200, 256, (60, 50), dtype=np.uint8), 640)
    assert seen.shape == (60, 70, 3)
    assert abs(np.median(seen) - 0.45 * 255) < 5
    assert seen_by(SECOND_LOOK, np.zeros((60, 50), np.uint8), 640).max() == 0


def test_wrong_arrays_are_refused(detector):
    for wrong in (np.zeros((40, 40)), np.zeros((40, 40, 4), np.uint8), np.zeros((0, 40), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            detector.detect([wrong])
    with pytest.raises(ValueError, match="share"):
        FaceDetector(least_face=20)


def test_choice_of_the_face():
    def face(left, top, side, score=0.9):
        return Detection((left, top, left + side, top + side), score, np.zeros((5, 2), np.float32), "mtcnn")

    small_central, large, same_size = face(45, 45, 10), face(0, 0, 30), face(60, 60, 30, 0.8)
    faces = [small_central, large, same_size]
    assert choose_face(faces, "largest", 100, 100) is large
    assert choose_face(faces, "central", 100, 100) is small_central
    assert choose_face([], "largest", 100, 100) is None
    assert choose_face([], "central", 100, 100) is None


def test_real_faces_of_every_view_are_found(detector, real_kdef):
    files = [path for person in ("AF04", "BM23") for path in sorted((real_kdef / person).glob("*.JPG"))]
    pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in files]
    chosen = [choose_face(faces, "largest", 304, 224) for faces in detector.detect(pictures)]
    assert len(files) >= 68
    assert None not in chosen
    noses = {view: [] for view in ("FL", "HL", "S", "HR", "FR")}
    for path, face in zip(files, chosen, strict=True):
        noses[path.stem[6:]].append(face.landmarks_52[2, 0])
    # the further a head is turned to the right, the further right is its nose
    assert np.all(np.diff([np.mean(of_view) for of_view in noses.values()]) > 10)
