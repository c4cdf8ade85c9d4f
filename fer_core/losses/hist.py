"""HIST: hypergraph-induced semantic tuplet loss (Lim et al., CVPR 2022), a baseline of paper `mul_dml`.

B batch, C classes, D embedding size.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fer_core.losses.numerics import autocast_off, check_batch, check_classes, full_precision

NodeClassifier = Callable[[Tensor, Tensor], Tensor]
"""(embeddings (B, D), incidence (B, C)) -> logits (B, C)."""

MAX_LOG_VARIANCE = 6.0


def hist_loss(
    emb_BD: Tensor,
    labels_B: Tensor,
    mean_CD: Tensor,
    log_variance_CD: Tensor,
    network: NodeClassifier,
    tau: float = 32.0,
    alpha: float = 0.9,
    lambda_s: float = 1.0,
) -> Tensor:
    """Distribution loss + lambda_s * cross-entropy of the hypergraph's nodes.

    Every class c has a learned Gaussian with diagonal variance. With d^2 the squared Mahalanobis distance of sample i,

        distribution loss   mean_i -log softmax_c(-tau d^2(z_i, c)) at the own class
        incidence           H_ic = 1 if c is the class of i, else exp(-alpha d^2(z_i, c))

    one hyperedge for each class of the batch, one node for each sample; `network` classifies the nodes from the
    embeddings and H. Gradients run through H to the embeddings and to the Gaussians.

    From the paper: the two losses, H, tau = 32, alpha = 0.9 (Cars-196; 1.1 for CUB, tau = 16 and alpha = 2 for SOP)
    and lambda_s = 1. From its published code: embeddings and means are compared on the unit sphere, log-variances are
    bounded to 0..6, and the network gets the embeddings as they are. Ours: the hyperedges of absent classes are
    empty and not removed, which is the same function with shapes that do not depend on the labels.

    Args:
        emb_BD: (B, D) embeddings of any length.
        labels_B: (B,) integers in 0..C-1, any subset of them.
        mean_CD: (C, D) means of the classes, of any length.
        log_variance_CD: (C, D) logarithms of the variances.
        network: see `HypergraphNetwork`.
        tau: scale of the distances in the softmax.
        alpha: how fast the incidence of another class falls with distance.
        lambda_s: weight of the cross-entropy of the nodes.

    Returns:
        Scalar, float32 (float64 for float64 embeddings).

    Raises:
        ValueError: emb_BD not finite, shapes that do not fit, a label outside 0..C-1.
    """
    check_batch("emb_BD", emb_BD, labels_B)
    shape = (mean_CD.shape[0], emb_BD.shape[1])
    if mean_CD.shape != shape or log_variance_CD.shape != shape:
        shapes = f"{tuple(mean_CD.shape)} and {tuple(log_variance_CD.shape)}"
        raise ValueError(f"mean_CD and log_variance_CD have shapes {shapes}, expected (C, {shape[1]}) both")
    check_classes(labels_B, shape[0])
    emb_BD, mean_CD = full_precision("emb_BD", emb_BD), full_precision("mean_CD", mean_CD)
    log_variance_CD = full_precision("log_variance_CD", log_variance_CD)
    with autocast_off(emb_BD):
        sq_distance_BC = _squared_mahalanobis(normalize(emb_BD, dim=1), normalize(mean_CD, dim=1), log_variance_CD)
        own_BC = labels_B[:, None] == torch.arange(shape[0], device=labels_B.device)
        incidence_BC = torch.where(own_BC, 1.0, (-alpha * sq_distance_BC).exp()) * own_BC.any(dim=0)
        distribution = cross_entropy(-tau * sq_distance_BC, labels_B.long())
        return distribution + lambda_s * cross_entropy(network(emb_BD, incidence_BC), labels_B.long())


def _squared_mahalanobis(emb_BD: Tensor, mean_CD: Tensor, log_variance_CD: Tensor) -> Tensor:
    """(B, C) from differences, which no shortcut of matmul can round. O(B C D) memory."""
    precision_CD = (-log_variance_CD.clamp(0, MAX_LOG_VARIANCE)).exp()
    return ((emb_BD[:, None] - mean_CD).square() * precision_CD).sum(dim=-1)


class HypergraphNetwork(nn.Module):
    """Two hypergraph convolutions that classify the nodes: G linear(LeakyReLU(BN(G linear(X)))).

    G = Dv^-1/2 H De^-1 H^T Dv^-1/2 (Feng et al., AAAI 2019) with hyperedges of weight 1, Dv and De the row and column
    sums of H. Two layers, hidden size 512, batch normalisation and a slope of 0.1 are those of HIST's published code.
    """

    def __init__(self, embedding_size: int, num_classes: int, hidden: int = 512) -> None:
        super().__init__()
        self.first = nn.Linear(embedding_size, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.activation = nn.LeakyReLU(0.1)
        self.second = nn.Linear(hidden, num_classes)

    def forward(self, emb_BD: Tensor, incidence_BC: Tensor) -> Tensor:
        """(B, D), (B, C) -> logits (B, C). In training the batch normalisation takes at least two samples."""
        hidden_BH = self.activation(self.norm(_propagate(self.first(emb_BD), incidence_BC)))
        return _propagate(self.second(hidden_BH), incidence_BC)


def _propagate(node_BX: Tensor, incidence_BC: Tensor) -> Tensor:
    """G times the nodes, without forming G (B x B). A node's degree is at least 1: it is in the edge of its class."""
    scale_B1 = incidence_BC.sum(dim=1, keepdim=True).rsqrt()
    degree_C1 = incidence_BC.sum(dim=0)[:, None].clamp(min=1)  # below 1 only where the edge is empty
    edge_CX = incidence_BC.T @ (scale_B1 * node_BX) / degree_C1
    return scale_B1 * (incidence_BC @ edge_CX)


class Hist(nn.Module):
    """`hist_loss` with what it learns: the Gaussians of the classes and the hypergraph network.

    The published code gives its Gaussians a learning rate of 0.1 and its network ten times that of the embedding.
    Means start in random directions; log-variances start at 0 (ours: the published code draws them, and half of what
    it draws starts below the bound, where it does not learn). Initial values go by torch's global generator, which
    the caller seeds.

    Args:
        num_classes: C.
        embedding_size: D.
        hidden: size of the network's hidden layer.
        tau: as in `hist_loss`, and so are alpha and lambda_s.
    """

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        hidden: int = 512,
        tau: float = 32.0,
        alpha: float = 0.9,
        lambda_s: float = 1.0,
    ) -> None:
        super().__init__()
        self.mean_CD = nn.Parameter(torch.randn(num_classes, embedding_size))
        self.log_variance_CD = nn.Parameter(torch.zeros(num_classes, embedding_size))
        self.network = HypergraphNetwork(embedding_size, num_classes, hidden)
        self.tau, self.alpha, self.lambda_s = tau, alpha, lambda_s

    def forward(self, emb_BD: Tensor, labels_B: Tensor) -> Tensor:
        """Scalar loss; shapes, errors and corner cases as `hist_loss`."""
        return hist_loss(
            emb_BD, labels_B, self.mean_CD, self.log_variance_CD, self.network, self.tau, self.alpha, self.lambda_s
        )
