import numpy as np
import pytest
from scipy.stats import chisquare

from fer_core.patches import NUM_VIEWS, Patches, draw_views

RNG = np.random.default_rng(0)


def views_by_slicing(image, patch):
    far, middle = len(image) - patch, (len(image) - patch) // 2
    for y, x in [(middle, middle), (0, 0), (0, far), (far, 0), (far, far)]:
        cut = image[y : y + patch, x : x + patch]
        yield cut
        yield cut[:, ::-1]


@pytest.mark.parametrize(("face_size", "patch"), [(48, 44), (48, 45), (21, 8)])
def test_every_view_is_a_slice_as_it_is_or_flipped(face_size, patch):
    images = RNG.integers(0, 256, (NUM_VIEWS, face_size, face_size, 3), dtype=np.uint8)
    cutter = Patches(face_size, patch)
    for shift in range(NUM_VIEWS):
        view = (np.arange(NUM_VIEWS) + shift) % NUM_VIEWS
        made = cutter.drawn(images, view)
        expected = [list(views_by_slicing(image, patch))[one] for image, one in zip(images, view, strict=True)]
        np.testing.assert_array_equal(made, np.stack(expected))
        assert made.dtype == np.uint8


def test_views_come_in_any_number_and_order():
    images = RNG.integers(0, 256, (7, 20, 20, 3), dtype=np.uint8)
    cutter = Patches(20, 16)
    view = np.array([3, 3, 0, 9, 3, 0, 3])
    expected = [list(views_by_slicing(image, 16))[one] for image, one in zip(images, view, strict=True)]
    np.testing.assert_array_equal(cutter.drawn(images, view), np.stack(expected))
    np.testing.assert_array_equal(cutter.drawn(images[:1], view[:1]), expected[0][None])


def test_the_central_patch_is_the_first_view():
    images = RNG.integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Patches(48, 44).central(images), images[:, 2:46, 2:46])


def test_the_pictures_are_left_as_they_were():
    images = RNG.integers(0, 256, (4, 20, 20, 3), dtype=np.uint8)
    before = images.copy()
    Patches(20, 16).drawn(images, np.arange(4))[:] = 0
    np.testing.assert_array_equal(images, before)


def test_a_patch_as_large_as_the_face_can_only_be_flipped():
    images = RNG.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    made = Patches(16, 16).drawn(images, np.array([8, 9]))
    np.testing.assert_array_equal(made, np.stack([images[0], images[1][:, ::-1]]))


def test_a_patch_larger_than_the_face_is_an_error():
    with pytest.raises(ValueError, match="a patch of 50 pixels cannot be cut from a face of 48"):
        Patches(48, 50)


def mixed(key):
    """The finaliser of splitmix64 over Python's own integers."""
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    key = (key ^ (key >> 27)) * 0x94D049BB133111EB % 2**64
    return key ^ (key >> 31)


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
@pytest.mark.parametrize("epoch", [0, 1, 12_345])
def test_draws_are_those_of_the_slow_loop(seed, epoch):
    rows = np.array([0, 1, 2, 7, 48_000_000])
    expected = [mixed(mixed((row + epoch * 0x9E3779B97F4A7C15) % 2**64) ^ seed) % NUM_VIEWS for row in rows.tolist()]
    assert draw_views(seed, epoch, rows).tolist() == expected


def test_a_draw_is_the_same_whichever_worker_and_batch_makes_it():
    rows = RNG.permutation(500)
    whole = draw_views(3, 2, rows)
    for world in (1, 2, 3):
        for rank in range(world):
            np.testing.assert_array_equal(draw_views(3, 2, rows[rank::world]), whole[rank::world])
    np.testing.assert_array_equal(draw_views(3, 2, rows[:1]), whole[:1])
    assert whole.dtype == np.int64


def test_without_flips_the_places_are_the_same_and_none_is_mirrored():
    rows = np.arange(200)
    views, plain = draw_views(3, 2, rows), draw_views(3, 2, rows, flips=False)
    np.testing.assert_array_equal(plain // 2, views // 2)
    assert set(plain.tolist()) == {0, 2, 4, 6, 8}


def is_uniform(counts):
    return chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_views_are_uniform_over_rows_and_over_epochs(seed):
    over_rows = draw_views(seed, 3, np.arange(50_000))
    over_epochs = np.concatenate([draw_views(seed, epoch, np.array([11])) for epoch in range(5_000)])
    assert is_uniform(np.bincount(over_rows, minlength=NUM_VIEWS))
    assert is_uniform(np.bincount(over_epochs, minlength=NUM_VIEWS))


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, 0, 0), (0, 1, 0)), ((0, 0, 0), (1, 0, 0)), ((0, 0, 0), (0, 0, 1)), ((5, 4, 0), (5, 5, 0))],
    ids=["next epoch", "next seed", "next row", "a later epoch"],
)
def test_a_view_tells_nothing_of_its_neighbour(one, other):
    first, second = (draw_views(seed, epoch, np.arange(50_000) + row) for seed, epoch, row in (one, other))
    assert is_uniform(np.bincount(first * NUM_VIEWS + second, minlength=NUM_VIEWS**2))


def test_no_random_state_is_touched():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    Patches(20, 16).drawn(np.zeros((2, 20, 20, 3), np.uint8), draw_views(0, 0, np.arange(2)))
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
