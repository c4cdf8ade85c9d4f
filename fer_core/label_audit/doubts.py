"""Label audit: images whose nearest neighbours carry another label (paper `sgm`, figure 6).

Legend: N images, Q of them audited by the others, D embedding size, K neighbours, S suspects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fer_core.evaluation.measure import KNN_K
from fer_core.evaluation.neighbours import nearest
from fer_core.world import ALONE, World

LABEL_AUDIT = "label_audit.csv"
"""The file of `audit_table`."""


@dataclass(frozen=True, eq=False)
class LabelAudit:
    """The suspects, worst first; each array has one entry for each of S.

    index      row of the image, among the audited
    label      the label it carries
    proposed   the label that most of its neighbours carry
    share      float64, share of its neighbours that carry `proposed`: above 1/2
    neighbour  row of the nearest one that carries `proposed`, among those that were searched
    """

    index: np.ndarray
    label: np.ndarray
    proposed: np.ndarray
    share: np.ndarray
    neighbour: np.ndarray

    def __len__(self) -> int:
        return len(self.index)


def audit_labels(
    emb_ND: np.ndarray, label_N: np.ndarray, num_classes: int, k: int = KNN_K, world: World = ALONE
) -> LabelAudit:
    """The images of which more than half of the K nearest others (Euclidean) carry one other label.

    Worst first: the largest share, then the nearest neighbour with the proposed label, then the lower row. An image is
    not its own neighbour, an equal copy of it is. K above N - 1 takes all others. Memory beside the embeddings is
    O(N K). `world` are the workers that share the search; each gets the whole result.

    A network that has learnt wrong labels by heart puts these images among those of the wrong label: `audit_unseen`
    has no such blind spot.

    Raises ValueError for labels that are not integers in 0..num_classes - 1, one for each image, and as `nearest` does
    (NaN, infinity, K < 1, fewer than two images).
    """
    _require_labels(emb_ND, label_N, num_classes)
    index_NK, distance_NK = nearest(emb_ND, emb_ND, k, exclude_self=True, world=world)
    return _suspects(label_N, index_NK, distance_NK, label_N[index_NK])


def audit_unseen(
    emb_QD: np.ndarray, label_Q: np.ndarray, emb_ND: np.ndarray, label_N: np.ndarray, num_classes: int, k: int = KNN_K
) -> LabelAudit:
    """As `audit_labels`, of Q images that the network was not trained on, by the N that it was.

    `index` of the result counts among the Q, `neighbour` among the N.

    Raises ValueError for labels as `audit_labels` does, and as `nearest` does (sizes that do not match, NaN, infinity,
    K < 1, nothing to search).
    """
    _require_labels(emb_QD, label_Q, num_classes)
    _require_labels(emb_ND, label_N, num_classes)
    index_QK, distance_QK = nearest(emb_QD, emb_ND, k)
    return _suspects(label_Q, index_QK, distance_QK, label_N[index_QK])


def _require_labels(emb_ND: np.ndarray, label_N: np.ndarray, num_classes: int) -> None:
    if label_N.shape != (len(emb_ND),) or label_N.dtype.kind not in "iu":
        raise ValueError(f"Labels are {label_N.dtype} {label_N.shape}; an integer for each embedding is needed.")
    if label_N.size and not 0 <= label_N.min() <= label_N.max() < num_classes:
        raise ValueError(f"Labels from {label_N.min()} to {label_N.max()}; 0 to {num_classes - 1} is needed.")


def _suspects(label_Q: np.ndarray, index_QK: np.ndarray, distance_QK: np.ndarray, label_QK: np.ndarray) -> LabelAudit:
    # A label of more than half of the neighbours holds the middle place when they are sorted.
    middle_Q = np.sort(label_QK, axis=1)[:, label_QK.shape[1] // 2]
    carries_QK = label_QK == middle_Q[:, None]
    share_Q = carries_QK.mean(axis=1)
    suspect_S = np.flatnonzero((share_Q > 0.5) & (middle_Q != label_Q))
    first_S = carries_QK[suspect_S].argmax(axis=1)
    order_S = np.lexsort((distance_QK[suspect_S, first_S], -share_Q[suspect_S]))
    suspect_S, first_S = suspect_S[order_S], first_S[order_S]
    return LabelAudit(
        suspect_S, label_Q[suspect_S], middle_Q[suspect_S], share_Q[suspect_S], index_QK[suspect_S, first_S]
    )


def audit_table(
    audit: LabelAudit,
    sample_id: np.ndarray,
    classes: Sequence[str],
    source_path: Sequence[str | None] | None = None,
    said: Sequence[str] | None = None,
    searched_id: np.ndarray | None = None,
) -> pa.Table:
    """One row a suspect, worst first, labels by name.

    Columns: sample_id, source_path, label (what the data set says, which corrections are checked against), trained
    (what training takes it for: another where it was corrected before or estimated), proposed, share,
    neighbour_id, and corrected and note, which are empty: filled in, the table is a file of corrections, see
    corrections.read_corrections.

    Args:
        sample_id: of all audited images, as are the next two.
        source_path: null where it is not known.
        said: what the data set says; None: what was trained with.
        searched_id: of the images among which neighbours were looked for; None: of the audited ones themselves.

    Raises:
        ValueError: paths or labels and ids do not match.
    """
    for what, of_images in (("paths", source_path), ("labels", said)):
        if of_images is not None and len(of_images) != len(sample_id):
            raise ValueError(f"{len(of_images)} {what} of {len(sample_id)} images.")
    trained = np.array(classes)[audit.label]
    paths = [None if source_path is None else source_path[row] for row in audit.index]
    labels = trained if said is None else [said[row] for row in audit.index]
    return pa.table(
        {
            "sample_id": pa.array(sample_id[audit.index], pa.string()),
            "source_path": pa.array(paths, pa.string()),
            "label": pa.array(labels, pa.string()),
            "trained": pa.array(trained, pa.string()),
            "proposed": pa.array(np.array(classes)[audit.proposed], pa.string()),
            "share": pa.array(audit.share, pa.float64()),
            "neighbour_id": pa.array((sample_id if searched_id is None else searched_id)[audit.neighbour], pa.string()),
            "corrected": pa.nulls(len(audit), pa.string()),
            "note": pa.nulls(len(audit), pa.string()),
        }
    )
