import cv2
import numpy as np
import pytest

from fer_core.faces.placement import Placement, by_frame, transform_of
from fer_core.faces.warp import PNG_UP_TO, crops_of, encode, warp
from fer_core.pictures import decode

RNG = np.random.default_rng(0)


def smooth(height, width, channels=()):
    """Noise without detail, so that how often it is interpolated matters little."""
    noise = RNG.uniform(0, 255, (height, width, *channels)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 8)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 3)])
def test_a_crop_of_the_whole_frame_at_its_size_is_the_picture(shape):
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(warp(image, transform_of(by_frame(48, 48, "frame"), 48, 0.0), 48), image)


def test_the_frame_is_cut_to_its_largest_centred_square():
    image = RNG.integers(0, 256, (40, 60), dtype=np.uint8)
    cut = warp(image, transform_of(by_frame(40, 60, "frame"), 40, 0.0), 40)
    np.testing.assert_array_equal(cut, image[:, 10:50])
    tall = np.ascontiguousarray(image.T)
    np.testing.assert_array_equal(warp(tall, transform_of(by_frame(60, 40, "frame"), 40, 0.0), 40), tall[10:50])


@pytest.mark.parametrize("rotation", [-10.0, 0.0, 5.0])
@pytest.mark.parametrize("face_size", [60, 96])
@pytest.mark.parametrize("tilt", [0.0, 15.0])
def test_one_warp_is_turning_cropping_and_resizing_one_after_another(rotation, face_size, tilt):
    image, centre, side = smooth(200, 180), (95.0, 90.0), 79
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D(centre, rotation + tilt, 1.0), (180, 200))
    cropped = cv2.getRectSubPix(turned, (side, side), centre)
    apart = cv2.resize(cropped, (face_size, face_size), interpolation=cv2.INTER_LINEAR)
    once = warp(image, transform_of(Placement(*centre, side, tilt, "x"), face_size, rotation), face_size)
    difference = np.abs(once.astype(int) - apart)
    assert difference.mean() < 1  # grey levels of 255
    assert difference.max() <= 4


def test_a_strong_shrink_averages_instead_of_picking_pixels():
    checks = np.indices((240, 240)).sum(axis=0) % 2 * 255
    small = crops_of(checks.astype(np.uint8), by_frame(240, 240, "frame"), 48)[0]
    assert np.abs(small.astype(int) - 128).max() <= 6  # 13 and 12 of 25 pixels


@pytest.mark.parametrize("rotation", [0.0, 10.0, 45.0])
@pytest.mark.parametrize(("x", "y", "side"), [(300.3, 410.8, 333.0), (60.0, 40.0, 210.0), (580.0, 790.0, 150.0)])
def test_averaging_first_moves_nothing(rotation, x, y, side):
    """A slope sampled after averaging whole pixels is the slope sampled at once, wherever the face lies."""
    across, down = np.meshgrid(np.arange(600), np.arange(800))
    image = np.stack([across * 0.4, down * 0.3, (across + down) * 0.15], axis=-1).round().astype(np.uint8)
    placement = Placement(x, y, side, 7.0, "x")
    made = crops_of(image, placement, 48, [rotation], margin=4)[0].astype(int)
    direct = warp(image, transform_of(placement, 48, rotation, 4), 56)
    inside = slice(8, 48)  # beyond the border of the picture a slope ends
    assert np.abs(made - direct)[inside, inside].mean() < 0.6  # grey levels; half a pixel would be 1.4
    assert np.abs(made - direct).mean() < 1.2


def test_a_face_larger_than_its_picture_is_cropped_all_the_same():
    image = np.full((30, 40), 50, np.uint8)
    assert (crops_of(image, Placement(20.0, 15.0, 4000.0, 0.0, "x"), 48)[0] == 50).all()
    assert (crops_of(image, Placement(-900.0, 2000.0, 400.0, 0.0, "x"), 48)[0] == 50).all()


@pytest.mark.parametrize("rotation", [-10.0, 5.0, 45.0])
def test_turning_brings_no_foreign_pixels_in(rotation):
    image = np.full((48, 48), 77, np.uint8)
    assert (warp(image, transform_of(by_frame(48, 48, "frame"), 48, rotation), 48) == 77).all()


def test_a_face_at_the_edge_is_filled_up_with_the_border():
    image = np.full((50, 50), 60, np.uint8)
    image[:, 0] = 200
    made = warp(image, transform_of(Placement(0.0, 25.0, 20.0, 0.0, "x"), 20, 0.0), 20)
    assert (made[:, :9] == 200).all()
    assert (made[:, 12:] == 60).all()


@pytest.mark.parametrize("face_size", [PNG_UP_TO, PNG_UP_TO + 1])
def test_small_crops_are_kept_exactly_and_large_ones_as_jpeg(face_size):
    image = smooth(face_size, face_size, (3,))
    data = encode(image)
    difference = np.abs(decode(data).astype(int) - image).max()
    assert data.startswith(b"\x89PNG") if face_size == PNG_UP_TO else data.startswith(b"\xff\xd8")
    assert difference == 0 if face_size == PNG_UP_TO else 0 < difference <= 12


@pytest.mark.parametrize("face_size", [40, 120])
def test_grey_stays_grey_and_colour_keeps_its_channels(face_size):
    red = np.zeros((face_size, face_size, 3), np.uint8)
    red[..., 0] = 200
    assert decode(encode(red[..., 0])).shape == (face_size, face_size)
    assert np.abs(decode(encode(red)).astype(int) - red).max() <= 3
