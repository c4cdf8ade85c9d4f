import cv2
import numpy as np
import pytest
import torch
from model_fixtures import MemoryStore, one_thread, plan_of, silent  # noqa: F401
from tiny import write_faces

from fer_core.faces.finding import Cropping
from fer_core.faces.placement import by_landmarks
from fer_core.faces.warp import crops_of
from fer_core.folds import Part
from fer_core.methods import REGISTRY
from fer_core.patches import NUM_VIEWS, Patches
from fer_core.reading import read_faces
from fer_core.synthetic import Face, render
from fer_core.training import train
from fer_core.training.loop import _Loop
from fer_core.training.profiling import NOT_PROFILED
from fer_core.turning import corners, cut_patches, turned_patches
from fer_core.world import CPU, World

RNG = np.random.default_rng(0)
SIZES = [(48, 44), (48, 45), (21, 8), (236, 224)]
VIEWS = np.arange(NUM_VIEWS)


def turned(wide_BWWC, angle_B, view_B, face_size, patch):
    corner_52 = corners(face_size, patch, CPU)
    made = turned_patches(
        torch.from_numpy(wide_BWWC), torch.as_tensor(angle_B), torch.from_numpy(view_B), corner_52, face_size, patch
    )
    assert (made.dtype, tuple(made.shape)) == (torch.float32, (len(wide_BWWC), patch, patch, 3))
    return made.numpy()


def smooth(side, sigma=4.0):
    noise = cv2.GaussianBlur(RNG.uniform(0, 255, (side, side, 3)).astype(np.float32), (0, 0), sigma)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def inner(wide_BWWC, margin):
    return wide_BWWC[:, margin : wide_BWWC.shape[1] - margin, margin : wide_BWWC.shape[2] - margin]


@pytest.mark.parametrize(("face_size", "patch"), [*SIZES, (16, 16)])
def test_cut_patches_are_those_of_albumentations_bit_by_bit(face_size, patch):
    images = RNG.integers(0, 256, (3 * NUM_VIEWS, face_size, face_size, 3), dtype=np.uint8)
    views = RNG.permutation(np.tile(VIEWS, 3))
    made = cut_patches(torch.from_numpy(images), torch.from_numpy(views), corners(face_size, patch, CPU), patch)
    assert made.dtype == torch.uint8
    assert made.is_contiguous()
    np.testing.assert_array_equal(made.numpy(), Patches(face_size, patch).drawn(images, views))


@pytest.mark.parametrize(("face_size", "patch"), SIZES)
@pytest.mark.parametrize("margin", [0, 1, 4])
def test_upright_patches_are_those_that_are_cut_from_the_crop(face_size, patch, margin):
    side = face_size + 2 * margin
    wide = RNG.integers(0, 256, (NUM_VIEWS, side, side, 3), dtype=np.uint8)
    expected = Patches(face_size, patch).drawn(np.ascontiguousarray(inner(wide, margin)), VIEWS)
    # grey levels; float32 places are off by up to 2e-5 pixels between noise of 255
    np.testing.assert_allclose(turned(wide, np.zeros(NUM_VIEWS), VIEWS, face_size, patch), expected, atol=0.01)


@pytest.mark.parametrize("angle", [-10.0, -5.0, 5.0, 10.0])
@pytest.mark.parametrize(("face_size", "patch"), SIZES[:3])
def test_turned_patches_are_those_cut_from_what_opencv_turns(angle, face_size, patch):
    margin = Cropping(face_size, (angle, 0.0), virtual=True).margin
    side = face_size + 2 * margin
    wide = np.stack([smooth(side) for _ in range(NUM_VIEWS)])
    turn = cv2.getRotationMatrix2D(((side - 1) / 2,) * 2, angle, 1.0)
    whole = np.stack([cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_REPLICATE) for image in wide])
    expected = Patches(face_size, patch).drawn(np.ascontiguousarray(inner(whole, margin)), VIEWS)
    difference = np.abs(turned(wide, np.full(NUM_VIEWS, angle), VIEWS, face_size, patch) - expected)
    # grey levels; OpenCV takes places to 1/32 pixel and rounds the result
    assert difference.mean() < 0.6
    assert difference.max() < 3


def test_each_picture_is_turned_by_its_own_angle_and_shown_by_its_own_view():
    wide = np.stack([smooth(56) for _ in range(8)])
    angles, views = RNG.choice([-10.0, -5.0, 0.0, 5.0, 10.0], 8), RNG.integers(0, NUM_VIEWS, 8)
    together = turned(wide, angles, views, 48, 44)
    for at in range(8):
        one = slice(at, at + 1)
        np.testing.assert_array_equal(together[one], turned(wide[one], angles[one], views[one], 48, 44))


def test_a_positive_angle_is_counter_clockwise():
    wide = np.zeros((1, 31, 31, 3), np.uint8)
    wide[0, 14:17, 24:27] = 255  # to the right of the centre
    made = turned(wide, np.array([90.0]), np.array([0]), 31, 31)
    assert made[0, 4:7, 14:17].min() > 250  # above it


