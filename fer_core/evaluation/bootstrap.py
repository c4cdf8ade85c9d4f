"""Confidence intervals by a cluster bootstrap: people, not images, are drawn with replacement.

Images of one person are alike, and an interval that treats them as independent is too narrow. Every metric here is a
function of sums over images, so that a resample is one weighted sum of per-subject sums.
Legend: N images, S subjects, R resamples, ... shape of what is summed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_BLOCK_WEIGHTS = 2**22


@dataclass(frozen=True)
class Interval:
    """A measured value and the ends of its 95 % confidence interval; low <= value <= high."""

    value: float
    low: float
    high: float


class PairedDifference(NamedTuple):
    """`interval` of accuracy(b) - accuracy(a), and the share of resamples in which b is not better than a."""

    interval: Interval
    share_not_better: float


class SubjectBootstrap:
    """Resamples of the subjects, the same for every sum that is asked for, so that metrics stay comparable.

    subjects_N  (N,) any values that tell people apart; sample ids give the ordinary bootstrap by image
    seed        of the resampling
    resamples   how many times S subjects are drawn with replacement
    """

    def __init__(self, subjects_N: np.ndarray, seed: int, resamples: int = 1000) -> None:
        if not len(subjects_N) or resamples < 1:
            raise ValueError(f"{resamples} resamples of {len(subjects_N)} images: both must be at least 1.")
        names, self._subject_N = np.unique(subjects_N, return_inverse=True)
        self.num_subjects = len(names)
        self._seed, self._resamples = seed, resamples

    def sums(self, values: np.ndarray, power: int = 1) -> np.ndarray:
        """Resampled sums (R, ...) of `values` (N, ...): each image counts as often as its subject was drawn.

        `power` raises that count, for statistics of pairs.
        """
        per_subject = np.zeros((self.num_subjects, *values.shape[1:]))
        np.add.at(per_subject, self._subject_N, values)
        return self._resampled(per_subject, power)

    def tables(self, row_N: np.ndarray, column_N: np.ndarray, shape: tuple[int, int], power: int = 1) -> np.ndarray:
        """Resampled contingency tables (R, *shape) of two integer labellings (N,); `power` as in `sums`."""
        cell = np.ravel_multi_index((self._subject_N, row_N, column_N), (self.num_subjects, *shape))
        counts = np.bincount(cell, minlength=self.num_subjects * shape[0] * shape[1])
        return self._resampled(counts.reshape(self.num_subjects, *shape).astype(np.float64), power)

    def weights(self) -> Iterator[np.ndarray]:
        """Blocks (r, N), float64, of how often each image counts, for what is no function of sums; R rows in all."""
        block = max(1, _BLOCK_WEIGHTS // len(self._subject_N))
        for weights in self._weights():
            for start in range(0, len(weights), block):
                yield weights[start : start + block, self._subject_N].astype(np.float64)

    def interval(self, value: float, draws_R: np.ndarray, lowest: float = 0.0) -> Interval:
        """95 % percentile interval, widened where needed so that it holds the value.

        Normalised mutual information is biased upwards in a resample, where images repeat, and its percentiles can miss
        the value. One subject says nothing about other people: the whole range from `lowest` to 1 is returned.
        """
        if self.num_subjects == 1:
            return Interval(float(value), lowest, 1.0)
        low, high = np.quantile(draws_R, (0.025, 0.975))
        return Interval(float(value), float(min(low, value)), float(max(high, value)))

    def _resampled(self, per_subject: np.ndarray, power: int) -> np.ndarray:
        flat = per_subject.reshape(self.num_subjects, -1)
        sums = np.concatenate([weights.astype(np.float64) ** power @ flat for weights in self._weights()])
        return sums.reshape(self._resamples, *per_subject.shape[1:])

    def _weights(self) -> Iterator[np.ndarray]:
        """Blocks (r, S) of how often each subject was drawn; from the seed again at every call."""
        rng = np.random.default_rng(self._seed)
        block = max(1, _BLOCK_WEIGHTS // self.num_subjects)
        for start in range(0, self._resamples, block):
            num_rows = min(block, self._resamples - start)
            drawn = rng.integers(self.num_subjects, size=(num_rows, self.num_subjects))
            drawn += np.arange(num_rows)[:, None] * self.num_subjects
            counts = np.bincount(drawn.ravel(), minlength=num_rows * self.num_subjects)
            yield counts.reshape(num_rows, self.num_subjects)


def share_interval(counts_N: np.ndarray, subjects_N: np.ndarray, seed: int, resamples: int = 1000) -> Interval:
    """The share of N images that count (bool), resampled by subject.

    One subject alone says nothing about others: the interval is 0..1. Raises ValueError for no image.
    """
    bootstrap = SubjectBootstrap(subjects_N, seed, resamples)
    sums = bootstrap.sums(np.column_stack([counts_N, np.ones(len(counts_N))]))
    return bootstrap.interval(float(counts_N.mean()), sums[:, 0] / sums[:, 1])


def paired_difference(
    correct_a_N: np.ndarray, correct_b_N: np.ndarray, subjects_N: np.ndarray, seed: int, resamples: int = 2000
) -> PairedDifference:
    """How much more accurate b is than a on the same N images, resampled by subject.

    Returns the interval of accuracy(b) - accuracy(a), between -1 and 1, and the share of resamples where the difference
    is 0 or less (small: b is better; like a one-sided p value). One subject alone proves nothing: the interval is
    -1..1 and the share 1. Raises ValueError for unequal lengths or no image.
    """
    if not len(correct_a_N) == len(correct_b_N) == len(subjects_N):
        raise ValueError("correct_a, correct_b and subjects must speak of the same images.")
    bootstrap = SubjectBootstrap(subjects_N, seed, resamples)
    gain_N = np.asarray(correct_b_N, dtype=np.float64) - np.asarray(correct_a_N, dtype=np.float64)
    sums = bootstrap.sums(np.stack([gain_N, np.ones(len(gain_N))], axis=1))
    draws_R = sums[:, 0] / sums[:, 1]
    share = 1.0 if bootstrap.num_subjects == 1 else float((draws_R <= 0).mean())
    return PairedDifference(bootstrap.interval(gain_N.mean(), draws_R, lowest=-1.0), share)
