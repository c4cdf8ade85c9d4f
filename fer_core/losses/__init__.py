"""The losses, as pure functions of embeddings and labels."""

from fer_core.losses.multi_threshold import multi_threshold_loss
from fer_core.losses.sgm import sgm_loss, sgm_posterior
from fer_core.losses.triplet import dual_triplet_loss, triplet_loss

__all__ = [
    "dual_triplet_loss",
    "multi_threshold_loss",
    "sgm_loss",
    "sgm_posterior",
    "triplet_loss",
]