@pytest.mark.parametrize("angle", [-10.0, 10.0])
def test_no_patch_reaches_beyond_the_margin(angle):
    margin = Cropping(48, (angle, 0.0), virtual=True).margin
    side = 48 + 2 * margin
    framed = np.full((NUM_VIEWS, side, side, 3), 100, np.uint8)
    framed[:, [0, -1]] = framed[:, :, [0, -1]] = 0  # would show where the border is repeated
    for patch in (44, 48):
        assert (turned(framed, np.full(NUM_VIEWS, angle), VIEWS, 48, patch) > 0).all()


@pytest.mark.parametrize("angle", [-10.0, -5.0, 0.0, 5.0, 10.0])
@pytest.mark.parametrize(("face_size", "patch", "mean"), [(48, 44, 4.0), (118, 112, 1.8)])
def test_turned_patches_are_nearly_those_of_the_offline_form(angle, face_size, patch, mean):
    """The offline form samples the source picture once, this one the stored crop again."""
    cropping = Cropping(face_size, (-10.0, 0.0, 10.0), virtual=True)
    images, wides = [], []
    for person in range(NUM_VIEWS):
        picture, marks = render(Face(person, "happiness", 0.7, 10.0), 160)
        placement = by_landmarks(marks.astype(float), None, "landmarks").placement
        images += crops_of(picture, placement, face_size, [angle])
        wides += crops_of(picture, placement, face_size, margin=cropping.margin)
    expected = Patches(face_size, patch).drawn(np.stack(images), VIEWS).astype(float)
    made = turned(np.stack(wides), np.full(NUM_VIEWS, angle), VIEWS, face_size, patch)
    difference = np.abs(made - expected).mean()
    other = np.abs(turned(np.stack(wides), np.full(NUM_VIEWS, angle + 2), VIEWS, face_size, patch) - expected).mean()
    assert difference < (0.01 if angle == 0 else mean)  # grey levels
    assert difference < 0.65 * other  # two degrees off are more


@pytest.fixture
def two_forms(tmp_path, tiny_catalog):
    """The same faces turned offline and in the virtual form."""
    rotations = (-10.0, 0.0, 10.0)
    return [write_faces(tmp_path / str(form), tiny_catalog, 48, rotations, virtual=form) for form in (False, True)]


def tiny_plan(faces, **changed):
    return plan_of(faces, "cnn", **{"face_size": 48, "patch": 44, "batch_size": 24, "epochs": 2, **changed})


def loop_of(plan):
    faces = read_faces(plan.faces, plan.part, plan.seed)
    rows = faces.rows_of("train", upright=False)
    method = REGISTRY[plan.method](REGISTRY[plan.method].Options())
    return _Loop(plan, World(), method, faces, rows, faces.label[rows], NOT_PROFILED)


def test_an_epoch_draws_the_same_pictures_angles_and_views_in_both_forms(two_forms, monkeypatch):
    drawn = []
    for folder in two_forms:
        loop, seen = loop_of(tiny_plan(folder)), []

        def record(rows, views, faces=loop.inputs.faces, seen=seen):
            seen.append((faces.sample_id[rows].tolist(), faces.rotation[rows].tolist(), views.tolist()))
            return torch.zeros(0)

        monkeypatch.setattr(loop.inputs, "drawn", record)
        labels = [loop._batch(step)[1][:, 0].tolist() for step in range(loop.num_steps)]
        drawn.append((seen, labels))
    assert drawn[0] == drawn[1]
    angles = [angle for _, batch, _ in drawn[0][0] for angle in batch]
    assert {angles.count(angle) > 20 for angle in (-10.0, 0.0, 10.0)} == {True}


def test_a_batch_of_the_virtual_form_looks_like_that_of_the_offline_form(two_forms):
    (offline, _), (virtual, _) = (loop_of(tiny_plan(folder))._batch(0) for folder in two_forms)
    assert (offline.dtype, virtual.dtype) == (torch.uint8, torch.float32)
    assert offline.shape == virtual.shape == (24, 44, 44, 3)
    # 48x48 pictures have no margin round them, so the two differ most in the corners
    assert (offline.float() - virtual)[:, 8:36, 8:36].abs().mean() < 2


def test_training_on_the_virtual_form_learns(two_forms):
    trained = train(tiny_plan(two_forms[1], epochs=3, batch_size=16, patch=40), World(), MemoryStore(), silent)
    losses = [row["loss"] for row in trained.history]
    assert losses[-1] < 0.8 * losses[0], losses


def test_evaluation_sees_upright_crops_without_the_margin(two_forms):
    offline, virtual = (read_faces(folder, Part(), 0) for folder in two_forms)
    one, other = (faces.images(faces.rows_of("test", upright=True)) for faces in (offline, virtual))
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other).max() <= 1
