"""The names that an experiment may use: metrics, figures, and the options that are not a cell's own."""

RETRIEVED = (1, 2, 4, 8, 16, 32)
METRICS = (
    "accuracy",
    "mean_class_accuracy",
    "precision",
    "recall",
    "f1",
    "knn_accuracy",
    "knn_precision",
    "knn_recall",
    "knn_f1",
    "nmi",
    "cluster_f1",
    *(f"recall_at_{k}" for k in RETRIEVED),
    *(f"acc_at_{k}" for k in RETRIEVED),
    "pose_accuracy",
    "svm_accuracy",
    "satisfied_triplets",
    "pair_accuracy",
    "auc",
    "eer",
    "tar_at_far_0.01",
    "tar_at_far_0.001",
    "tar_at_far_0.0001",
    "images_per_second",
)
"""What may be printed; a misspelt one is to be found before the first network is trained."""
COUNTS = ("images_per_second",)
"""Metrics that are no shares, so that a unit of percent leaves them as they are."""
LOWER_IS_BETTER = ("eer",)

OF_A_CELL = (
    "confusion",
    "f1_over_k",
    "galleries",
    "identity_clusters",
    "label_audit",
    "mistakes",
    "pose_table",
    "retrieval",
    "slice_grid",
    "training",
    "transfer",
    "traversals",
    "tsne",
)
"""Figures of a cell's own evaluation."""
OF_ALL_CELLS = (
    "dynamic_weights",
    "interclass_distances",
    "latent_pca",
    "roc",
    "threshold_convergence",
    "triplet_tsne",
)
"""Figures that show the cells of a column together."""

SAID_ELSEWHERE = {
    "dataset": "a column's `data` says it",
    "source": "--data says where a data set is",
    "seed": "--seeds says it",
    "home": "the command's own option says it",
    "config": "the file itself is the configuration",
    "json": "the command's own option says it",
    "json_": "the command's own option says it",
    "verbose": "the command's own option says it",
}
"""Options that are not a cell's own, and where they are said."""
