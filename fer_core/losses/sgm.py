"""Structured Gaussian Manifold loss (paper `sgm`): every sample near its own class centre and far from the others.

B batch, C classes, D embedding size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_core.losses.numerics import autocast_off, check_batch, check_classes, full_precision


def sgm_posterior(emb_BD: Tensor, labels_B: Tensor, num_classes: int, sigma: float = 0.5) -> Tensor:
    """Posterior P(c | z) of each class for each sample, under one isotropic Gaussian a class and equal priors.

    P(c | z) = softmax_c( -||z - mu_c||^2 / (2 sigma^2) ), where mu_c is the mean of the batch's embeddings of class c
    (sgm). The paper prints exp first and normalises then; at D = 64 every exp underflows and the gradient dies,
    so it is computed as a softmax of logits, which is the same function.

    Args:
        emb_BD: (B, D) embeddings; gradients flow through the samples and through the centres.
        labels_B: (B,) integers in 0..num_classes-1, any subset of them.
        num_classes: C, the number of columns.
        sigma: standard deviation of every class, in units of the embedding.

    Returns:
        (B, C) float32 (float64 for float64 embeddings); rows sum to 1, column c is label c. A class that is absent
        from the batch has no centre and gets probability 0. The only sample of its class is its own centre.

    Raises:
        ValueError: emb_BD not finite, shapes that do not fit, a label outside 0..num_classes-1, sigma not positive.
    """
    check_batch("emb_BD", emb_BD, labels_B)
    check_classes(labels_B, num_classes)
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}, expected a positive number")
    emb_BD = full_precision("emb_BD", emb_BD)
    with autocast_off(emb_BD):
        # index_add and differences, not matmul: TF32 cannot reach them.
        count_C = F.one_hot(labels_B.long(), num_classes).sum(dim=0)
        sum_CD = emb_BD.new_zeros(num_classes, emb_BD.shape[1]).index_add(0, labels_B.long(), emb_BD)
        center_CD = sum_CD / count_C.clamp(min=1)[:, None]
        logit_BC = (emb_BD[:, None] - center_CD).square().sum(dim=-1) / (-2 * sigma**2)
        return logit_BC.masked_fill(count_C == 0, -torch.inf).softmax(dim=1)


def sgm_loss(
    emb_BD: Tensor, labels_B: Tensor, num_classes: int, sigma: float = 0.5, norm_weight: float = 1.0
) -> Tensor:
    """Squared error of the posterior, plus the mean embedding norm (sgm, eq. 4 and the total).

    mean_i ||P(. | z_i) - onehot(y_i)||_2^2 + norm_weight * mean_i ||z_i||_2

    With C classes the collapsed solution, all z = 0, costs 1 - 1/C. At the printed norm_weight of 1 and C = 8 that
    is 0.875 and less than well separated classes cost (about 0.885): train with a smaller weight.

    Returns:
        Scalar, float32 (float64 for float64 embeddings). Classes of one sample contribute, but teach little: each is
        its own centre. One class alone leaves the norm term.

    Raises:
        ValueError: as `sgm_posterior`.
    """
    posterior_BC = sgm_posterior(emb_BD, labels_B, num_classes, sigma)
    with autocast_off(posterior_BC):
        target_BC = F.one_hot(labels_B.long(), num_classes)
        representation = (posterior_BC - target_BC).square().sum(dim=1).mean()
        norm = torch.linalg.vector_norm(emb_BD.to(posterior_BC.dtype), dim=1).mean()
        return representation + norm_weight * norm
