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
    "map_at_r",
    "pose_accuracy",
    "svm_accuracy",
    "satisfied_triplets",
    *(f"satisfied_triplets_{difference}" for difference in (5, 3, 1)),
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

OF_A_CELL = {
    "confusion": "of faces whose expressions are said",
    "f1_over_k": "of faces whose expressions are said",
    "galleries": "of faces whose expressions are said",
    "identity_clusters": "of a method that looks past people, on faces whose people are known",
    "label_audit": "of training faces whose neighbours carry another label",
    "mistakes": "of test cases that are decided wrongly",
    "pose_table": "of faces of several views",
    "retrieval": "of more than one test face",
    "slice_grid": "of embeddings that are made of slices",
    "training": "of networks that are trained for more than one epoch",
    "transfer": "of models that generate landmarks, with two test people",
    "traversals": "of models that generate landmarks",
    "tsne": "of more than three test faces",
}
"""Figures of a cell's own evaluation, and what it is drawn of."""
OF_ALL_CELLS = (
    "dynamic_weights",
    "interclass_distances",
    "knn_f1_over_k",
    "latent_pca",
    "recall_over_k",
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
