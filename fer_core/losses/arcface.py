"""ArcFace: the additive angular margin softmax, and the centroid form that paper `verification` prints.

Both normalise their input themselves: only directions count. No angle is taken by acos, whose gradient is infinite
where two directions are equal or opposite. With u = ||e - w|| and v = ||e + w|| of unit vectors at the angle theta,
sin theta = u v / 2 and theta = 2 atan2(u, v), and u and v differentiate to 0 at 0.

B batch, C classes, D embedding size.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_core.losses.numerics import autocast_off, check_batch, check_classes, euclidean, full_precision

_EXACT = "donot_use_mm_for_euclid_dist"


def arcface_loss(
    emb_BD: Tensor, labels_B: Tensor, centers_CD: Tensor, margin: float = 0.5, scale: float = 64.0
) -> Tensor:
    """Softmax cross-entropy of scaled cosines, where the own class must win with an angular margin (Deng et al. 2019).

        mean over i of -log softmax_c(scale * s_ic) at c = y_i, with s_ic = cos(theta_ic + margin) for c = y_i,
        s_ic = cos(theta_ic) for the others, theta_ic the angle between f(i) and centre c

    Past theta + margin = pi the cosine would rise again and push the sample further away. There s is
    cos(theta) - margin * sin(margin), which keeps falling: the form of the authors' code; their paper is silent.

    Args:
        emb_BD: (B, D) embeddings of any length; a zero vector has the cosine 0 to every centre, and a finite gradient.
        labels_B: (B,) integers, rows of centers_CD.
        centers_CD: (C, D) learnt class centres of any length.
        margin: m, radians. The defaults are those of Deng et al.
        scale: s, the length that unit vectors are taken to.

    Returns:
        Scalar, float32 (float64 for float64 embeddings). Cosines and softmax are taken in float64. With C = 1 it is 0,
        attached to the graph.

    Raises:
        ValueError: emb_BD or centers_CD not finite, shapes that do not fit, a label outside 0..C-1, a margin outside
            [0, pi), scale not positive.
    """
    check_batch("emb_BD", emb_BD, labels_B)
    if centers_CD.ndim != 2 or centers_CD.shape[1] != emb_BD.shape[1]:
        raise ValueError(f"centers_CD has shape {tuple(centers_CD.shape)}, expected (num_classes, {emb_BD.shape[1]})")
    check_classes(labels_B, len(centers_CD))
    labels_B = labels_B.long()
    if not (0 <= margin < math.pi and scale > 0):
        raise ValueError(f"margin is {margin} and scale {scale}, expected 0 <= margin < pi and a positive scale")
    emb_BD, centers_CD = full_precision("emb_BD", emb_BD), full_precision("centers_CD", centers_CD)
    with autocast_off(emb_BD):
        unit_BD, center_CD = _unit(emb_BD), _unit(centers_CD)
        own_B1 = _with_margin(unit_BD, center_CD[labels_B], margin)[:, None]
        cosine_BC = unit_BD @ center_CD.T
        logit_BC = scale * cosine_BC.scatter(1, labels_B[:, None], own_B1)
        return F.cross_entropy(logit_BC, labels_B).to(emb_BD.dtype)


def centroid_arcface_loss(emb_BD: Tensor, labels_B: Tensor, margin: float = 0.5) -> Tensor:
    """ArcFace as paper `verification` prints it (III-B): a triplet of angles to centroids of the batch, hinged.

        mean over anchors a and other persons n of [GDis(f(a), m_p) - GDis(f(a), m_n) + margin]_+

    GDis is the arc length on the unit sphere, in radians; m_p is the centroid of the anchor's own person, the anchor
    included, and m_n that of another: the mean of the person's normalised embeddings of the batch, normalised again so
    that it lies on the sphere. Every other person counts once for every anchor, however many images it has.

    The paper prints the term of one (anchor, own, other) and f of a centroid where the centroid of f must be meant. It
    prints no value of the margin (0.5 is that of Deng et al.) and no hinge, without which the margin has no effect.

    Args:
        emb_BD: (B, D) embeddings of any length.
        labels_B: (B,) any integers.
        margin: alpha, radians.

    Returns:
        Scalar, float32 (float64 for float64 embeddings). The only sample of a person is its own centroid, at angle 0.
        With one person only it is 0, attached to the graph. A centroid or an embedding that is 0 has no direction: it
        counts as at a right angle to everything, with gradient 0 from that angle.

    Raises:
        ValueError: emb_BD not finite, shapes that do not fit.
    """
    check_batch("emb_BD", emb_BD, labels_B)
    emb_BD = full_precision("emb_BD", emb_BD)
    with autocast_off(emb_BD):
        unit_BD = _unit(emb_BD)
        same_BB = (labels_B[:, None] == labels_B).to(unit_BD.dtype)
        # Row i is the centroid of i's person, so a person of n images has it n times, each time for 1/n.
        centroid_BD = _unit(same_BB @ unit_BD)
        angle_BB = 2 * torch.atan2(_distances(unit_BD, centroid_BD), _distances(unit_BD, -centroid_BD))
        hinge_BB = (angle_BB.diagonal()[:, None] - angle_BB + margin).relu()
        weight_BB = (1 - same_BB) / same_BB.sum(dim=1)
        return ((hinge_BB * weight_BB).sum() / weight_BB.sum().clamp(min=1)).to(emb_BD.dtype)


def _with_margin(unit_BD: Tensor, center_BD: Tensor, margin: float) -> Tensor:
    """cos(theta + margin) of paired unit rows, and its straight continuation past pi."""
    cosine_B = (unit_BD * center_BD).sum(dim=1)
    sine_B = euclidean(unit_BD, center_BD) * euclidean(unit_BD, -center_BD) / 2
    rotated_B = math.cos(margin) * cosine_B - math.sin(margin) * sine_B
    return torch.where(cosine_B > -math.cos(margin), rotated_B, cosine_B - margin * math.sin(margin))


def _unit(emb_BD: Tensor) -> Tensor:
    """Rows of length 1 in float64; a zero row stays 0, with a gradient as if its length were 1."""
    emb_BD = emb_BD.double()
    length_B1 = torch.linalg.vector_norm(emb_BD, dim=1, keepdim=True)
    return emb_BD / torch.where(length_B1 > 0, length_B1, 1.0)


def _distances(first_BD: Tensor, second_BD: Tensor) -> Tensor:
    """(B, B) distances from differences, exact where rows are nearly equal, with gradient 0 where they are equal."""
    return torch.cdist(first_BD, second_BD, compute_mode=_EXACT)
