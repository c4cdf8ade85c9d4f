"""Face verification: are two images the same person? Pair accuracy by folds, AUC, EER and TAR at a FAR.

A pair is accepted as the same person if its distance is at most the threshold. FAR is the share of the pairs of
different people that are accepted (false positive rate), TAR that of the pairs of one person (true positive rate).
Legend: N images, P pairs, D embedding size, F folds, T thresholds, R points of the curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

Values = np.ndarray | torch.Tensor | Sequence

FARS = (1e-2, 1e-3, 1e-4)
_CURVE_POINTS = 1024
_BLOCK_ELEMENTS = 2**24  # 128 MB of float64


@dataclass(frozen=True, eq=False)
class Verification:
    """What was measured on the pairs of a test part.

    accuracy         mean over the folds of the share of their pairs that is told right
    standard_error   of that mean: sample standard deviation of the folds' accuracies / sqrt(F)
    folds            (F,) the folds, in sorted order
    fold_accuracies  (F,) each with the threshold that is best on the other folds
    thresholds       (F,) those thresholds
    auc              area under the ROC curve of all pairs; equal distances count half
    eer              the error rate where FAR + TAR = 1, interpolated along the ROC curve of all pairs
    tar_at_far       FAR -> largest TAR of all pairs at no more than that FAR; None where there are fewer than 1 / FAR
                     pairs of different people, which cannot tell such a rate from 0
    roc              (R, 2) FAR and TAR from none accepted to all accepted, thinned for a figure to some 2,000 points
    num_same         pairs of one person
    num_different    pairs of different people
    """

    accuracy: float
    standard_error: float
    folds: np.ndarray
    fold_accuracies: np.ndarray
    thresholds: np.ndarray
    auc: float
    eer: float
    tar_at_far: dict[float, float | None]
    roc: np.ndarray
    num_same: int
    num_different: int


class _Counts(NamedTuple):
    """How many pairs are accepted at thresholds (T,) that rise from none accepted to all accepted."""

    threshold_T: np.ndarray
    same_T: np.ndarray
    different_T: np.ndarray


def verification(distances: Values, same: Values, folds: Values) -> Verification:
    """The measures of paper `verification` on P pairs of images (the protocol of LFW).

    The threshold of a fold is chosen on the other folds only: the one with the highest accuracy there, halfway between
    two neighbouring distances; among equals the strictest. AUC, EER and TAR at FAR choose nothing, and are taken over
    all pairs at once.

    Args:
        distances: (P,) any finite numbers, small for one person.
        same: (P,) true for a pair of one person.
        folds: (P,) the fold of each pair, any integers or strings. A fold may hold one kind of pair only.

    Raises:
        ValueError: unequal lengths, a distance not finite, `same` not booleans or 0 and 1, only one kind of pair in all
            or outside one fold (no threshold can be chosen there), or fewer than two folds.
    """
    distance_P, same_P, fold_P = _checked(distances, same, folds)
    names = np.unique(fold_P)
    chosen = [_fold_accuracy(distance_P, same_P, fold_P == name) for name in names]
    accuracy_F, threshold_F = (np.array(column) for column in zip(*chosen, strict=True))
    counts = _accepted(distance_P, same_P)
    far_T, tar_T = counts.different_T / counts.different_T[-1], counts.same_T / counts.same_T[-1]
    return Verification(
        accuracy=float(accuracy_F.mean()),
        standard_error=float(accuracy_F.std(ddof=1) / np.sqrt(len(names))),
        folds=names,
        fold_accuracies=accuracy_F,
        thresholds=threshold_F,
        auc=float(np.trapezoid(tar_T, far_T)),
        eer=float(np.interp(1.0, far_T + tar_T, far_T)),
        tar_at_far={far: _tar_at_far(counts, far) for far in FARS},
        roc=_thinned(far_T, tar_T),
        num_same=int(counts.same_T[-1]),
        num_different=int(counts.different_T[-1]),
    )


def averaged(parts: Sequence[Verification]) -> Verification:
    """Several models, each on pairs of its own people, as in a cross-validation: the means of what each did.

    Distances of two networks cannot be compared, so the pairs are not put together under one threshold: at each FAR the
    TAR is the mean of the parts' own (vertical averaging), and one is None that a part cannot tell. Folds and numbers
    of pairs are those of all parts. Raises ValueError for no part.
    """
    if not parts:
        raise ValueError("No part to average.")
    accuracy_F = np.concatenate([part.fold_accuracies for part in parts])
    return Verification(
        accuracy=float(accuracy_F.mean()),
        standard_error=float(accuracy_F.std(ddof=1) / np.sqrt(len(accuracy_F))),
        folds=np.concatenate([part.folds for part in parts]),
        fold_accuracies=accuracy_F,
        thresholds=np.concatenate([part.thresholds for part in parts]),
        auc=float(np.mean([part.auc for part in parts])),
        eer=float(np.mean([part.eer for part in parts])),
        tar_at_far={far: _mean([part.tar_at_far[far] for part in parts]) for far in FARS},
        roc=_mean_curve([part.roc for part in parts]),
        num_same=sum(part.num_same for part in parts),
        num_different=sum(part.num_different for part in parts),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _mean_curve(curves: list[np.ndarray]) -> np.ndarray:
    """(R, 2): at each FAR of a curve the mean of the largest TAR that each reaches at no more than that."""
    far_R = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    tars = [curve[np.searchsorted(curve[:, 0], far_R, side="right") - 1, 1] for curve in curves]
    return np.concatenate([np.zeros((1, 2)), np.stack([far_R, np.mean(tars, axis=0)], axis=1)])


def threshold_at_far(distances_of_negatives: Values, far: float) -> float:
    """The loosest threshold that accepts no more than `far` of the pairs of different people, ties included.

    It is the largest number below the first distance that must be rejected, in the type of the distances: a float32
    distance is to be compared with it as float32 or float64, a float64 distance as float64.

    Raises ValueError for a distance not finite, far outside (0, 1), and fewer than 1 / far distances: they cannot tell
    such a rate from 0.
    """
    distance_P = np.sort(_row("distances_of_negatives", distances_of_negatives))
    if not 0 < far < 1:
        raise ValueError(f"far is {far}; a rate between 0 and 1 is needed.")
    num_accepted = _most_accepted(len(distance_P), far)
    if num_accepted == 0:
        raise ValueError(f"{len(distance_P)} pairs of different people cannot tell a FAR of {far} from 0.")
    return float(np.nextafter(distance_P[num_accepted], distance_P.dtype.type(-np.inf)))


def pair_distances(emb_ND: np.ndarray | torch.Tensor, first_P: Values, second_P: Values) -> np.ndarray:
    """Squared Euclidean distances (P,) float64 of the pairs of rows first_P[i] and second_P[i] of emb_ND.

    Taken from differences in float64, in blocks of pairs. Raises ValueError for embeddings that are not a finite table,
    unequal lengths, and indices that are not integers in 0..N-1.
    """
    emb = emb_ND.detach().cpu().double().numpy() if isinstance(emb_ND, torch.Tensor) else np.asarray(emb_ND, float)
    if emb.ndim != 2 or not np.isfinite(emb).all():
        raise ValueError(f"emb has shape {emb.shape}; rows of finite embeddings are needed.")
    first, second = (np.asarray(_on_host(rows)) for rows in (first_P, second_P))
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"first {first.shape} and second {second.shape} must be two equal rows of indices.")
    for name, index in (("first", first), ("second", second)):
        if index.size and (index.dtype.kind not in "iu" or not 0 <= index.min() <= index.max() < len(emb)):
            raise ValueError(f"{name} must hold integers in 0..{len(emb) - 1}.")
    distance_P = np.empty(len(first))
    block = max(1, _BLOCK_ELEMENTS // max(1, emb.shape[1]))
    for start in range(0, len(first), block):
        rows = slice(start, start + block)
        difference_BD = emb[first[rows]] - emb[second[rows]]
        distance_P[rows] = np.einsum("bd,bd->b", difference_BD, difference_BD)
    return distance_P


def _on_host(values: Values) -> Values:
    if not isinstance(values, torch.Tensor):
        return values
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # numpy knows no bfloat16


def _row(name: str, values: Values) -> np.ndarray:
    """The values as a row of finite floats; a floating type stays what it is."""
    row = np.asarray(_on_host(values))
    row = row if row.dtype.kind == "f" else row.astype(np.float64)
    if row.ndim != 1 or not row.size or not np.isfinite(row).all():
        raise ValueError(f"{name} has shape {row.shape}; a row of finite numbers is needed.")
    return row


def _checked(distances: Values, same: Values, folds: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    distance_P = _row("distances", distances).astype(np.float64)
    same_P, fold_P = np.asarray(_on_host(same)), np.asarray(_on_host(folds))
    if same_P.shape != distance_P.shape or fold_P.shape != distance_P.shape:
        shapes = f"distances {distance_P.shape}, same {same_P.shape} and folds {fold_P.shape}"
        raise ValueError(f"{shapes} must speak of the same pairs.")
    if not np.isin(same_P, (0, 1)).all():
        raise ValueError("same must hold true for a pair of one person and false for another, or 1 and 0.")
    if same_P.min() == same_P.max():
        raise ValueError("All pairs are of one kind; pairs of one person and pairs of two are needed.")
    return distance_P, same_P.astype(bool), fold_P


def _accepted(distance_P: np.ndarray, same_P: np.ndarray) -> _Counts:
    """Counts at a threshold below all distances and then halfway from each distinct distance to the next."""
    level_T, level_P = np.unique(distance_P, return_inverse=True)
    same_T = np.bincount(level_P[same_P], minlength=len(level_T)).cumsum()
    all_T = np.bincount(level_P).cumsum()
    # Halves are added, as a sum may overflow, and between neighbouring floats halfway is the lower one.
    above_T = np.append(level_T[1:], level_T[-1])
    halfway_T = np.clip(level_T / 2 + above_T / 2, level_T, np.maximum(level_T, np.nextafter(above_T, -np.inf)))
    return _Counts(
        np.append(np.nextafter(level_T[0], -np.inf), halfway_T),
        np.append(0, same_T),
        np.append(0, all_T - same_T),
    )


def _fold_accuracy(distance_P: np.ndarray, same_P: np.ndarray, test_P: np.ndarray) -> tuple[float, float]:
    """Accuracy of one fold, and the threshold it was measured with, chosen on all others."""
    others = same_P[~test_P]
    if not others.any() or others.all():
        raise ValueError("The folds but one hold no pair, or one kind of pair only: no threshold can be chosen there.")
    counts = _accepted(distance_P[~test_P], others)
    threshold = counts.threshold_T[(counts.same_T - counts.different_T).argmax()]
    return float(((distance_P[test_P] <= threshold) == same_P[test_P]).mean()), float(threshold)


def _most_accepted(num_different: int, far: float) -> int:
    """Largest k with k / num_different <= far. No tolerance: 29 / 2900 and 0.01 are the same float."""
    return int(np.searchsorted(np.arange(num_different + 1) / num_different, far, side="right")) - 1


def _tar_at_far(counts: _Counts, far: float) -> float | None:
    num_accepted = _most_accepted(int(counts.different_T[-1]), far)
    if num_accepted == 0:
        return None
    loosest = np.searchsorted(counts.different_T, num_accepted, side="right") - 1
    return float(counts.same_T[loosest] / counts.same_T[-1])


def _thinned(far_T: np.ndarray, tar_T: np.ndarray) -> np.ndarray:
    """Points of the curve: both ends, those that TAR at FAR is read at, and others along it and along log FAR."""
    along = np.searchsorted(far_T + tar_T, np.linspace(0, 2, _CURVE_POINTS))
    rates = np.append(np.geomspace(far_T[far_T > 0].min(), 1, _CURVE_POINTS), FARS)
    by_far = np.searchsorted(far_T, rates, side="right") - 1
    kept = np.unique(np.concatenate([along.clip(max=len(far_T) - 1), by_far]))
    return np.stack([far_T[kept], tar_T[kept]], axis=1)
