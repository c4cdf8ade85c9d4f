"""What a representation is worth (landmark VAE, section V-B): a linear SVM, satisfied triplets, and PCA to compare.

N samples of the training part, M of another, D size of a representation, T triplets.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

SVM_COSTS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Ours: the paper prints none. For representations whose spread is 1; above, accuracy falls and fitting takes long."""


class LinearSvm:
    """Linear one-vs-rest support vector machines on a representation.

    The training part's mean is taken off and one common factor makes its spread 1 (ours): so C means the same for every
    representation, and dimensions that a VAE has turned off are not blown up to the size of the others.

    Args:
        train_ND, label_N: what is learnt from; labels are any integers or strings.
        cost: C.

    Raises:
        ValueError: one class only, NaN or infinity, or lengths that differ.
    """

    def __init__(self, train_ND: np.ndarray, label_N: np.ndarray, cost: float = 1.0) -> None:
        train_ND = np.asarray(train_ND, np.float64)
        self._mean_D = train_ND.mean(axis=0)
        spread = np.sqrt(np.square(train_ND - self._mean_D).mean())
        self._scale = 1 / spread if spread > 0 else 1.0
        self._classifier = LinearSVC(C=cost, dual=False)
        with warnings.catch_warnings():
            # a high C may not converge; what it found is judged on the validation part like the others
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._classifier.fit(self._scaled(train_ND), label_N)

    def predicted(self, emb_MD: np.ndarray) -> np.ndarray:
        """The label (M,) of each sample. Raises ValueError for no sample, NaN or another D."""
        return self._classifier.predict(self._scaled(np.asarray(emb_MD, np.float64)))

    def accuracy(self, emb_MD: np.ndarray, label_M: np.ndarray) -> float:
        """Share of the samples that get their label. Raises ValueError as `predicted`, or for other lengths."""
        if len(label_M) != len(emb_MD):
            raise ValueError(f"{len(emb_MD)} samples and {len(label_M)} labels; one each is needed")
        return float((self.predicted(emb_MD) == np.asarray(label_M)).mean())

    def _scaled(self, emb_ND: np.ndarray) -> np.ndarray:
        return (emb_ND - self._mean_D) * self._scale


def fit_svm(
    train_ND: np.ndarray,
    label_N: np.ndarray,
    valid_MD: np.ndarray,
    label_M: np.ndarray,
    costs: Sequence[float] = SVM_COSTS,
) -> LinearSvm:
    """The machine of the C that is best on the validation part, the smallest of equal ones; it learns from train only.

    Raises ValueError as LinearSvm, and for no C.
    """
    if not costs:
        raise ValueError("no cost to choose from")
    machines = [LinearSvm(train_ND, label_N, cost) for cost in sorted(costs)]
    return max(machines, key=lambda machine: machine.accuracy(valid_MD, label_M))


def satisfied(emb_MD: np.ndarray, triplets_T3: np.ndarray) -> np.ndarray:
    """Which triplets (T,) have the positive nearer to the reference than the negative (Euclidean).

    Equal distances do not count, where eq. 12 has <=: a representation collapsed to a point would satisfy all.

    Args:
        emb_MD: representations.
        triplets_T3: rows of emb_MD: reference, positive, negative.

    Raises:
        ValueError: NaN or infinity.
    """
    emb_MD = np.asarray(emb_MD, np.float64)
    if not np.isfinite(emb_MD).all():
        raise ValueError("emb_MD holds NaN or inf")
    reference, positive, negative = (emb_MD[triplets_T3[:, column]] for column in range(3))
    return np.linalg.norm(reference - positive, axis=1) < np.linalg.norm(reference - negative, axis=1)


def fit_pca(train_ND: np.ndarray, num_components: int = 30) -> PCA:
    """Linear PCA of the training part; `.transform` gives (M, num_components) of any part.

    There are no more components than numbers or training samples: 15 for 5 landmarks.
    """
    return PCA(min(num_components, *np.shape(train_ND)), svd_solver="full").fit(np.asarray(train_ND, np.float64))
