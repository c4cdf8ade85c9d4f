import cv2
import numpy as np
import pytest
from PIL import Image
from tiny import encoded, png_header

from fer_core.pictures import decode, in_colour, opened, picture_problem

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 24), dtype=np.uint8)
RGB = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
RGBA = np.dstack([RGB, RNG.integers(0, 256, (20, 24), dtype=np.uint8)])
PALETTE = Image.fromarray(RGB).convert("P")
NOT_A_PICTURE = "not a PNG, JPEG, BMP, TIFF picture"


@pytest.mark.parametrize(
    ("data", "image"),
    [
        (encoded(Image.fromarray(GREY)), GREY),
        (encoded(Image.fromarray(RGB)), RGB),
        (encoded(Image.fromarray(RGBA)), RGB),
        (encoded(PALETTE), np.array(PALETTE.convert("RGB"))),
        (encoded(Image.fromarray(GREY).convert("LA")), np.dstack([GREY] * 3)),
        (encoded(Image.fromarray(GREY > 127)), np.where(GREY > 127, 255, 0)),
        (encoded(Image.fromarray(GREY.astype(np.uint16) * 257)), GREY),
        (cv2.imencode(".png", RGB[..., ::-1].astype(np.uint16) * 257)[1].tobytes(), RGB),
        (encoded(Image.fromarray(RGB), "BMP"), RGB),
        (encoded(Image.fromarray(RGB), "TIFF"), RGB),
    ],
    ids=["grey", "rgb", "rgba", "palette", "grey+alpha", "1 bit", "16 bit grey", "16 bit rgb", "bmp", "tiff"],
)
def test_a_picture_is_decoded_to_the_8_bit_grey_or_rgb_it_holds(data, image):
    assert picture_problem(data) is None
    decoded = decode(data)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, image)


def test_a_jpeg_is_decoded_grey_as_grey_and_colour_as_rgb():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    decoded = decode(encoded(Image.fromarray(red), "JPEG"))
    assert np.abs(decoded.astype(int) - red).max() <= 3
    assert decode(encoded(Image.fromarray(GREY), "JPEG")).shape == GREY.shape


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.6, 0.9, 0.99])
def test_a_truncated_picture_is_not_decoded(kind, share):
    data = encoded(Image.fromarray(RGB), kind)
    cut = data[: int(len(data) * share)]
    assert picture_problem(cut) is not None or decode(cut) is None


def test_a_png_with_a_flipped_bit_is_not_decoded():
    data = bytearray(encoded(Image.fromarray(RGB)))
    data[len(data) // 2] ^= 1
    assert decode(bytes(data)) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"fer0000000.png,0,0\n" * 9, NOT_A_PICTURE),
        (encoded(Image.fromarray(GREY), "GIF"), NOT_A_PICTURE),
        (b"\x89PNG\r\n\x1a\n", NOT_A_PICTURE),
        (png_header(60_000, 60_000), "picture is too large"),
        (png_header(10_000, 9_000), "picture is too large"),  # between our bound and Pillow's two
        (png_header(8_000, 6_251), "picture is too large"),
    ],
)
def test_what_may_not_be_decoded_is_found_by_its_header(data, reason):
    assert picture_problem(data)[0] == reason


def test_a_picture_just_within_the_bound_passes():
    assert picture_problem(png_header(8_000, 6_250)) is None


def test_a_picture_is_opened_or_it_is_said_why_not():
    np.testing.assert_array_equal(opened(encoded(Image.fromarray(RGB))), RGB)
    assert opened(encoded(Image.fromarray(RGB))[:-40]) == ("damaged or truncated picture", "")
    assert opened(b"") == ("empty file", "")
    assert opened(png_header(9_000, 6_000))[0] == "picture is too large"


def test_grey_in_colour_is_grey():
    np.testing.assert_array_equal(in_colour(GREY), np.dstack([GREY] * 3))
    assert in_colour(RGB) is RGB
