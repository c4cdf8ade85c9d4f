import hashlib

import cv2
import numpy as np
import pytest

from fer_core.datasets import REGISTRY
from fer_core.datasets.base import read_picture
from fer_core.ingest.near_duplicates import (
    MIN_CORRELATION,
    SplitOverlap,
    conflicting_labels,
    duplicate_groups,
    find_near_duplicates,
    signature,
    signatures,
    split_overlaps,
)
from fer_core.pictures import decode


def picture(rng, size=48):
    coarse = rng.integers(0, 256, (7, 7)).astype(np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def recompressed(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)


def all_pairs(thumb_NP, least, mirrored, num_rows=None):
    """Pairs (E, 2) that correlate, from the whole matrix or its first rows."""
    unit = thumb_NP.astype(np.float32)
    unit -= unit.mean(axis=1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    other = unit.reshape(-1, 16, 16)[:, :, ::-1].reshape(-1, 256) if mirrored else unit
    found = []
    for start in range(0, num_rows or len(unit), 1000):
        row, column = np.nonzero(unit[start : min(start + 1000, num_rows or len(unit))] @ other.T >= least)
        found.append(np.stack([row + start, column], axis=1))
    return np.concatenate(found)


def groups_of_pairs(num, pairs):
    group = list(range(num))
    for one, other in pairs.tolist():
        if group[one] != group[other]:
            old, new = group[one], group[other]
            group = [new if name == old else name for name in group]
    return group


def as_sets(group_N):
    return {frozenset(np.flatnonzero(np.asarray(group_N) == name).tolist()) for name in set(group_N) if name >= 0}


def test_a_signature_is_the_mean_of_each_area_in_grey():
    image = np.arange(1024, dtype=np.uint16).reshape(32, 32).clip(0, 255).astype(np.uint8)
    expected = image.reshape(16, 2, 16, 2).mean(axis=(1, 3)).ravel()
    np.testing.assert_allclose(signature(image), expected, atol=0.5)
    np.testing.assert_array_equal(signature(np.repeat(image[:, :, None], 3, axis=2)), signature(image))
    green = np.zeros((20, 30, 3), np.uint8)
    green[:, :, 0] = 100
    assert set(signature(green)) == {30}  # 0.299 of red
    stream = signatures(iter([image, image]))
    assert stream.dtype == np.uint8
    assert stream.shape == (2, 256)
    assert signatures([]).shape == (0, 256)


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_a_signature_of_something_else_is_an_error(image):
    with pytest.raises(ValueError, match="is needed"):
        signature(image)


@pytest.mark.parametrize(
    "change",
    [
        np.copy,
        recompressed,
        lambda image: cv2.resize(image, (131, 131), interpolation=cv2.INTER_LINEAR),
        lambda image: (image * 0.5 + 60).astype(np.uint8),
        lambda image: image[1:, :-1],
        lambda image: image[:, ::-1],
        lambda image: recompressed(np.ascontiguousarray(image[:, ::-1])),
        lambda image: np.repeat(image[:, :, None], 3, axis=2),
    ],
    ids=["copy", "jpeg", "scaled", "faded", "cropped", "mirrored", "mirrored jpeg", "colour"],
)
def test_a_changed_copy_is_found_among_others(change):
    rng = np.random.default_rng(3)
    images = [picture(rng) for _ in range(300)]
    changed = [change(image) for image in images[:40]]
    group_N = duplicate_groups(signatures(images + changed))
    expected = np.full(340, -1)
    expected[:40] = expected[300:] = np.arange(40)
    np.testing.assert_array_equal(group_N, expected)


def test_an_upside_down_or_negative_copy_is_another_picture():
    rng = np.random.default_rng(4)
    images = [picture(rng) for _ in range(20)]
    others = [image[::-1] for image in images] + [255 - image for image in images]
    assert (duplicate_groups(signatures(images + others)) == -1).all()


def test_groups_are_those_of_all_pairs_whatever_the_order():
    rng = np.random.default_rng(5)
    sources = rng.integers(0, 200, 600)
    faces = [picture(rng) for _ in range(200)]
    noisy = [np.clip(faces[index] + rng.normal(0, 12, (48, 48)), 0, 255).astype(np.uint8) for index in sources]
    thumbs = signatures(noisy)
    assert len(np.unique(thumbs, axis=0)) == 600
    pairs = np.concatenate([all_pairs(thumbs, MIN_CORRELATION, mirrored) for mirrored in (False, True)])
    expected = {same for same in as_sets(groups_of_pairs(600, pairs)) if len(same) > 1}
    assert as_sets(duplicate_groups(thumbs)) == expected
    order = rng.permutation(600)
    shuffled = np.empty(600, int)
    shuffled[order] = duplicate_groups(thumbs[order])
    assert as_sets(shuffled) == expected


def test_the_threshold_decides():
    rng = np.random.default_rng(6)
    image = picture(rng)
    thumbs = signatures([image, recompressed(image)])
    assert all_pairs(thumbs, 0.999, False).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert duplicate_groups(thumbs, 0.999).tolist() == [0, 0]
    assert duplicate_groups(thumbs, 1.01).tolist() == [-1, -1]


def test_blank_pictures_are_in_no_group():
    rng = np.random.default_rng(7)
    blank = [np.full((48, 48), grey, np.uint8) for grey in (0, 0, 128)]
    faint = (100 + (picture(rng) > 128)).astype(np.uint8)
    image = picture(rng)
    group_N = duplicate_groups(signatures([*blank, faint, faint, image, image]))
    assert group_N.tolist() == [-1] * 5 + [0, 0]
    assert duplicate_groups(signatures(blank)).tolist() == [-1] * 3
    assert duplicate_groups(np.zeros((0, 256), np.uint8)).tolist() == []
    with pytest.raises(ValueError, match=r"uint8 \(N, 256\) is needed"):
        duplicate_groups(np.zeros((2, 255), np.uint8))


def test_many_copies_do_not_cost_all_pairs():
    rng = np.random.default_rng(8)
    thumb = signature(picture(rng))
    assert (duplicate_groups(np.repeat(thumb[None], 100_000, axis=0)) == 0).all()
    alike = np.clip(thumb + rng.integers(-4, 5, (20_000, 256)), 0, 255).astype(np.uint8)
    assert (duplicate_groups(alike) == 0).all()
    assert (duplicate_groups(rng.integers(0, 256, (20_000, 256), dtype=np.uint8)) == -1).all()


def test_copies_are_found_where_many_pictures_have_one_code():
    """A base that decides every sign of the leading bits, and details that tell 1,000 pictures apart."""
    rng = np.random.default_rng(10)
    frequency = np.add.outer(np.arange(16), np.arange(16))
    base = cv2.idct(np.where((frequency > 0) & (frequency < 5), 150.0, 0.0))
    detail = np.where((frequency >= 5) & (frequency < 11), rng.normal(0, 60, (1000, 16, 16)), 0.0)
    noise = rng.normal(0, 1, (1000, 16, 16))
    plain = [np.clip(128 + base + cv2.idct(one), 0, 255).ravel() for one in detail]
    copied = [np.clip(128 + base + cv2.idct(one), 0, 255).ravel() for one in detail + noise]
    thumbs = np.array(plain + copied).astype(np.uint8)
    pairs = all_pairs(thumbs, MIN_CORRELATION, mirrored=False)
    assert as_sets(groups_of_pairs(2000, pairs)) == {frozenset({index, index + 1000}) for index in range(1000)}
    found = as_sets(duplicate_groups(thumbs))
    assert all(max(same) - min(same) == 1000 for same in found)
    assert len(found) > 950


def test_overlaps_count_the_pictures_of_either_split():
    group_N = np.array([0, 0, 0, 1, 1, 2, 2, -1, 3, 3])
    splits = ["train", "train", "test", "train", "valid", "train", "train", "test", "test", None]
    paths = list("abcdefghij")
    assert split_overlaps(group_N, splits, paths) == [
        SplitOverlap("train", "test", 1, 2, 1, [("a", "c")]),
        SplitOverlap("train", "valid", 1, 1, 1, [("d", "e")]),
    ]
    assert split_overlaps(group_N, [None] * 10, paths) == []
    assert [overlap.examples for overlap in split_overlaps(group_N, splits, paths, num_examples=0)] == [[], []]


def test_one_content_under_two_labels_is_a_conflict():
    contents = ["x", "y", "x", "z", "y", "x", "w", "w"]
    labels = ["anger", "fear", "anger", "fear", "anger", "sadness", None, "fear"]
    assert conflicting_labels(contents, labels) == [[0, 2, 5], [1, 4]]


def test_what_a_dry_run_is_told():
    rng = np.random.default_rng(9)
    image, other, alone = picture(rng), picture(rng), picture(rng)
    images = [image, recompressed(image), other, other, alone, np.zeros((48, 48), np.uint8)]
    known = [("train", "fear"), ("test", "fear"), ("train", "fear"), ("train", "anger"), ("test", None), (None, "fear")]
    rows = [
        {"source_path": f"{number}.png", "split": split, "expression": label}
        for number, (split, label) in enumerate(known)
    ]
    contents = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    found = find_near_duplicates(signatures(images), rows, contents)
    assert (found.num_pictures, found.num_blank, found.num_groups, found.num_in_groups) == (6, 1, 2, 4)
    assert found.overlaps == [SplitOverlap("train", "test", 1, 1, 1, [("0.png", "1.png")])]
    assert found.conflicts == [["2.png", "3.png"]]
    with pytest.raises(ValueError, match="of 6 rows"):
        find_near_duplicates(signatures(images[:2]), rows, contents)


@pytest.mark.slow
def test_ferplus_shares_photographs_between_its_splits(real_ferplus):
    """Nearly all that a comparison of all pairs finds, nothing else, and how far the splits overlap."""
    rows = REGISTRY["ferplus"].scan(real_ferplus).rows
    rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    bytes_of = [read_picture(real_ferplus, row).image for row in rows]
    thumbs = signatures(decode(data) for data in bytes_of)
    found = find_near_duplicates(thumbs, rows, [hashlib.sha256(data).hexdigest() for data in bytes_of])
    pairs = np.concatenate([all_pairs(thumbs, MIN_CORRELATION, mirrored, 6000) for mirrored in (False, True)])
    compared = np.zeros(6000, bool)
    compared[pairs[pairs[:, 0] != pairs[:, 1], 0]] = True
    in_group = duplicate_groups(thumbs)[:6000] >= 0
    assert not (in_group & ~compared).any()
    assert in_group.sum() >= 0.975 * compared.sum()
    tested = {overlap.first: overlap.num_first for overlap in found.overlaps if overlap.second == "train"} | {
        overlap.second: overlap.num_second for overlap in found.overlaps if overlap.first == "train"
    }
    assert tested["test"] == pytest.approx(447, abs=5)
    assert tested["valid"] == pytest.approx(425, abs=5)
    assert len(found.conflicts) == 176
