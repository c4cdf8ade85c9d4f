"""Circle loss (Sun et al., CVPR 2020), a baseline of paper `mul_dml`.

B batch, D embedding size.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from fer_core.losses.numerics import autocast_off, check_batch, full_precision


def circle_loss(emb_BD: Tensor, labels_B: Tensor, margin: float = 0.25, gamma: float = 256) -> Tensor:
    """Circle loss over all pairs of the batch: the further a similarity is from its optimum, the harder it is pulled.

    With s_p the cosine similarities of an anchor to the other samples of its class, s_n those to all other samples:

        mean over valid anchors of log(1 + sum_n exp(gamma a_n (s_n - m)) * sum_p exp(-gamma a_p (s_p - 1 + m)))
        a_p = [1 + m - s_p]_+,  a_n = [s_n + m]_+, both without gradient                   (Sun et al., eqs. 6 and 8)

    computed as softplus of the sum of two logsumexp, so that nothing overflows. An anchor is valid if it has a positive
    and a negative; the paper's defaults for faces are m = 0.25 and gamma = 256. The similarities are taken in float64:
    gamma enlarges what float32, or the TF32 that a GPU may be set to, would round. O(B^2) memory.

    Args:
        emb_BD: (B, D) embeddings of any length, normalised here.
        labels_B: (B,) any integers.
        margin: m.
        gamma: scale of the similarities.

    Returns:
        Scalar, float32 (float64 for float64 embeddings); 0 attached to the graph if no anchor is valid.

    Raises:
        ValueError: emb_BD not finite, or shapes that do not fit.
    """
    check_batch("emb_BD", emb_BD, labels_B)
    emb_BD = full_precision("emb_BD", emb_BD)
    with autocast_off(emb_BD):
        unit_BD = normalize(emb_BD.double(), dim=1)
        similarity_BB = unit_BD @ unit_BD.T
        same_BB = labels_B[:, None] == labels_B
        negative_BB = ~same_BB
        positive_BB = same_BB.fill_diagonal_(False)
        valid_B = positive_BB.any(dim=1) & negative_BB.any(dim=1)

        positive_weight_BB = (1 + margin - similarity_BB.detach()).relu()
        negative_weight_BB = (similarity_BB.detach() + margin).relu()
        positive_logit_BB = -gamma * positive_weight_BB * (similarity_BB - (1 - margin))
        negative_logit_BB = gamma * negative_weight_BB * (similarity_BB - margin)
        # The rows of other anchors stay unmasked: logsumexp of nothing is -inf, also where the input is NaN.
        positive_B = positive_logit_BB.masked_fill(~positive_BB & valid_B[:, None], -torch.inf).logsumexp(dim=1)
        negative_B = negative_logit_BB.masked_fill(~negative_BB & valid_B[:, None], -torch.inf).logsumexp(dim=1)
        loss = (softplus(positive_B + negative_B) * valid_B).sum() / valid_B.sum().clamp(min=1)
        return loss.to(emb_BD.dtype)
