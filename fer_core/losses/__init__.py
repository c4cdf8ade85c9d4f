"""The losses, as pure functions of embeddings and labels."""

from fer_core.losses.arcface import arcface_loss, centroid_arcface_loss
from fer_core.losses.circle import circle_loss
from fer_core.losses.compositional import ce_loss
from fer_core.losses.dynamic_weights import DynamicWeights
from fer_core.losses.five_tuple import five_tuple_loss
from fer_core.losses.geometry import fbv_loss, pdm_loss, pdp_loss, squared_triplet_loss
from fer_core.losses.hist import hist_loss
from fer_core.losses.multi_threshold import multi_threshold_loss
from fer_core.losses.sgm import sgm_loss, sgm_posterior
from fer_core.losses.triplet import dual_triplet_loss, triplet_loss
from fer_core.losses.vae import elbo_loss, gaussian_kl, topological_energy, topological_loss

__all__ = [
    "DynamicWeights",
    "arcface_loss",
    "ce_loss",
    "centroid_arcface_loss",
    "circle_loss",
    "dual_triplet_loss",
    "elbo_loss",
    "fbv_loss",
    "five_tuple_loss",
    "gaussian_kl",
    "hist_loss",
    "multi_threshold_loss",
    "pdm_loss",
    "pdp_loss",
    "sgm_loss",
    "sgm_posterior",
    "squared_triplet_loss",
    "topological_energy",
    "topological_loss",
    "triplet_loss",
]
