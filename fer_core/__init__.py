"""Everything that is true without a cluster: data, faces, losses, methods, training, evaluation.

Never imports prefect, ray, dask or mlflow; a test keeps it so.
"""
