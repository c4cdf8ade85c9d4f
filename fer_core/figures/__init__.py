"""Pictures of a run as PNG bytes, from arrays alone. Drawn with matplotlib's object API: no pyplot, no global state."""

from fer_core.figures.confusion import confusion_matrix
from fer_core.figures.curves import f1_over_k, retrieval_curves, systems_over_k, training_curves
from fer_core.figures.differences import differences_chart
from fer_core.figures.embedding_map import tsne, tsne_panels
from fer_core.figures.faces import galleries, thumbnails
from fer_core.figures.latent import latent_pca
from fer_core.figures.pairs import pairs
from fer_core.figures.people import identity_clusters, largest_clusters
from fer_core.figures.poses import pose_table
from fer_core.figures.results import results_chart
from fer_core.figures.roc import roc_curves
from fer_core.figures.slices import slice_grids
from fer_core.figures.thresholds import LossRun, interclass_distances, interclass_distributions, threshold_convergence
from fer_core.figures.weights import loss_weighting

__all__ = [
    "LossRun",
    "confusion_matrix",
    "differences_chart",
    "f1_over_k",
    "galleries",
    "identity_clusters",
    "interclass_distances",
    "interclass_distributions",
    "largest_clusters",
    "latent_pca",
    "loss_weighting",
    "pairs",
    "pose_table",
    "results_chart",
    "retrieval_curves",
    "roc_curves",
    "slice_grids",
    "systems_over_k",
    "threshold_convergence",
    "thumbnails",
    "training_curves",
    "tsne",
    "tsne_panels",
]
