"""Pictures of a run as PNG bytes, from arrays alone. Drawn with matplotlib's object API: no pyplot, no global state."""

from fer_core.figures.confusion import confusion_matrix
from fer_core.figures.curves import f1_over_k, retrieval_curves, training_curves
from fer_core.figures.embedding_map import tsne
from fer_core.figures.faces import galleries, thumbnails

__all__ = [
    "confusion_matrix",
    "f1_over_k",
    "galleries",
    "retrieval_curves",
    "thumbnails",
    "training_curves",
    "tsne",
]
