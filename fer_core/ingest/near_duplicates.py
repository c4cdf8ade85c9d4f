"""The same picture twice: near-duplicates across official splits, and one content under two labels.

A picture that is trained on and, cropped or recompressed, tested on makes a score too good.
Legend: N pictures, U distinct thumbnails, P thumbnail pixels, K bits of a code, F flipped bits, B pairs of a block.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 16
MIN_CORRELATION = 0.96
"""Measured on the 35,710 pictures of FER+: 120 of 120 pairs between 0.96 and 0.97 were the same photograph by eye, and
so were the 43 mirrored pairs from 0.96 on; between 0.95 and 0.96 the first pairs of different people appear."""
MIN_CONTRAST = 2.0
"""Grey levels. A thumbnail with a smaller standard deviation is blank: what correlates in it is noise."""

_NUM_FLIPS = 5
_WINDOW = 64
_ROWS, _PAIRS = 2**16, 2**13
_ZIGZAG = sorted(itertools.product(range(SIDE), repeat=2), key=lambda place: (sum(place), place))[1:65]
_WAVE = np.cos(np.pi / SIDE * np.outer(np.arange(SIDE), np.arange(SIDE) + 0.5))
_COSINES_PK = np.stack([np.outer(_WAVE[row], _WAVE[column]).ravel() for row, column in _ZIGZAG], axis=1)
_BIT_K = np.uint64(1) << np.arange(63, -1, -1, dtype=np.uint64)
_MIRRORED_BITS = np.bitwise_or.reduce(_BIT_K[[column % 2 == 1 for _, column in _ZIGZAG]])


@dataclass(frozen=True)
class SplitOverlap:
    """The groups of near-duplicates that reach into both of two splits.

    `num_first` and `num_second` count the pictures of either split in them; `examples` are the paths of the first
    picture of either split in a group.
    """

    first: str
    second: str
    num_groups: int
    num_first: int
    num_second: int
    examples: list[tuple[str, str]]


@dataclass(frozen=True)
class NearDuplicates:
    """What was found: groups in all splits together, those across splits, and contents under two labels (paths)."""

    num_pictures: int
    num_blank: int
    num_groups: int
    num_in_groups: int
    overlaps: list[SplitOverlap]
    conflicts: list[list[str]]


def signature(image: np.ndarray) -> np.ndarray:
    """The 16x16 grey thumbnail, uint8 (256,), of a picture uint8 (H, W) or RGB (H, W, 3); the mean of each area.

    368,000 pictures of 48x48 a second on one core.
    Raises ValueError for another type or shape, or an empty picture.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or not image.size:
        raise ValueError(
            f"a picture of type {image.dtype} and shape {image.shape}; uint8 (H, W) or (H, W, 3) is needed."
        )
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return (small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)).ravel()


def signatures(images: Iterable[np.ndarray]) -> np.ndarray:
    """The `signature` of each picture of a stream, uint8 (N, 256): 256 bytes a picture, no picture is kept."""
    return np.fromiter((signature(image) for image in images), np.dtype((np.uint8, SIDE * SIDE)))


def find_near_duplicates(
    thumb_NP: np.ndarray, rows: Sequence[Mapping[str, Any]], contents: Sequence[str], num_examples: int = 3
) -> NearDuplicates:
    """Near-duplicates among the pictures of catalog rows (`source_path`, `expression`, `split` if known).

    `thumb_NP` are their signatures and `contents` the sha256 of their bytes, in the order of `rows`. See
    `duplicate_groups` for what counts as a duplicate. Raises ValueError where the three do not match.
    """
    if not len(thumb_NP) == len(rows) == len(contents):
        raise ValueError(f"{len(thumb_NP)} signatures and {len(contents)} digests of {len(rows)} rows.")
    group_N = duplicate_groups(thumb_NP)
    paths = [row["source_path"] for row in rows]
    conflicts = conflicting_labels(contents, [row.get("expression") for row in rows])
    return NearDuplicates(
        num_pictures=len(rows),
        num_blank=int(_is_blank(thumb_NP).sum()),
        num_groups=int(group_N.max(initial=-1)) + 1,
        num_in_groups=int((group_N >= 0).sum()),
        overlaps=split_overlaps(group_N, [row.get("split") for row in rows], paths, num_examples),
        conflicts=[[paths[index] for index in same] for same in conflicts],
    )


