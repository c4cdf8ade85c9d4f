import numpy as np
import pytest
import torch

from fer_core.detection import boxes, intersection_over_union
from fer_core.detection.boxes import corrected, overlaps, square, suppress
from fer_core.detection.crops import Batch, normalised, pyramid, windows


def random_boxes(count, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 60, (count, 2))
    picture = torch.from_numpy(rng.integers(0, 4, count))
    return picture, torch.from_numpy(np.hstack([low, low + rng.uniform(5, 40, (count, 2))])), torch.rand(count).double()


def share(one, other, of):
    wide = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (min(areas) if of == "smaller" else sum(areas) - wide * high)


@pytest.mark.parametrize("of", ["union", "smaller"])
def test_suppression_against_a_loop(of):
    torch.manual_seed(0)
    picture, box, score = random_boxes(120)
    expected = []
    for number in range(4):
        rows = sorted((row for row in range(120) if picture[row] == number), key=lambda row: -score[row])
        for place, row in enumerate(rows):
            if all(share(box[row].tolist(), box[better].tolist(), of) <= 0.3 for better in rows[:place]):
                expected.append(row)
    assert suppress(picture, box, score, 0.3, of).tolist() == expected
    assert 10 < len(expected) < 110


def test_the_overlap_of_one_pair_is_that_of_all_pairs():
    _, box, _ = random_boxes(30)
    pairs = [[intersection_over_union(one, other) for other in box.tolist()] for one in box.tolist()]
    torch.testing.assert_close(torch.tensor(pairs).double(), overlaps(box[None], "union")[0], rtol=1e-6, atol=1e-6)
    assert intersection_over_union((0, 0, 4, 2), (1, 0, 5, 2)) == pytest.approx(6 / 10)
    assert intersection_over_union((0, 0, 2, 2), (4, 4, 6, 6)) == 0
    assert intersection_over_union((1, 1, 1, 1), (1, 1, 1, 1)) == 0


def test_a_suppressed_box_still_suppresses():
    box = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    kept = suppress(torch.zeros(3).long(), box, torch.tensor([0.9, 0.8, 0.7]), 0.4, "union")
    assert kept.tolist() == [0]


def test_only_the_best_boxes_of_a_picture_are_looked_at(monkeypatch):
    monkeypatch.setattr(boxes, "MOST_BOXES", 2)
    apart = torch.arange(4)[:, None] * 100.0 + torch.tensor([0.0, 0, 9, 9])
    kept = suppress(torch.tensor([0, 0, 0, 1]), apart, torch.tensor([0.1, 0.3, 0.2, 0.05]), 0.5, "union")
    assert kept.tolist() == [1, 2, 3]


def test_no_boxes_and_empty_boxes():
    none = torch.empty(0)
    assert suppress(none.long(), none.reshape(0, 4), none, 0.5, "union").tolist() == []
    assert overlaps(torch.zeros(1, 2, 4), "smaller").tolist() == [[[0, 0], [0, 0]]]


def test_square_keeps_the_centre_and_the_longer_side():
    given = torch.tensor([[0.0, 10, 20, 14], [5, 0, 6, 9]])
    assert square(given).tolist() == [[0, 2, 20, 22], [1, 0, 10, 9]]


def test_corrections_are_shares_of_each_side():
    given = torch.tensor([[10.0, 20, 30, 60]])
    assert corrected(given, torch.tensor([[0.5, -0.25, 0.1, 1.0]])).tolist() == [[20, 10, 32, 100]]


def ramps(height, width):
    """A picture whose red is its x and whose green is its y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, 7)], axis=-1).astype(np.uint8)


def test_windows_of_many_pictures_are_sampled_where_they_lie():
    batches = [
        Batch(0, torch.from_numpy(np.stack([ramps(40, 50), 2 * ramps(40, 50)]))),
        Batch(2, torch.from_numpy(3 * ramps(30, 64)[None])),
    ]
    picture = torch.tensor([0, 1, 1, 2])
    box = torch.tensor([[3.0, 4, 13, 14], [0.5, 1.25, 30.5, 31.25], [10, 10, 11, 11], [20, 5, 29, 14]])
    cut = windows(batches, picture, box, 24) * 128 + 127.5
    for row, times in enumerate([1, 2, 2, 3]):
        x, y = (torch.linspace(float(box[row, at]), float(box[row, at + 2]), 24) for at in (0, 1))
        np.testing.assert_allclose(cut[row, 0], times * x[None].expand(24, 24), atol=2e-2)
        np.testing.assert_allclose(cut[row, 1], times * y[:, None].expand(24, 24), atol=2e-2)
        np.testing.assert_allclose(cut[row, 2], np.full((24, 24), times * 7), atol=2e-2)


def test_windows_are_mean_grey_beyond_the_picture():
    batch = Batch(0, torch.full((1, 20, 20, 3), 255, dtype=torch.uint8))
    cut = windows([batch], torch.tensor([0]), torch.tensor([[-10.0, 0, 19, 19]]), 30)
    assert cut[0, :, :, :9].abs().max() == 0
    np.testing.assert_allclose(cut[0, :, :, 11:], 127.5 / 128, atol=1e-5)


def test_pyramid_goes_from_the_least_face_to_the_last_that_holds_a_window():
    levels = [tuple(level.shape[2:]) for level in pyramid(torch.zeros(1, 3, 100, 200), 24)]
    assert levels == [(50, 100), (35, 70), (25, 50), (17, 35), (12, 25)]
    assert list(pyramid(torch.zeros(1, 3, 100, 20), 24)) == []


def test_normalised_is_the_range_of_the_networks():
    pixels = torch.tensor([[[[0, 127, 255]]]], dtype=torch.uint8)
    assert normalised(Batch(0, pixels)).flatten().tolist() == [-127.5 / 128, -0.5 / 128, 127.5 / 128]
