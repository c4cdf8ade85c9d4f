"""Pose and identity triplet losses over the five-tuples of a batch (paper `dml_net`).

B batch, D embedding size.
"""

import torch
from torch import Tensor

from fer_core.losses.mining import mine_hardest
from fer_core.losses.numerics import autocast_off, check_batch, full_precision


def five_tuple_loss(
    emb_BD: Tensor,
    expression_B: Tensor,
    pose_B: Tensor,
    identity_B: Tensor,
    pose_margin: float,
    identity_margin: float,
    hinge: bool = True,
) -> tuple[Tensor, Tensor]:
    """Pose-based and identity-based triplet loss, each on the hardest pairs of the batch (dml_net, eqs. 1-5).

    With D the squared Euclidean distance, for every anchor of the batch:

        pose       sum_a [m_pose + max D(a, pose+) - min D(a, pose-)]_+
        identity   sum_a [m_id   + max D(a, id+)   - min D(a, id-)]_+

        pose+  same expression, other pose           pose-  other expression, same pose
        id+    same expression, other identity       id-    other expression, same identity

    The five samples of a tuple come from the whole batch and not from the tuple that was drawn. The sums run over the
    anchors that have both a positive and a negative of the kind, and are no means, as printed. The paper prints no
    hinge; without it the loss has no lower bound, and the ratios of losses that weight the tasks (eq. 8) mean nothing.

    Args:
        emb_BD: (B, D) embeddings, not normalised.
        expression_B: (B,) any integers; so are pose_B and identity_B. An unknown one is not told from the others:
            leave such samples out.
        pose_margin: m_pose, in squared distance.
        identity_margin: m_id, in squared distance.
        hinge: whether an anchor that keeps its margin counts 0; False is the printed form.

    Returns:
        Two scalars, float32 (float64 for float64 embeddings); eq. 6 adds them. Without a valid anchor a loss is 0,
        attached to the graph. At distance 0 the gradient is 0.

    Raises:
        ValueError: emb_BD not finite, or shapes that do not fit.
    """
    for name, labels_B in (("expression_B", expression_B), ("pose_B", pose_B), ("identity_B", identity_B)):
        check_batch("emb_BD", emb_BD, labels_B, labels_name=name)
    emb_BD = full_precision("emb_BD", emb_BD)
    with autocast_off(emb_BD):
        pose = _hardest_triplet_loss(emb_BD, expression_B, pose_B, pose_margin, hinge)
        return pose, _hardest_triplet_loss(emb_BD, expression_B, identity_B, identity_margin, hinge)


def _hardest_triplet_loss(emb_BD: Tensor, expression_B: Tensor, aspect_B: Tensor, margin: float, hinge: bool) -> Tensor:
    """Positives share the expression and differ in the aspect (pose or identity), negatives the other way round."""
    same_expression_BB = expression_B[:, None] == expression_B
    same_aspect_BB = aspect_B[:, None] == aspect_B
    mined = mine_hardest(emb_BD[:, None], same_expression_BB & ~same_aspect_BB, same_aspect_BB & ~same_expression_BB)
    pull_B = _squared_distance(emb_BD, emb_BD.index_select(0, mined.positive_BN.squeeze(1)))
    push_B = _squared_distance(emb_BD, emb_BD.index_select(0, mined.negative_BN.squeeze(1)))
    term_B = margin + pull_B - push_B
    return ((torch.relu(term_B) if hinge else term_B) * mined.valid_B).sum()


def _squared_distance(first_BD: Tensor, second_BD: Tensor) -> Tensor:
    return (first_BD - second_BD).square().sum(dim=1)