def duplicate_groups(thumb_NP: np.ndarray, min_correlation: float = MIN_CORRELATION) -> np.ndarray:
    """The group 0, 1, ... of each picture that has a near-duplicate, -1 of the others, int64 (N,).

    Two pictures are near-duplicates when their thumbnails, or one and the mirror image of the other, have a normalised
    correlation of at least `min_correlation`; a group is what such pairs connect. Groups are numbered in the order of
    their first picture. A blank picture is in no group.

    Equal thumbnails are taken together first. The others are compared where the signs of their lowest cosine
    coefficients (five bits more than log2 of their number) are equal but for up to five of the coefficients nearest to
    zero, and with no more than 64 others at a time, so that neither many copies nor many alike pictures cost N^2.
    On FER+ this finds 98.6 % of the pictures that a comparison of all pairs finds, and never others. One core takes
    1 s for its 35,710 pictures, and for a million 24 s (random thumbnails) to 63 s (blends of FER+ faces) with
    1.5 GB at the peak.

    Raises ValueError for signatures that are not uint8 (N, 256).
    """
    if thumb_NP.dtype != np.uint8 or thumb_NP.ndim != 2 or thumb_NP.shape[1] != SIDE * SIDE:
        raise ValueError(f"signatures of type {thumb_NP.dtype} and shape {thumb_NP.shape}; uint8 (N, 256) is needed.")
    seen = np.flatnonzero(~_is_blank(thumb_NP))
    group_N = np.full(len(thumb_NP), -1)
    if len(seen):
        packed = np.ascontiguousarray(thumb_NP[seen]).view(f"V{SIDE * SIDE}")[:, 0]
        _, first, distinct = np.unique(packed, return_index=True, return_inverse=True)
        group_N[seen] = _groups_of_distinct(thumb_NP[seen[first]], min_correlation)[distinct]
        group_N[seen] = _numbered(group_N[seen])
    return group_N


def split_overlaps(
    group_N: np.ndarray, splits: Sequence[str | None], paths: Sequence[str], num_examples: int = 3
) -> list[SplitOverlap]:
    """Every two splits that share a group, splits in the order in which they first appear; None is no split."""
    members: dict[str, dict[int, list[int]]] = {split: {} for split in splits if split is not None}
    for index in np.flatnonzero(group_N >= 0).tolist():
        split = splits[index]
        if split is not None:
            members[split].setdefault(int(group_N[index]), []).append(index)
    found = []
    for first, second in itertools.combinations(members, 2):
        ours, theirs = members[first], members[second]
        shared = [(ours[group], theirs[group]) for group in ours if group in theirs]
        if shared:
            num_first, num_second = (sum(len(pair[side]) for pair in shared) for side in (0, 1))
            examples = [(paths[one[0]], paths[other[0]]) for one, other in shared[:num_examples]]
            found.append(SplitOverlap(first, second, len(shared), num_first, num_second, examples))
    return found


def conflicting_labels(contents: Sequence[str], labels: Sequence[str | None]) -> list[list[int]]:
    """The rows of each content (a digest) that stands under two labels or more; an unknown label (None) is no label."""
    repeated = {content for content, count in Counter(contents).items() if count > 1}
    rows_of: dict[str, list[int]] = {}
    for index, (content, label) in enumerate(zip(contents, labels, strict=True)):
        if content in repeated and label is not None:
            rows_of.setdefault(content, []).append(index)
    return [rows for rows in rows_of.values() if len({labels[index] for index in rows}) > 1]


def _is_blank(thumb_NP: np.ndarray) -> np.ndarray:
    blank_N = np.empty(len(thumb_NP), bool)
    for start in range(0, len(thumb_NP), _ROWS):
        rows = slice(start, start + _ROWS)
        blank_N[rows] = thumb_NP[rows].std(axis=1, dtype=np.float32) < MIN_CONTRAST
    return blank_N


def _numbered(group: np.ndarray) -> np.ndarray:
    """Groups of one as -1, the others numbered in the order of their first picture."""
    _, first, inverse, size = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    number = np.full(len(size), -1)
    large = np.flatnonzero(size > 1)
    number[large[np.argsort(first[large])]] = np.arange(len(large))
    return number[inverse]


def _groups_of_distinct(thumb_UP: np.ndarray, min_correlation: float) -> np.ndarray:
    num_bits = min(64, 5 + len(thumb_UP).bit_length())
    code_U, doubtful_UF = _codes(thumb_UP, num_bits)
    order_U = np.argsort(code_U, kind="stable")
    thumb_UP, code_U, doubtful_UF = thumb_UP[order_U], code_U[order_U], doubtful_UF[order_U]
    group_U = np.arange(len(thumb_UP))
    for mirrored in (False, True):
        for flips in itertools.product((False, True), repeat=_NUM_FLIPS):
            probe_U = code_U ^ np.bitwise_or.reduce(np.where(flips, doubtful_UF, np.uint64(0)), axis=1)
            probe_U ^= _MIRRORED_BITS if mirrored else np.uint64(0)
            ahead = not mirrored and not any(flips)
            pairs = [
                pair_B2[_correlation(thumb_UP, pair_B2, mirrored) >= min_correlation]
                for pair_B2 in _candidates(code_U, probe_U, np.uint64(64 - num_bits), group_U, ahead)
            ]
            group_U = _joined(group_U, np.concatenate([np.zeros((0, 2), np.int64), *pairs]))
    group_of_distinct = np.empty_like(group_U)
    group_of_distinct[order_U] = group_U
    return group_of_distinct


def _codes(thumb_UP: np.ndarray, num_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Signs of the 64 lowest cosine coefficients, the lowest first, uint64 (U,); the bits nearest to zero (U, F)."""
    code_U = np.empty(len(thumb_UP), np.uint64)
    doubtful_UF = np.empty((len(thumb_UP), _NUM_FLIPS), np.uint64)
    for start in range(0, len(thumb_UP), _ROWS):
        rows = slice(start, start + _ROWS)
        coefficient_BK = thumb_UP[rows].astype(np.float32) @ _COSINES_PK.astype(np.float32)
        code_U[rows] = np.where(coefficient_BK > 0, _BIT_K, np.uint64(0)).sum(axis=1, dtype=np.uint64)
        nearest = np.argpartition(np.abs(coefficient_BK[:, :num_bits]), _NUM_FLIPS, axis=1)[:, :_NUM_FLIPS]
        doubtful_UF[rows] = _BIT_K[nearest]
    return code_U, doubtful_UF


def _candidates(
    code_U: np.ndarray, probe_U: np.ndarray, shift: np.uint64, group_U: np.ndarray, ahead: bool
) -> Iterator[np.ndarray]:
    """Pairs (B, 2) of pictures of two groups where the probe of the one has the leading bits of the other's code.

    Codes are sorted. Of a crowded code only _WINDOW pictures are paired: the first, or (`ahead`) the next in line.
    """
    key_U = code_U >> shift
    for start in range(0, len(probe_U), _ROWS):
        row_B = np.arange(start, min(start + _ROWS, len(probe_U)))
        wanted_B = probe_U[row_B] >> shift
        end_B = np.searchsorted(key_U, wanted_B, side="right")
        begin_B = row_B + 1 if ahead else np.searchsorted(key_U, wanted_B, side="left")
        count_B = np.minimum(end_B - begin_B, _WINDOW)
        left = np.repeat(row_B, count_B)
        right = np.arange(len(left)) + np.repeat(begin_B - np.cumsum(count_B) + count_B, count_B)
        pair_B2 = np.stack([left, right], axis=1)
        yield pair_B2[group_U[left] != group_U[right]]


def _correlation(thumb_UP: np.ndarray, pair_B2: np.ndarray, mirrored: bool) -> np.ndarray:
    """Normalised correlation (B,) of the thumbnails of each pair, the first of them mirrored or not."""
    value_B = np.empty(len(pair_B2), np.float32)
    for start in range(0, len(pair_B2), _PAIRS):
        left, right = thumb_UP[pair_B2[start : start + _PAIRS].T].astype(np.float32)
        if mirrored:
            left = left.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(-1, SIDE * SIDE)
        left, right = (side - side.mean(axis=1, keepdims=True) for side in (left, right))
        squared = np.einsum("bp,bp->b", left, left) * np.einsum("bp,bp->b", right, right)
        value_B[start : start + _PAIRS] = np.einsum("bp,bp->b", left, right) / np.sqrt(squared)
    return value_B


def _joined(group_U: np.ndarray, pair_B2: np.ndarray) -> np.ndarray:
    if not len(pair_B2):
        return group_U
    left, right = group_U[pair_B2.T]
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(group_U), len(group_U)))
    return connected_components(graph, directed=False)[1].astype(np.int64)[group_U]
